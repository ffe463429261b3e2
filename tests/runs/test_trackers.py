"""Trackers by name, the price of a run, the device of predictions: extras that never change a result."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nlptl.artifact import read_manifest
from nlptl.context import Record, RunContext
from nlptl.errors import ConfigError
from nlptl.interfaces import cli
from nlptl.interfaces.text import cost_line, run_lines, show_lines
from nlptl.progress import clock
from nlptl.runs import trackers as tracking
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.runner import RunResult
from nlptl.runs.trackers import NamedTrackers, flat_scores

Told = list[tuple[str, dict[str, Any], int | None]]


class FakeTracker:
    """Stands in for one of Accelerate's trackers and keeps what it is told."""

    def __init__(self) -> None:
        self.tracker = self
        self.settings: dict[str, Any] = {}
        self.told: Told = []
        self.axes: list[tuple[str, str]] = []
        self.finished = 0

    def start(self) -> None: ...

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.settings = values

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        self.told += [(name, value, step) for name, value in values.items()]

    def define_metric(self, name: str, *, step_metric: str) -> None:
        self.axes.append((name, step_metric))

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTracker:
    made = FakeTracker()
    monkeypatch.setattr(tracking, "_is_installed", lambda package: True)
    monkeypatch.setattr(tracking, "_opened", lambda tracker, place, project, name: made)
    return made


def tracked(review_files: Path, out: str) -> RunResult:
    context = RunContext(device="cpu", tracker=NamedTrackers(["tensorboard"]))
    return Pipeline.from_yaml(review_files / "small.yaml").run(review_files / out, context=context)


def test_a_tracker_is_told_settings_losses_findings_and_scores(review_files: Path, fake: FakeTracker) -> None:
    result = tracked(review_files, "out")
    assert fake.settings["stages.0.dim"] == 16
    assert fake.settings["stages.3.update.method"] == "head"
    assert fake.settings["data.validation"] == "null"
    history = [json.loads(line) for line in (result.folder / "1-skipgram" / "history.jsonl").read_text().splitlines()]
    losses = [(value, step) for name, value, step in fake.told if name == "1-skipgram/loss"]
    assert losses == [(row["loss"], row["epoch"]) for row in history]
    named = {name: value for name, value, _ in fake.told}
    manifest = read_manifest(result.folder / "4-finetune")
    assert named["4-finetune/report/choice/l2"] == manifest.report["choice"]["l2"]
    assert named["4-finetune/report/seconds"] == manifest.seconds
    assert named["4-finetune/report/trainable_parameters"] == 34
    assert result.evaluation is not None
    assert named["test/accuracy"] == result.evaluation.accuracy.value
    assert named["test/accuracy_low"] == result.evaluation.accuracy.low
    assert all(not isinstance(value, str | bool) for _, value, _ in fake.told)
    assert fake.finished == 1


def test_a_kept_stage_is_told_again_and_nothing_else_changes(review_files: Path, fake: FakeTracker) -> None:
    plain = Pipeline.from_yaml(review_files / "small.yaml").run(
        review_files / "plain", context=RunContext(device="cpu")
    )
    first = tracked(review_files, "out")
    assert [outcome.manifest.identity for outcome in first.stages] == [o.manifest.identity for o in plain.stages]
    assert first.evaluation == plain.evaluation
    told, fake.told = fake.told, []
    assert all(outcome.kept for outcome in tracked(review_files, "out").stages)
    assert fake.told == told


def test_steps_and_trainings_are_groups_of_their_own(fake: FakeTracker, tmp_path: Path) -> None:
    tracker = NamedTrackers(["tensorboard"])
    tracker.start(tmp_path, {})
    record = Record(lambda group, values, step: tracker.log(f"1-bert/{group}", values, step))
    for epoch in (1, 2):
        record.row(training="continue", epoch=epoch, loss=0.5)
    record.step("continue", 7, 0.25)
    assert fake.told == [
        ("1-bert/continue/epoch", 1, 1), ("1-bert/continue/loss", 0.5, 1),
        ("1-bert/continue/epoch", 2, 2), ("1-bert/continue/loss", 0.5, 2),
        ("1-bert/continue/steps/loss", 0.25, 7),
    ]  # fmt: skip


def test_wandb_gets_the_step_as_a_value(fake: FakeTracker, tmp_path: Path) -> None:
    tracker = NamedTrackers(["wandb"])
    tracker.start(tmp_path, {})
    tracker.log("a", {"loss": 1.0, "F1 %": 2.0}, 3)
    assert fake.told == [("a/loss", 1.0, None), ("a/F1 _", 2.0, None), ("a/step", 3, None)]
    assert fake.axes == [("a/*", "a/step")]


def test_a_tracker_that_breaks_does_not_end_the_run(review_files: Path, fake: FakeTracker) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device.\nmore")

    fake.log = full  # type: ignore[method-assign]
    with pytest.warns(UserWarning, match="tensorboard stopped tracking") as caught:
        result = tracked(review_files, "out")
    assert [str(one.message) for one in caught] == [
        "tensorboard stopped tracking (No space left on device); the run goes on without it."
    ]
    assert result.evaluation is not None


def test_a_tracker_that_cannot_begin_is_told_before_anything_trains(review_files: Path, fake: FakeTracker) -> None:
    def refuse() -> None:
        raise RuntimeError("api_key not configured. Log in.")

    fake.start = refuse  # type: ignore[method-assign]
    with pytest.raises(ConfigError) as caught:
        tracked(review_files, "out")
    assert str(caught.value) == (
        "--tracker: found tensorboard, which cannot begin (api_key not configured. Log in); expected one that is set up. "
        "Follow its own instructions, or drop it."
    )
    assert not (review_files / "out" / "1-skipgram").exists()


Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nlptl", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return call


def test_unknown_and_missing_trackers_are_told_at_once(
    review_files: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ("run", review_files / "small.yaml", "--out", review_files / "out")
    code, _, err = shell(*run, "--tracker", "tensorbord")
    assert (code, err) == (
        2,
        "--tracker: found 'tensorbord'; expected one of tensorboard, mlflow, wandb. Did you mean 'tensorboard'?\n",
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in tracking.PACKAGES:
        code, _, err = shell(*run, "--tracker", name)
        assert (code, err) == (
            2,
            f"--tracker: found {name}, whose package is not installed; expected it here. Run pip install {name}.\n",
        )
    assert not (review_files / "out").exists()


def test_a_folder_called_wandb_is_no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: types.SimpleNamespace(origin=None))
    with pytest.raises(ConfigError, match="whose package is not installed"):
        NamedTrackers(["wandb"])


def test_accelerates_trackers_are_built_as_they_are_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import accelerate.tracking  # noqa: F401  it looks for the real packages

    uris: list[str] = []
    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(set_tracking_uri=uris.append))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    opened = {name: tracking._opened(name, tmp_path, "small", "small-1") for name in tracking.PACKAGES}
    assert {name: one.name for name, one in opened.items()} == {name: name for name in tracking.PACKAGES}
    assert opened["tensorboard"].run_name == "small-1"
    assert uris == [f"sqlite:///{tmp_path / 'mlflow.db'}"]
    assert (opened["mlflow"].experiment_name, opened["mlflow"].run_name) == ("small", "small-1")
    assert opened["wandb"].init_kwargs == {"name": "small-1", "dir": str(tmp_path)}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    tracking._opened("mlflow", tmp_path, "small", "small-1")
    assert len(uris) == 1, "the user's own server stays"


def test_scores_with_intervals_become_three_figures() -> None:
    scores = {"rows": 3, "f": {"value": 0.5, "low": 0.1, "high": 0.9, "level": 0.95}, "labels": [1], "other": {"a": 1}}
    scores["per_label"] = [{"label": "good", "recall": {"value": 1.0, "low": 0.5, "high": 1.0}}]
    good = {"label": "good", "recall": 1.0, "recall_low": 0.5, "recall_high": 1.0}
    assert flat_scores(scores) == {"rows": 3, "f": 0.5, "f_low": 0.1, "f_high": 0.9, "labels": [1], "good": good}


def test_a_price_tells_what_a_run_cost(review_files: Path, shell: Shell) -> None:
    assert cost_line(1800, 3, "all stages") == (
        "Estimated cost: 1.5, which is 30:00 of wall time of all stages at 3 an hour."
    )
    path, out = review_files / "small.yaml", review_files / "out"
    code, told, _ = shell("run", path, "--out", out, "--device", "cpu", "--price-per-hour", "3600")
    assert code == 0
    seconds = sum(read_manifest(folder).seconds for folder in out.glob("[0-9]*"))
    ran = cost_line(seconds, 3600, "the 4 of 4 stages that were not kept")
    assert ran in " ".join(told.split())
    again = Pipeline.from_yaml(path).run(out, context=RunContext(device="cpu"))
    none = "Estimated cost: 0, which is 0.0 s of wall time of the 0 of 4 stages that were not kept at 2 an hour."
    assert none in list(run_lines(again, price_per_hour=2))
    assert not any(line.startswith("Estimated cost") for line in [*run_lines(again), *show_lines(out)])
    code, told, _ = shell("show", out, "--price-per-hour", "3600")
    assert f"which is {clock(seconds)} of wall time of all stages at 3600 an hour." in told
    for price, found in (("-1", "-1"), ("nan", "nan"), ("inf", "inf")):
        code, _, err = shell("show", out, "--price-per-hour", price)
        assert (code, err) == (
            2,
            f"--price-per-hour: found {found}; expected a number of at least 0. Give the price of an hour.\n",
        )


def test_predict_and_evaluate_take_a_device(review_files: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    out = review_files / "out"
    Pipeline.from_yaml(review_files / "small.yaml").run(out, context=RunContext(device="cpu"))
    code, told, _ = shell("predict", out, "a good film", "--device", "cpu")
    assert (code, told) == (0, "text,label\na good film,positive\n")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    sentence = "device is 'cuda', but torch finds no GPU on this machine. Choose auto or cpu.\n"
    for rest in (("predict", out, "a good film"), ("evaluate", out, "--test", review_files / "test.csv")):
        code, _, err = shell(*rest, "--device", "cuda")
        assert (code, err) == (2, sentence)


def test_only_a_transformer_goes_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from nlptl.data import TextData
    from nlptl.evaluation.scores import load_classifier
    from nlptl.stages.classification_head import ClassificationHead
    from tests.conftest import small_reviews
    from tests.models.tiny import tiny_encoder

    classifier = ClassificationHead().run(tiny_encoder("bert"), data=TextData(labelled=small_reviews(4)))
    monkeypatch.setattr("nlptl.models.classifier.TextClassifier.load", lambda folder: classifier)
    monkeypatch.setattr(RunContext, "torch_device", lambda self: torch.device("meta"))
    assert load_classifier(Path("x"), RunContext()).device == torch.device("meta")
    classifier.encoder.token_model.kind = "word_vectors"
    monkeypatch.setattr(RunContext, "torch_device", lambda self: torch.device("cpu"))
    assert load_classifier(Path("x"), RunContext()).device == torch.device("meta"), "stays where it is"
