"""Equal figures have equal intervals, whoever prints them; a test on learnt texts says so in its first line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nlptl.context import RunContext
from nlptl.data import TextData, load_table
from nlptl.evaluation.scores import evaluate_classifier, load_classifier
from nlptl.interfaces.text import run_lines, show_lines
from nlptl.models.classifier import TextClassifier
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.runner import RunResult, read_scores
from nlptl.stages.finetune import FineTune

CPU = RunContext(device="cpu")


def run(review_files: Path, *assignments: str) -> RunResult:
    return Pipeline.from_yaml(review_files / "small.yaml", assignments=assignments).run(
        review_files / "out", context=CPU
    )


@pytest.mark.parametrize("seed", [3, 14])
def test_run_evaluate_and_show_give_one_interval(review_files: Path, seed: int) -> None:
    result = run(review_files, f"seed={seed}", "stages.0.epochs=1")
    test = load_table(str(review_files / "test.csv"))
    evaluated = evaluate_classifier(load_classifier(review_files / "out", CPU), test, after_batch=lambda count: None)
    assert result.evaluation == evaluated
    shown = list(show_lines(review_files / "out", details=True))
    accuracy, *others = evaluated.score_lines()
    assert f"Test: {accuracy}." in shown
    assert [f"  {line}" for line in others] == shown[-len(others) :]
    assert f"Test: {accuracy}." in list(run_lines(result))


def test_scores_of_an_earlier_version_are_made_again(review_files: Path) -> None:
    first = run(review_files).scores
    assert first is not None
    path = review_files / "out" / "evaluation.json"
    raw = json.loads(path.read_text())
    del raw["digest"], raw["evaluation"]["most_frequent"]
    path.write_text(json.dumps(raw))
    assert read_scores(review_files / "out") is not None
    assert run(review_files).scores == first


def test_texts_that_were_learnt_are_told_first(review_files: Path) -> None:
    run(review_files)
    rows = (review_files / "train.csv").read_text().splitlines()
    new = (review_files / "test.csv").read_text().splitlines()[1:3]
    (review_files / "mixed.csv").write_text("\n".join([*rows, *new]) + "\n")
    classifier = TextClassifier.load(review_files / "out")
    table = load_table(str(review_files / "mixed.csv"))
    lines = evaluate_classifier(classifier, table, after_batch=lambda count: None).summary_lines()
    assert lines[0] == (
        "12 of 14 texts were learnt from: these scores are too high. Score on texts that the classifier has not seen."
    )
    assert lines[1].startswith("accuracy ")
    classifier.save(review_files / "saved")
    assert TextClassifier.load(review_files / "saved").learnt == classifier.learnt


def test_a_run_that_keeps_leaks_tells_so_first(review_files: Path) -> None:
    train, test = review_files / "train.csv", review_files / "test.csv"
    train.write_text(train.read_text() + test.read_text().split("\n", 2)[1] + "\n")
    result = run(review_files, "data.drop_leaks=false")
    told = "1 of 20 texts was learnt from: these scores are too high. Score on texts that the classifier has not seen."
    assert next(iter(run_lines(result))) == told
    shown = list(show_lines(review_files / "out"))
    assert shown[shown.index("") + 1] == told
    assert not run(review_files).evaluation.warnings()  # type: ignore[union-attr]


def test_a_classifier_of_an_earlier_version_says_nothing(review_files: Path) -> None:
    run(review_files)
    classifier = TextClassifier.load(review_files / "out")
    classifier.learnt = None
    classifier.save(review_files / "old")
    assert not (review_files / "old" / "learnt.json").exists()
    table = load_table(str(review_files / "train.csv"))
    evaluation = evaluate_classifier(TextClassifier.load(review_files / "old"), table, after_batch=lambda count: None)
    assert (evaluation.texts_learnt, evaluation.warnings()) == (None, [])
    assert evaluation.most_frequent is not None


def test_training_again_knows_both_sets(review_files: Path) -> None:
    run(review_files)
    given = TextClassifier.load(review_files / "out")
    more = TextData(labelled=(["a new text", "one more"], ["negative", "positive"]))
    again = FineTune(update={"method": "head"}).run(given, data=more, context=CPU)
    assert again.learnt is not None
    assert given.learnt is not None
    old = load_table(str(review_files / "train.csv")).texts()
    assert again.learnt.count([*old, "a new text", "unseen"]) == 13
    assert given.learnt.count(["a new text"]) == 0
