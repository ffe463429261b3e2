"""The start benchmark: the files that a user has, what is scored on the real test, its bars and its table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from nlptl.context import RunContext
from nlptl.evaluation.intervals import Estimate
from nlptl.runs.judging.encoder_at_hand import EncoderAtHand
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.start.outcome import JudgedCandidate, StartOutcome
from tests.conftest import small_reviews

WORDS = "words (tf-idf, logistic regression)"
PIPELINE = """
data: {labelled: rows.csv, empty_label: unlabelled}
stages: [{stage: ngrams, dim: 4}, {stage: classification_head}, {stage: finetune, update: {method: words}}]
"""
ROW = {
    "set": "cr", "size": "8", "seed": 0, "minutes": 2.0, "seconds": 100.0, "accuracy": 0.7, "estimate": [0.6, 0.5, 0.72],
    "baselines": {"a": 0.6, "b": 0.65}, "best": "b", "difference": [0.05, -0.01, 0.11], "chosen": "auto",
}  # fmt: skip


@pytest.fixture
def sets_folder(tmp_path: Path) -> Path:
    """Return a folder with a set, of whose 60 training rows one stands in the test."""
    folder = tmp_path / "sets" / "cr"
    folder.mkdir(parents=True)
    for part, start in (("train", 0), ("test", 59)):
        rows = [{"text": text, "label": label} for text, label in zip(*small_reviews(60, start=start), strict=True)]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder.parent


@pytest.fixture
def start(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the benchmark with a start that hands out the words at once."""
    found = bench("start")

    def started(folder: Path, *, minutes: float) -> float:
        del minutes
        out = folder / "out"
        out.mkdir()
        (out / "pipeline.yaml").write_text(PIPELINE.replace("rows.csv", "../rows.csv"), encoding="utf-8")
        Pipeline.from_yaml(out / "pipeline.yaml").run(out / "run", context=RunContext(device="cpu"))
        accuracy = Estimate(0.5, 0.4, 0.6)
        candidates = tuple(
            JudgedCandidate(
                name=name, accuracy=accuracy, macro_f1=accuracy, difference=None, seconds=1.0, chosen=name == WORDS
            )
            for name in ("most frequent label", WORDS)
        )
        StartOutcome(
            labels=("negative", "positive"), taken_as=(), profile=(), warnings=(), judged="cross-validation",
            judged_how="", texts=16, candidates=candidates, verdict="The words.", pile="", since_last=None, seconds=1.0,
        ).write(out)  # fmt: skip
        return 90.0

    monkeypatch.setattr(found, "started", started)
    monkeypatch.setattr(found, "encoder_at_hand", lambda language: EncoderAtHand(None))
    return found


def test_a_start_and_its_baselines_are_scored_on_the_real_test(start: Any, bench: Any, sets_folder: Path) -> None:
    scratch = sets_folder.parent / "scratch"
    common = [str(sets_folder), "--tiny", "--sets", "cr", "--sizes", "8", "--seeds", "3", "--minutes", "2"]
    common += ["--scratch", str(scratch)]
    assert start.main(common) is None
    with (scratch / "cr-8-3" / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    test = set(small_reviews(60, start=59)[0])
    assert [sum(row["label"] == label for row in rows) for label in ("negative", "positive", "")] == [8, 8, 43]
    assert not test & {row["text"] for row in rows}
    result = json.loads(start.main([*common, "--publish"]).read_text())
    (row,) = result["rows"]
    assert (row["labelled"], row["pile"], row["test"], row["seconds"]) == (16, 43, 60, 90.0)
    assert set(row["baselines"]) == {"most frequent label", WORDS, "word vectors of your texts, head"}
    assert row["baselines"]["most frequent label"] == 0.5
    assert row["accuracy"] == row["baselines"][WORDS] > 0.8
    assert result["notes"][1:] == ["Not measured: 16, 64, all labels."]
    assert "| cr | 8 |" in bench("tables").start()


def test_all_labels_leave_the_file_without_labels_as_the_pile(bench: Any, sets_folder: Path) -> None:
    files = bench("start_files")
    (sets_folder / "hahackathon").mkdir()
    for part in ("train", "test"):
        rows = (sets_folder / "cr" / f"{part}.jsonl").read_text(encoding="utf-8")
        (sets_folder / "hahackathon" / f"{part}.jsonl").write_text(rows, encoding="utf-8")
    more = [*small_reviews(5, start=500)[0], small_reviews(1, start=80)[0][0], small_reviews(1)[0][0]]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in more)
    (sets_folder / "hahackathon" / "unlabelled.jsonl").write_text(lines, encoding="utf-8")
    found = files.given(sets_folder, "hahackathon", size="all", seed=0)
    assert (len(found.labelled), found.pile.texts()) == (59, more[:5])
    assert len(files.given(sets_folder, "cr", size="all", seed=0).pile) == 0


def test_the_bars_count_what_is_beyond_the_noise(bench: Any) -> None:
    worse = {**ROW, "set": "emotion", "difference": [-0.04, -0.07, -0.01], "seconds": 180.0, "accuracy": 0.8}
    none = {**ROW, "seed": 1, "estimate": [0.6, None, None]}
    below, covered, time = bench("start_bars").bars_of([ROW, worse, none])
    assert (below["value"], below["at_most"]) == (1, 0)
    assert below["range"] == "difference -4.0 to +5.0 points, mean +2.0; emotion 8 (0) -4.0"
    assert (covered["value"], covered["range"]) == (0.5, "emotion 8 (0) 0.800")
    assert (time["value"], time["range"]) == (1.5, "0.83 to 1.50; longest emotion 8 (0), 180 s")
    header, lines = bench("start_bars").table([ROW, none])
    assert len(header) == len(lines[0])
    assert lines == [["cr", "8", "70.0", "60.0", "1 of 2", "65.0", "b", "+5.0", "auto", "100"]]
