"""The command `curve`: what it prints and refuses."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from nlptl.evaluation import learning_curves
from nlptl.evaluation.intervals import Estimate
from nlptl.interfaces.curving import curve_lines
from nlptl.interfaces.terminal import WIDTH, columns
from nlptl.runs.studies.learning_curve import subsets
from nlptl.runs.studies.learning_curve.label_advice import label_sentence
from nlptl.runs.studies.learning_curve.outcome import (
    CurvePoint,
    CurvePrediction,
    CurveResult,
    LabelCurve,
    Metric,
    MetricCurve,
)
from nlptl.runs.studies.learning_curve.predicting import gain_sentence
from tests.conftest import small_reviews
from tests.interfaces.commands import Shell

STAGES = """
stages:
  - {stage: ngrams, dim: 4}
  - {stage: classification_head}
  - {stage: finetune, update: {method: head, solver: ridge}}
"""


def pipeline(folder: Path, *, rows: int, test: int = 24) -> Path:
    for name, count, start in (("rows.csv", rows, 0), ("test.csv", test, 500)):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            texts, labels = small_reviews(count, start=start)
            csv.writer(file).writerows([("text", "label"), *zip(texts, labels, strict=True)])
    path = folder / "reviews.yaml"
    path.write_text("data: {labelled: rows.csv, test: test.csv}" + STAGES, encoding="utf-8")
    return path


def point(labels: int, score: float) -> CurvePoint:
    return CurvePoint(labels=labels, draws=12, score=Estimate(score, score - 0.05, score + 0.05))


def metric(name: Metric) -> MetricCurve:
    points = tuple(point(size, 0.5 + size / 1000) for size in (8, 11, 16, 23, 32, 45, 64, 90))
    later = Estimate(0.8, 0.7, 0.9, 0.9)
    predictions = tuple(CurvePrediction(labels=size, score=later, gain=later) for size in (180, 360))
    return MetricCurve(
        metric=name, points=points, predictions=predictions, labels_for_a_point=Estimate(10, 5, None), sentence=""
    )


def result(sentences: tuple[str, ...]) -> CurveResult:
    return CurveResult(
        identity="a", data={}, metric="accuracy", labels=("a", "b"), texts=90, judged="test", judged_how="Judged on a test.",
        fits=10, planned=10, method="", curves=(metric("accuracy"), metric("macro-F1")), label_curves=(), pile=None,
        sentences=sentences,
        seconds=1.0,
    )  # fmt: skip


def test_curve_prints_at_most_25_lines_and_goes_on_from_what_is_kept(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subsets.subsets_of, "__kwdefaults__", {"draws": 3})
    monkeypatch.setattr(learning_curves.fit_curve, "__kwdefaults__", {"seed": 0, "samples": 500})
    path = pipeline(tmp_path, rows=32)
    code, printed, err = shell("curve", path, "--out", tmp_path / "out", "--quiet")
    assert (code, err) == (0, "")
    lines = printed.splitlines()
    assert len(lines) <= 25
    assert max(map(columns, lines)) <= WIDTH
    assert [line.split()[0] for line in lines[2:9]] == ["8", "11", "16", "23", "32", "64", "128"]
    assert lines[9] == "Judged on 24 texts of test.csv, from which nothing was learnt."
    assert (tmp_path / "out" / "curve.json").is_file()
    again = shell("curve", path, "--out", tmp_path / "out")
    assert again[1].splitlines()[:-2] == lines
    assert again[1].splitlines()[-2:] == [
        f"Are the labels right?    nlptl audit {path}",
        f"Train on all of them:    nlptl run {path}",
    ]


def test_small_sizes_give_way_to_long_sentences() -> None:
    found = result(("A sentence that takes a line.",) * 14)
    lines = curve_lines(found, others=1)
    assert len(lines) == 24
    assert [line.split()[0] for line in lines[2:8]] == ["23", "32", "45", "64", "90", "180"]
    assert "360 predicted" in "\n".join(lines)
    short = curve_lines(result(()), others=1)
    assert [line.split()[0] for line in short[2:12]] == ["8", "11", "16", "23", "32", "45", "64", "90", "180", "360"]


@pytest.mark.parametrize(
    ("rows", "minutes", "told"),
    [
        (
            6, "1",
            "{folder}/rows.csv: found 6 different texts of 2 labels; a learning curve needs 16 at least, and two labels. Label "
            "more texts first.",
        ),
        (32, "0", "--minutes: found 0; expected a number above 0, at most 100,000. Give the minutes that it may take."),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused_in_a_sentence(
    rows: int, minutes: str, told: str, tmp_path: Path, shell: Shell
) -> None:
    code, printed, err = shell(
        "curve", pipeline(tmp_path, rows=rows), "--out", tmp_path / "o", "--minutes", minutes, "-q"
    )
    assert (code, printed) == (2, "")
    assert " ".join(err.split()) == told.format(folder=tmp_path)


def gain(low: float, high: float) -> CurvePrediction:
    return CurvePrediction(labels=256, score=Estimate(0.8, 0.7, 0.9), gain=Estimate((low + high) / 2, low, high, 0.9))


@pytest.mark.parametrize(
    ("low", "high", "needed", "told"),
    [
        (
            -0.01, 0.004, None,
            "More labels of this kind will not help: 256 labels instead of 64 bring accuracy at most 0.4 points.",
        ),
        (
            -0.01, 0.05, Estimate(30, 10, None),
            "Whether more labels help is not shown: 256 labels instead of 64 bring -1.0 to +5.0 points of accuracy (90 % "
            "interval).",
        ),
        (
            0.007, 0.08, Estimate(30, 10, None),
            "More labels help, but not by a point for sure: 256 labels instead of 64 bring +0.7 to +8.0 points of accuracy "
            "(90 % interval).",
        ),
        (
            0.03, 0.09, Estimate(12, 8, 40),
            "About 12 more labels bring one point of accuracy (90 % interval 8 to 40); 256 labels instead of 64 bring +3.0 to "
            "+9.0 points of accuracy.",
        ),
        (
            0.011, 0.09, Estimate(90, 20, None),
            "About 90 more labels bring one point of accuracy (90 % interval 20 to 448 or more); 256 labels instead of 64 bring "
            "+1.1 to +9.0 points of accuracy.",
        ),
    ],
)  # fmt: skip
def test_sentences_say_no_more_than_the_interval(low: float, high: float, needed: Estimate | None, told: str) -> None:
    assert gain_sentence("accuracy", gain(low, high), needed, texts=64) == told


def test_a_label_is_named_only_where_its_gain_is_shown() -> None:
    def label(name: str, low: float, high: float) -> LabelCurve:
        estimate = Estimate((low + high) / 2, low, high, 0.9)
        return LabelCurve(label=name, texts=20, f1=(point(64, 0.42),), recall=(), gain=estimate)

    told = label_sentence([label("order", -0.02, 0.3), label("refund", 0.03, 0.14), label("other", 0.02, 0.2)])
    assert told == (
        "Label more of *refund*: with twice as many labels its F1 of 0.42 gains most, 3 to 14 points (90 % interval)."
    )
    assert label_sentence([label("order", -0.02, 0.3), label("refund", 0.0, 0.1)]) == (
        "No label stands out as the one to label more of."
    )
    assert label_sentence([]) == ""
    few = [LabelCurve(label=f"rare{n}", texts=n, f1=(), recall=(), gain=None) for n in (1, 2, 4, 5)]
    assert label_sentence([label("order", -0.02, 0.3), label("refund", 0.0, 0.1), few[0]]) == (
        "*rare1* has 1 text: too few to judge; label more of it."
    )
    assert label_sentence([label("refund", 0.03, 0.14), label("other", 0.02, 0.2), *few]) == (
        "*rare1* has 1 text, *rare2* 2, *rare4* 4 and 1 more labels have fewer than 10: too few to judge; label more of "
        f"these. {told}"
    )
    assert label_sentence(few) == ""
