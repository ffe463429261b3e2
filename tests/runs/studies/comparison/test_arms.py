"""A study's arms are built once, and work that they share runs once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.runs.pipeline import Pipeline
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from tests.models.tiny import tiny_folder

STAGES = (SkipGram, Bert, SentenceVectors, ClassificationHead, FineTune)


def counted(monkeypatch: pytest.MonkeyPatch, method: str) -> Counter[str]:
    """Count the calls of a method by stage."""
    calls: Counter[str] = Counter()

    def wrap(original: Any) -> Any:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            calls[self.stage] += 1
            return original(self, *args, **kwargs)

        return call

    for stage in STAGES:
        monkeypatch.setattr(stage, method, wrap(getattr(stage, method)))
    return calls


def compared(review_files: Path, arms: str, first: str | None = None) -> Pipeline:
    test = review_files / "test.csv"
    path = review_files / "arms.yaml"
    path.write_text(
        (review_files / "small.yaml").read_text()
        + f"compare:\n  seeds: 2\n  arms: {arms}\n  tests: {{all: {test}}}\n  redraw: {test}\n"
    )
    settings = [] if first is None else [f"stages.0={first}", "stages.1.pooling=mean"]
    return Pipeline.from_yaml(path, assignments=settings)


def test_external_digests_are_computed_once_for_equal_stages(
    review_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tiny_folder(review_files / "bert", "bert")
    study = compared(
        review_files,
        "{one: {stages.3.update.l2: 0.1}, two: {stages.3.update.l2: 0.2}}",
        f"{{stage: bert, weights: {weights}}}",
    )
    calls = counted(monkeypatch, "external_digests")
    study.run(review_files / "out", context=RunContext(device="cpu"))
    assert calls == {"bert": 1, "sentence_vectors": 1, "classification_head": 1, "finetune": 3}


def test_what_arms_share_runs_once(review_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tiny_folder(review_files / "bert", "bert")
    arms = "{one: {stages.3.update.l2: 0.1}, two: {stages.3.update.l2: 0.2}}"
    loaded = compared(review_files, arms, f"{{stage: bert, weights: {weights}}}")
    calls = counted(monkeypatch, "run")
    loaded.run(review_files / "out", context=RunContext(device="cpu"))
    # once in the run itself; then once a study; then once a seed and draw; then each trial for itself
    assert calls == {"bert": 2, "sentence_vectors": 2, "classification_head": 1 + 4, "finetune": 1 + 8}


def test_a_seeded_beginning_is_shared_within_its_seed_alone(
    review_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = "{other pile: {stages.0.epochs: 3}, one: {stages.3.update.l2: 0.1}, two: {stages.3.update.l2: 0.2}}"
    study = compared(review_files, arms)
    alone = {
        name: compared(review_files, f"{{{name}: {changes}, another: {{stages.0.epochs: 0}}}}")
        for name, changes in (("one", "{stages.3.update.l2: 0.1}"), ("two", "{stages.3.update.l2: 0.2}"))
    }
    calls = counted(monkeypatch, "run")
    together = study.run(review_files / "out", context=RunContext(device="cpu")).comparison
    # seeds times draws times beginnings that differ; the redrawn examples join the pile
    assert calls["skipgram"] == 1 + 2 * 2 * 2
    assert calls["finetune"] == 1 + 2 * 2 * 3
    assert together is not None
    rows = _rows(review_files / "out")
    for name, pipeline in alone.items():
        pipeline.run(review_files / name, context=RunContext(device="cpu"))
        assert _of(rows, name) == _of(_rows(review_files / name), name), "sharing changes no result"


def _rows(run: Path) -> list[dict[str, Any]]:
    import json

    return [json.loads(line) for line in (run / "comparison.jsonl").read_text().splitlines()]


def _of(rows: list[dict[str, Any]], arm: str) -> list[dict[str, Any]]:
    """Return the rows of an arm without their cost, which differs from run to run, and the digest that covers it."""
    return [{key: row[key] for key in row if key not in ("cost", "digest")} for row in rows if row["arm"] == arm]


def test_without_tests_of_its_own_a_comparison_takes_that_of_the_pipeline(review_files: Path) -> None:
    path = review_files / "arms.yaml"
    arms = "compare: {seeds: 2, arms: {short: {stages.0.epochs: 1}, shorter: {stages.0.epochs: 0}}}\n"
    path.write_text((review_files / "small.yaml").read_text() + arms)
    settings = ["stages.3.update={method: head, solver: ridge}"]
    run = Pipeline.from_yaml(path, assignments=settings).run(
        review_files / "run", context=RunContext(seed=3, device="cpu")
    )
    assert run.comparison is not None
    [result] = run.comparison.results
    assert (result.test, result.texts) == (str(review_files / "test.csv"), 20)
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(path, assignments=["data.test=null"]).check()
    assert str(caught.value) == (
        "pipeline: compare.tests: names no test, and the pipeline has none; expected labelled texts to judge the arms on. Name a "
        "file here, or give data.test or data.hold_out."
    )
