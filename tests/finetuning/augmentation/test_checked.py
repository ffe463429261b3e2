"""What joins the labelled texts in contrastive fine-tuning: altered versions that keep their label, and the pile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import DataError
from nlptl.finetuning.augmentation import Augmented, checked
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.methods.contrastive import Contrastive
from nlptl.inference.segmenter import SegmenterSettings, segmenter_available
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.stages.classification_head import ClassificationHead
from tests.models.tiny import tiny_encoder


class GoodIsPositive:
    """Stands for the heads on frozen vectors: the word "good" is all that they see."""

    def __init__(self, given: TextClassifier, examples: LabelledExamples) -> None:
        del given, examples

    def __call__(self, texts: list[str], labels: list[str]) -> Callable[[list[str]], np.ndarray]:
        del texts, labels
        return lambda asked: np.array([[0.1, 0.9] if "good" in text.split() else [0.9, 0.1] for text in asked])


def altered(data: TextData, pile: list[str], *augment: dict[str, Any]) -> tuple[Augmented, RunContext]:
    context = RunContext(seed=3, device="cpu")
    given = ClassificationHead().run(tiny_encoder("bert"), data=data, context=context)
    blocks, examples = Contrastive.model_validate({"augment": augment}).augment, LabelledExamples.of(data, given.labels)
    return checked.checked_versions(blocks, given, examples, pile, context), context


def test_versions_are_held_against_the_label_of_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge misreads the first text, so that the versions without "good" are those with its label."""
    monkeypatch.setattr(checked, "_FrozenHeads", GoodIsPositive)
    data = TextData(labelled=(["not a good film", "a good story"], ["negative", "positive"]))
    found, _ = altered(data, ["good things", "bad things"], {"kind": "word_dropout", "copies": 20})
    rows = {row: [text for text, of in zip(found.texts, found.rows, strict=True) if of == row] for row in range(4)}
    assert rows[0]
    assert not any("good" in text for text in rows[0])
    assert rows[1]
    assert all("good" in text for text in rows[1])
    assert (rows[2], sorted(rows[3])) == (["good"], ["bad", "things"])


@pytest.mark.skipif(not segmenter_available(), reason="needs SudachiPy")
def test_versions_are_cut_as_the_classifier_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked, "_FrozenHeads", GoodIsPositive)
    data = TextData(labelled=(["面白かった", "good"], ["negative", "positive"]))
    by_script, _ = altered(data, [], {"kind": "word_dropout", "share": 0.5, "copies": 9})
    cutter = SegmenterSettings().installed()
    monkeypatch.setattr(Encoder, "word_cutter", property(lambda _: cutter))
    by_segmenter, _ = altered(data, [], {"kind": "word_dropout", "share": 0.5, "copies": 9})
    assert (set(by_script.texts), set(by_segmenter.texts)) == ({"面白", "かった"}, {"面白かっ", "た"})


def test_the_ablation_measures_texts_that_passed_the_label_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked, "_FrozenHeads", GoodIsPositive)
    texts = ["not a good film", "no good story", "a good film", "a good story"]
    data = TextData(labelled=(texts, ["negative", "negative", "positive", "positive"]))
    found, context = altered(data, [], {"kind": "word_dropout", "copies": 2})
    assert 0 < len(found) < 8
    assert "of those made dropped by the label check) changed the accuracy by" in context.record.sentences[-1]


def test_texts_without_letters_need_no_words_unless_an_edit_draws_some() -> None:
    data = TextData(labelled=(["😂😂 😂", "😀 😀", "😡 😡", "😡 👎"], ["joy", "joy", "rage", "rage"]))
    edits = [{"kind": "word_dropout"}, {"kind": "swap"}, {"kind": "eda", "edits": ["swap", "delete"]}]
    _, context = altered(data, [], *edits)
    assert context.record.sentences[0].startswith("Augmentation made ")
    with pytest.raises(DataError, match="augmentation: found 0 words in the 4 texts"):
        altered(data, [], {"kind": "eda"})


def drawn_from(data: TextData, count: int) -> list[str]:
    examples = LabelledExamples.of(data, data.label_set.names)
    return examples.draw_unlabelled(count, RunContext(seed=3).generator("pile"))


def test_a_pile_that_repeats_labelled_texts_gives_as_many_others_as_asked() -> None:
    others = [f"text number {number}" for number in range(300)]
    labelled = (["a good film", "a bad film"], ["positive", "negative"])
    drawn = {}
    for copies in (0, 400):
        data = TextData(labelled=labelled, unlabelled=["a good film"] * copies + others)
        drawn[copies] = drawn_from(data, 300)
        assert sorted(drawn[copies]) == sorted(others)
    data = TextData(labelled=labelled, unlabelled=others)
    assert drawn_from(data, 10) == drawn[0][:10]
    assert drawn_from(data, 400) == drawn[0]


def test_a_label_of_one_text_and_its_copy_leaves_nothing_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked, "_FrozenHeads", GoodIsPositive)
    texts = ["not a film", "no story at all", "a good film", "a good film"]
    data = TextData(labelled=(texts, ["negative", "negative", "positive", "positive"]))
    _, context = altered(data, [], {"kind": "word_dropout"})
    assert "augmentation" in context.record.report
    assert "ablation" not in context.record.report
