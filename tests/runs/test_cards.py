"""Model cards of a run: complete after the test, kept while nothing changes, and never written over a person's words."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from nlptl.context import RunContext
from nlptl.disk.sealed_text import CARD, is_sealed
from nlptl.models.card_metadata import CardTest
from nlptl.models.classifier import TextClassifier
from nlptl.progress import SilentProgress
from nlptl.runs.cards import card_scores, renew_cards
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.runner import RunResult

LAST = "4-finetune"


class Listener(SilentProgress):
    """Progress that keeps what is said."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def say(self, line: str) -> None:
        self._said.append(line)


def cards_told(said: list[str]) -> list[str]:
    return [line for line in said if CARD in line]


@pytest.fixture
def said() -> list[str]:
    """Return what the runs of a test have said."""
    return []


@pytest.fixture
def run(review_files: Path, said: list[str]) -> Callable[..., RunResult]:
    """Return what runs the small pipeline."""

    def run_it(*assignments: str) -> RunResult:
        pipeline = Pipeline.from_yaml(review_files / "small.yaml", assignments=["stages.0.epochs=3", *assignments])
        return pipeline.run(review_files / "out", context=RunContext(device="cpu", progress=Listener(said)))

    return run_it


def test_the_card_of_a_run(run: Callable[..., RunResult], said: list[str], review_files: Path) -> None:
    """One run and its repetitions in one test, since each takes a second."""
    result, out = run(), review_files / "out"
    assert [place.name for place in sorted(out.glob("*/")) if (place / CARD).is_file()] == [
        "3-classification_head",
        LAST,
    ]
    path = out / LAST / CARD
    card, text = ModelCard.load(path), path.read_text(encoding="utf-8")
    assert result.evaluation is not None
    scored = {one.metric_type: one.metric_value for one in card.data.eval_results or []}
    assert scored == {
        "accuracy": round(result.evaluation.accuracy.value, 4), "f1": round(result.evaluation.macro_f1.value, 4)
    }  # fmt: skip
    told = text.replace("&#91;", "[").replace("&#93;", "]")
    for score in (result.evaluation.accuracy, result.evaluation.macro_f1):
        assert f"| {score} |" in told
    digests = result.stages[-1].manifest.data | result.stages[0].manifest.data
    assert "unlabelled" in digests
    assert all(digest in text for digest in digests.values())
    assert "| unlabelled | 60 |" in text
    assert "| labelled | 12 |" in text
    assert "skipgram, sentence&#95;vectors, classification&#95;head, finetune (head)" in text
    assert "Seed: 3." in text
    assert str(review_files) not in text
    with (review_files / "train.csv").open() as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    assert not any(one in text for one in texts)
    assert "do not use its answers" in (out / "3-classification_head" / CARD).read_text(encoding="utf-8")

    (out / ".inputs.json").unlink()
    assert all(outcome.kept for outcome in run().stages)
    assert path.read_text(encoding="utf-8") == text

    edited = "---\nlicense: mit\n---\n" + text
    path.write_text(edited, encoding="utf-8")
    (out / ".inputs.json").unlink()
    said.clear()
    assert all(outcome.kept for outcome in run().stages)
    assert path.read_text(encoding="utf-8") == edited
    assert not cards_told(said), "the scores stand in it"
    assert TextClassifier.load(out).labels == ("negative", "positive")
    remark = (
        f"{LAST}/README.md was edited and stays as it is: {{}}. Move it elsewhere, and the next run writes a new one."
    )
    test = review_files / "test.csv"
    test.write_text("\n".join(test.read_text(encoding="utf-8").splitlines()[:-3]) + "\n", encoding="utf-8")
    assert all(outcome.kept for outcome in run().stages)
    assert cards_told(said) == [remark.format("the new scores are not in it")]
    said.clear()
    assert [outcome.kept for outcome in run("stages.3.update.l2=0.5").stages] == [True, True, True, False]
    assert cards_told(said) == [remark.format("it may tell of an earlier classifier")]
    assert path.read_text(encoding="utf-8") == edited, "nothing blocks, and nothing is lost"
    assert TextClassifier.load(out).labels == ("negative", "positive")

    for missing in (path, out / "3-classification_head" / CARD):  # as in a folder of an earlier version
        missing.unlink()
    said.clear()
    assert all(outcome.kept for outcome in run("stages.3.update.l2=0.5").stages)
    assert is_sealed(path)
    assert ModelCard.load(path).data.eval_results
    assert is_sealed(out / "3-classification_head" / CARD)
    assert not cards_told(said)


def test_the_card_of_texts_with_several_labels(review_files: Path) -> None:
    for name in ("train", "test"):
        path = review_files / f"{name}.csv"
        rows = path.read_text(encoding="utf-8").replace(",positive", ",positive|warm").splitlines()
        path.write_text("\n".join([*rows[:-1], rows[-1].replace("positive|warm", "negative")]) + "\n", encoding="utf-8")
    pipeline = Pipeline.from_yaml(
        review_files / "small.yaml", assignments=["stages.0.epochs=1", "data.labels.separator='|'"]
    )
    result = pipeline.run(review_files / "out", context=RunContext(device="cpu"))
    card = ModelCard.load(review_files / "out" / LAST / CARD)
    assert result.evaluation is not None
    scores = result.evaluation.main_scores()
    assert [(one.metric_name, one.metric_type, one.metric_args) for one in card.data.eval_results or []] == [
        ("Micro-F1", "f1", {"average": "micro"}), ("Macro-F1", "f1", {"average": "macro"}), ("All labels right", "accuracy", None)
    ]  # fmt: skip
    assert all(str(one.estimate) in card.text.replace("&#91;", "[").replace("&#93;", "]") for one in scores)
    assert "It gives a text none, one or several of 3 labels" in card.text
    assert "| label | labelled examples | given from this probability on |" in card.text

    stages, (data, _) = {one.folder: one.manifest for one in result.stages}, pipeline.check()
    assert renew_cards(stages, data, None) == []
    assert ModelCard.load(review_files / "out" / LAST / CARD).content == card.content, "no scores, nothing to renew"
    held_out = CardTest(12, "d" * 64, card_scores(scores), how="Judged by cross-validation (4 folds).")
    assert renew_cards(stages, data, held_out) == []
    judged = ModelCard.load(review_files / "out" / LAST / CARD)
    assert "Judged by cross-validation (4 folds).\n\nOn 12 held-out texts (SHA-256 `ddd" in judged.text
    assert {one.dataset_name for one in judged.data.eval_results or []} == {"Labelled texts of the run, held out"}
