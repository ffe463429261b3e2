"""Finished runs on their common test, and runs that cannot be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nlptl.context import RunContext
from nlptl.disk.drafts import append_lines
from nlptl.errors import ConfigError, DataError, NlptlError
from nlptl.models.classifier import TextClassifier
from nlptl.results import read_result_lines, result_lines
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.reading import compared_runs
from nlptl.runs.reading.compared_runs import compare_runs
from nlptl.runs.studies.comparison.comparison import ComparisonResult, read_comparison
from nlptl.runs.studies.comparison.comparison_rows import ComparisonRow

CONTEXT = RunContext(device="cpu")
QUICK = ("stages.0.epochs=2", "stages.3.update={method: head, solver: ridge}")


def run(folder: Path, name: str, *assignments: str) -> Path:
    path = folder / "small.yaml"
    Pipeline.from_yaml(path, assignments=[*QUICK, *assignments]).run(folder / name, context=CONTEXT)
    return folder / name


def compared(folder: Path, *runs: Path, **settings: Any) -> ComparisonResult:
    return compare_runs(runs, folder / "out", CONTEXT, **settings)


def test_runs_are_paired_by_text(review_files: Path) -> None:
    first, second = run(review_files, "a"), run(review_files, "b", "stages.0.epochs=0")
    found = compared(review_files, first, second)
    assert found.arms == (str(first), str(second))
    test = review_files / "test.csv"
    assert found.judged == f"Judged on 20 texts of {test}, which no run has learnt."
    texts, labels = zip(*(line.rsplit(",", 1) for line in test.read_text().splitlines()[1:]), strict=True)
    for folder, accuracy in zip((first, second), found.results[0].accuracies, strict=True):
        predicted = TextClassifier.load(folder / "4-finetune").predict([text.strip('"') for text in texts])
        assert accuracy.value == pytest.approx(sum(a == b for a, b in zip(predicted, labels, strict=True)) / 20)
    assert [one.cost is not None and one.cost.disk is not None for one in found.facts] == [True, True]
    assert "each arm was trained once" in found.sentence
    assert read_comparison(review_files / "out") == found
    path = review_files / "out" / "comparison.jsonl"
    rows = read_result_lines(path, ComparisonRow)[0]
    assert [row.arm for row in rows] == list(found.arms)
    trained = rows[0].model_copy(update={"identity": "of a trial"})
    append_lines(path, result_lines([trained]))
    compared(review_files, first, second)
    kept = read_result_lines(path, ComparisonRow)[0]
    assert kept[0] == trained  # what a comparison of pipelines has trained into the same folder
    assert [row.arm for row in kept[1:]] == list(found.arms)


def refused(review_files: Path, *runs: Path, **settings: Any) -> str:
    with pytest.raises(NlptlError) as caught:
        compared(review_files, *runs, **settings)
    assert isinstance(caught.value, ConfigError | DataError)
    assert not (review_files / "out" / "comparison.json").exists()
    return str(caught.value)


def test_runs_with_other_tests_or_texts_learnt(review_files: Path) -> None:
    first = run(review_files, "a")
    other, train = review_files / "other.csv", review_files / "train.csv"
    other.write_text("".join((review_files / "test.csv").read_text().splitlines(True)[:9]))
    second = run(review_files, "b", f"data.test={other}")
    assert refused(review_files, first, second) == (
        f"test: {first} has test.csv (20 texts); {second} has other.csv (8 texts); a comparison needs a test that all have. "
        "Give one with --test FILE."
    )
    assert refused(review_files, first, second, test=train) == (
        f"{first}: its classifier has learnt 12 of the 12 texts of {train}, so its scores would be too high. Give a test that "
        "no run has learnt with --test FILE."
    )
    assert compared(review_files, first, second, test=other).results[0].texts == 8


def test_runs_with_other_labels(review_files: Path) -> None:
    first, more = run(review_files, "a"), review_files / "more.csv"
    more.write_text((review_files / "train.csv").read_text() + "another text,maybe\nand one more,maybe\n")
    second = run(review_files, "b", f"data.labelled={more}")
    assert refused(review_files, first, second) == (
        f"{second}: its labels are 'maybe', 'negative', 'positive', but those of {first} are 'negative', 'positive'; a "
        "comparison needs the same. Give runs with the same labels."
    )


def test_a_run_of_an_encoder(review_files: Path) -> None:
    first, encoder = run(review_files, "a"), review_files / "encoder"
    text = (review_files / "small.yaml").read_text()
    (review_files / "short.yaml").write_text("\n".join(text.splitlines()[:-2]) + "\n")
    Pipeline.from_yaml(review_files / "short.yaml", assignments=QUICK[:1]).run(encoder, context=CONTEXT)
    assert refused(review_files, first, encoder) == (
        f"{encoder}: its last stage is an encoder, but a comparison needs classifiers. Give a run that ends with finetune."
    )


def test_scores_that_are_no_numbers(review_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = run(review_files, "a"), run(review_files, "b")
    original = compared_runs.load_classifier

    def broken(stage: Path, context: RunContext) -> TextClassifier:
        found = original(stage, context)
        if second in stage.parents:
            found.head.last_linear.weight.data.fill_(float("nan"))
        return found

    monkeypatch.setattr(compared_runs, "load_classifier", broken)
    assert refused(review_files, first, second) == (
        f"{second}: its classifier gives 20 of 20 texts of {review_files / 'test.csv'} probabilities that are no numbers "
        "(NaN), so it cannot be compared. Train it again with a lower learning rate, or leave it out."
    )
