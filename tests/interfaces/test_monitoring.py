"""The command `monitor`: what it prints, writes, refuses, and by which exit code it tells an alarm."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from nlptl.evaluation.intervals import Estimate
from nlptl.interfaces.monitoring import monitor_lines, verdict
from nlptl.runs.monitoring.outcome import MonitorResult, read_history
from tests.conftest import NEGATIVE, POSITIVE, small_reviews
from tests.interfaces.commands import Shell
from tests.reported import tiny_run, write_rows

PIPELINE = """
seed: 13
data: {labelled: train.csv, unlabelled: pile.txt}
stages:
  - {stage: ngrams, dim: 8}
  - {stage: classification_head}
  - {stage: finetune, update: {method: head, solver: logistic}}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small run and its data; tests copy what they change."""
    folder = tmp_path_factory.mktemp("watched")
    tiny_run(folder, pipeline=PIPELINE)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "watched"))


def odd_texts(count: int) -> list[str]:
    """Return texts that speak for both labels, in new words."""
    return [
        f"コロナウイルス lockdown: {POSITIVE[row % 5]} masks and {NEGATIVE[(row + 2) % 5]} vaccines"
        for row in range(count)
    ]


def test_texts_as_before_need_nothing(folder: Path, shell: Shell) -> None:
    run = folder / "made"
    write_rows(folder / "new.csv", *small_reviews(60, start=300))
    code, out, err = shell("monitor", run, "--file", folder / "new.csv", "-q")
    assert (code, err) == (0, "")
    assert out.startswith("new.csv: 60 texts.\n")
    rows = [line.rstrip() for line in out.splitlines() if line.startswith("accuracy")]
    assert rows[0] == "accuracy, measured                   0.958 [0.798, 0.993]"
    assert re.fullmatch(r"accuracy, estimated +0\.9\d\d +0\.9\d\d \[0\.\d{3}, \d\.\d{3}\]", rows[1])
    assert "Accuracy, confidence and labels of then: 24 held-out examples.\n" in out
    assert "Nothing to do: no drop of the accuracy" in out
    assert "refresh" not in out
    assert len(out.splitlines()) <= 25
    assert not (run / "monitor-to-label.csv").exists()
    found = MonitorResult.read(run)
    assert found is not None
    assert (found.alarm, found.texts, found.to_label_file) == (False, 60, None)


def test_the_estimates_of_then_and_now_are_as_far_apart_as_it_says(folder: Path, shell: Shell) -> None:
    run = folder / "made"
    for texts in (small_reviews(60, start=300)[0], odd_texts(60)):
        write_rows(folder / "new.csv", texts, [""] * len(texts))
        _, out, _ = shell("monitor", run, "--file", folder / "new.csv", "-q")
        row = next(line.split() for line in out.splitlines() if line.startswith("accuracy, estimated"))
        then, now = float(row[2]), float(row[3])
        points = re.search(r"([+-]\d+\.\d) \[", " ".join(out.split()))
        assert points is not None
        assert 100 * (now - then) == pytest.approx(float(points[1]), abs=0.16), "each is rounded"


@pytest.mark.parametrize(
    ("count", "told"), [(1, "1 text cannot tell"), (5, "5 texts cannot tell"), (19, "19 texts cannot")]
)
def test_few_texts_cannot_tell(count: int, told: str, folder: Path, shell: Shell) -> None:
    """Neither a level nor a change is given, nor an alarm, nor a file to label, however odd the texts are."""
    run = folder / "made"
    write_rows(folder / "new.csv", odd_texts(count), [""] * count)
    code, out, err = shell("monitor", run, "--file", folder / "new.csv", "-q")
    assert (code, err) == (0, "")
    flat = " ".join(out.split())
    assert told in flat
    assert flat.endswith("whether the accuracy or the texts have changed; expected at least 20. Watch more texts.")
    assert "estimated" not in out
    assert "points" not in out
    assert "confidence" in out
    assert not (run / "monitor-to-label.csv").exists()
    found = MonitorResult.read(run)
    assert found is not None
    assert (found.accuracy, found.accuracy_then, found.change, found.sampled_change, found.thresholded) == (None,) * 5
    assert (found.has_few_texts, found.alarm, found.causes) == (True, False, ())


def test_five_texts_with_labels_tell_their_own_accuracy_alone(folder: Path, shell: Shell) -> None:
    write_rows(folder / "new.csv", *small_reviews(5, start=300))
    code, out, _ = shell("monitor", folder / "made", "--file", folder / "new.csv", "--label-column", "label", "-q")
    assert code == 0
    assert "accuracy on 5 with a label" in out
    assert "5 texts cannot tell whether" in " ".join(out.split())


def test_few_texts_of_before_are_not_called_unchanged(folder: Path, shell: Shell) -> None:
    write_rows(folder / "new.csv", *small_reviews(60, start=300))
    shell("monitor", folder / "made", "--file", folder / "new.csv", "-q")
    found = MonitorResult.read(folder / "made")
    assert found is not None
    nothing = dict.fromkeys(("inputs", "label_mix", "languages", "unseen", "cut"))
    alone = found.model_copy(update={**nothing, "change": Estimate(-0.01, -0.05, 0.04)})
    assert verdict(alone) == (
        "Nothing to do: no drop of the accuracy is shown (-1.0 [-5.0, +4.0] points). The texts were not compared, which takes at "
        "least 20 of before."
    )
    blind = alone.model_copy(update={"change": None, "accuracy": None})
    assert verdict(blind) == "The texts were not compared, which takes at least 20 of before."


def test_texts_that_confuse_it_in_new_words_raise_an_alarm(folder: Path, shell: Shell) -> None:
    run = folder / "made"
    write_rows(folder / "new.csv", odd_texts(80), [""] * 80)
    before = (run / "3-finetune" / "manifest.json").read_bytes()
    code, out, err = shell("monitor", run, "--file", folder / "new.csv", "-q")
    assert (code, err) == (3, "")
    told = " ".join(out.split())
    assert "Alarm: the accuracy has changed by an estimated -" in told
    assert "the words: new ones" in told
    assert "コロナウイルス (80 texts, unknown)" in told
    assert f"nlptl refresh {run} --labelled {run}/monitor-to-label.csv" in told
    assert len(out.splitlines()) <= 25
    found = MonitorResult.read(run)
    assert found is not None
    assert found.alarm
    assert len(next(one for one in found.new_words if one.word == "lockdown").examples) == 5
    assert (run / "3-finetune" / "manifest.json").read_bytes() == before
    with (run / "monitor-to-label.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == found.to_label
    assert {row["text"] for row in rows} <= set(odd_texts(80))
    assert {row["label"] for row in rows} == {""}


def test_watches_make_a_history_and_labels_that_were_filled_in_stay(folder: Path, shell: Shell) -> None:
    run = folder / "made"
    write_rows(folder / "new.csv", odd_texts(80), [""] * 80)
    shell("monitor", run, "--file", folder / "new.csv", "-q")
    path = run / "monitor-to-label.csv"
    path.write_text("text,label\nmine,positive\n", encoding="utf-8")
    code, out, _ = shell("monitor", run, "--file", folder / "new.csv", "--json", "-q")
    found = json.loads(out)
    assert (code, found["to_label_file"]) == (3, "monitor-to-label-2.csv")
    assert path.read_text(encoding="utf-8") == "text,label\nmine,positive\n"
    assert len(read_history(run, identity=found["identity"])) == 2
    assert read_history(run, identity="other") == []
    _, out, _ = shell("monitor", run, "--file", folder / "new.csv", "-q")
    assert "Estimates of the last watches: " in out


def test_known_labels_correct_the_estimate(folder: Path, shell: Shell) -> None:
    """The classifier is as sure as before; thirty labels say that it is wrong."""
    run = folder / "made"
    texts, labels = small_reviews(60, start=300)
    other = ["negative" if label == "positive" else "positive" for label in labels]
    write_rows(folder / "new.csv", texts, [*other[:30], *[""] * 30])
    code, out, err = shell("monitor", run, "--file", folder / "new.csv", "--label-column", "label", "-q")
    assert (code, err) == (0, "")
    found = MonitorResult.read(run)
    assert found is not None
    assert found.accuracy is not None
    assert found.labelled_texts == 30
    assert found.accuracy.value < 0.2
    assert "accuracy on 30 with a label" in out
    assert found.fell
    assert "Nothing to do yet: the estimate fell" in out  # no change of the texts explains it


def test_without_the_texts_of_before_it_tells_what_it_can(folder: Path, shell: Shell) -> None:
    run = folder / "made"
    write_rows(folder / "new.csv", *small_reviews(60, start=300))
    settings = run / "pipeline.yaml"
    settings.write_text(settings.read_text(encoding="utf-8").replace("train.csv", "gone.csv"), encoding="utf-8")
    code, out, _ = shell("monitor", run, "--file", folder / "new.csv", "-q")
    told = " ".join(out.split())
    assert code == 0
    assert "The texts of before cannot be read again, so that their words and languages cannot be compared." in told
    assert "accuracy, estimated" in out
    assert "words in no other text" not in out


def test_the_folder_of_a_classifier_alone_needs_a_place(folder: Path, tmp_path: Path, shell: Shell) -> None:
    alone = Path(shutil.copytree(folder / "made" / "3-finetune", tmp_path / "alone"))
    write_rows(folder / "new.csv", *small_reviews(60, start=300))
    code, _, err = shell("monitor", alone, "--file", folder / "new.csv", "-q")
    assert (code, " ".join(err.split())) == (
        2,
        f"--out: {alone} is no run, and what it holds must not change; expected a folder for what the watch finds. Name one.",
    )
    code, out, err = shell("monitor", alone, "--file", folder / "new.csv", "--out", tmp_path / "watch", "-q")
    assert (code, err) == (0, "")
    assert "accuracy, estimated" in out
    assert MonitorResult.read(tmp_path / "watch") is not None


def test_what_is_refused(folder: Path, shell: Shell) -> None:
    run = folder / "made"
    write_rows(folder / "new.csv", *small_reviews(30, start=300))
    for option, least in (("--texts", 20), ("--seed", 0)):
        code, _, err = shell("monitor", run, "--file", folder / "new.csv", f"{option}={least - 1}")
        assert (code, err) == (2, f"{option}: found {least - 1}; expected at least {least}. Give a higher number.\n")
    write_rows(folder / "odd.csv", ["a film"] * 2, ["fine", "positive"])
    code, _, err = shell("monitor", run, "--file", folder / "odd.csv", "--label-column", "label", "-q")
    told = (
        "odd.csv: found the label 'fine'; the classifier knows negative, positive. Correct it, or drop --label-column."
    )
    assert (code, " ".join(err.split())) == (2, told)
    write_rows(folder / "none.csv", ["", " "], ["", ""])
    code, _, err = shell("monitor", run, "--file", folder / "none.csv", "-q")
    assert (code, " ".join(err.split())) == (2, "none.csv: found no text; expected some to watch. Give another file.")


def test_the_verdict_says_no_more_than_is_shown(folder: Path, shell: Shell) -> None:
    write_rows(folder / "new.csv", odd_texts(80), [""] * 80)
    shell("monitor", folder / "made", "--file", folder / "new.csv", "-q")
    found = MonitorResult.read(folder / "made")
    assert found is not None
    small = found.model_copy(update={"change": Estimate(-0.005, -0.008, -0.002), "alarm": False})
    assert verdict(small).startswith(
        "Nothing to do: no drop of the accuracy is shown (-0.5 [-0.8, -0.2] points). Changed: "
    )
    unsure = found.model_copy(
        update={"change": Estimate(-0.1, -0.2, 0.01), "sampled_change": Estimate(-0.1, -0.11, -0.09)}
    )
    assert unsure.fell
    assert verdict(unsure).startswith(
        "Alarm: the accuracy has changed by an estimated -10.0 [-20.0, +1.0] points. The estimate fell beyond chance; "
        "labelled texts tell whether the accuracy did. Changed: "
    )
    blind = found.model_copy(update={"change": None, "accuracy": None, "held_out": None, "causes": (), "alarm": False})
    assert verdict(blind) == "No change of the texts is shown."
    (folder / "made").rename(folder / "a run")
    run = folder / "a run"
    lines = [*monitor_lines(found, [], run=run, folder=run)]
    assert lines[-2:] == [
        f"  nlptl evaluate '{run}' --test '{run}/monitor-to-label.csv'",
        f"  nlptl refresh '{run}' --labelled '{run}/monitor-to-label.csv'",
    ]
    alone = [*monitor_lines(found, [], run=run / "3-finetune", folder=run)]
    assert alone[-1].startswith("  nlptl evaluate ")
