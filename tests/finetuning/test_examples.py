"""Labelled examples: numbered once, encoded once, drawn from the pile without themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import DataError
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.probabilities import check_priors, priors_told
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from tests.conftest import small_reviews
from tests.models.tiny import tiny_encoder

LABELS = ("negative", "positive")


class Counting:
    """Encoder that counts what it is asked to encode; a vector is the text's length."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str], *, after_batch: Callable[[int], None] | None = None) -> np.ndarray:
        self.texts += texts
        if after_batch is not None:
            after_batch(len(texts))
        return np.array([[len(text)] for text in texts], dtype=np.float32)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "bb", "ccc"]), min_size=1, max_size=12), st.integers(0, 3))
def test_each_distinct_example_is_encoded_once(texts: list[str], seed: int) -> None:
    labels = [LABELS[(len(text) + seed) % 2] for text in texts]
    data = TextData(labelled=([*texts, "dddd", "eeeee"], [*labels, *LABELS]))
    examples, encoder = LabelledExamples.of(data, LABELS), Counting()
    some: Any = encoder
    rows = list(range(0, len(examples), 2))
    first = examples.frozen_vectors(some)
    part = examples.select(rows).frozen_vectors(some)
    assert examples.frozen_vectors(some) is first
    assert first.flatten().tolist() == [len(text) for text in examples.texts]
    assert torch.equal(part, first[rows])
    assert sorted(encoder.texts) == sorted({*texts, "dddd", "eeeee"})


def test_ids_follow_the_classifier_and_not_the_order_of_the_file() -> None:
    examples = LabelledExamples.of(TextData(labelled=(["a", "b", "c"], ["x", "y", "x"])), ("y", "x"))
    assert examples.label_ids.tolist() == [1, 0, 1]
    assert examples.label_counts().tolist() == [1, 2]
    assert examples.label_shares().tolist() == pytest.approx([1 / 3, 2 / 3])
    assert examples.label_shares(balanced=True).tolist() == [0.5, 0.5]


def test_a_part_has_neither_validation_texts_nor_a_pile() -> None:
    data = TextData(labelled=small_reviews(6), validation=small_reviews(4, start=50), unlabelled=["a text"])
    examples = LabelledExamples.of(data, LABELS)
    assert examples.validation is not None
    assert len(examples.validation.texts) == len(examples.validation.label_ids) == 4
    part = examples.select([5, 0])
    assert (part.texts, part.validation, part.unlabelled) == ([examples.texts[5], examples.texts[0]], None, None)
    assert part.draw_unlabelled(3, RunContext().generator("pile")) == []


def test_names_alone_make_examples_without_texts() -> None:
    examples = LabelledExamples.of(TextData(label_names={"negative": "bad", "positive": "good"}), LABELS)
    assert (len(examples), examples.label_count) == (0, 2)
    assert examples.label_shares().tolist() == [0.5, 0.5]
    assert examples.sentences(["{}!"]).texts == ("bad!", "good!")


def test_other_labels_than_the_head_knows_are_told() -> None:
    with pytest.raises(DataError) as caught:
        LabelledExamples.of(TextData(labelled=(["a", "b"], ["x", "y"])), LABELS)
    assert str(caught.value) == (
        "finetune: the head knows the labels negative, positive, the data have x, y; both must be equal. Attach a fresh "
        "classification_head."
    )


@pytest.mark.parametrize(
    ("update", "times"),
    [({"method": "head"}, 1), ({"method": "head", "solver": "logistic"}, 1), ({"method": "auto"}, 4)],
)
def test_a_fine_tuning_encodes_its_examples_once(
    update: dict[str, Any], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside that, auto times the encoder on some of them, after a first call on four, and reads them by the layers that learnt."""
    data, context = TextData(labelled=small_reviews(12)), RunContext(seed=1, device="cpu")
    given = ClassificationHead().run(tiny_encoder("bert"), data=data, context=context)
    seen: list[str] = []
    encode = type(given.encoder).encode

    def watched(self: Any, texts: Sequence[str], **settings: Any) -> Any:
        seen.extend(texts)
        return encode(self, texts, **settings)

    monkeypatch.setattr(type(given.encoder), "encode", watched)
    FineTune(update=update).run(given, data=data, context=context)
    assert all(seen.count(text) <= times for text in small_reviews(12)[0])


def test_vectors_that_are_let_go_of_are_made_again() -> None:
    examples, encoder = LabelledExamples.of(TextData(labelled=small_reviews(4)), LABELS), Counting()
    some: Any = encoder
    examples.frozen_vectors(some)
    examples.forget_vectors(some)
    assert not examples.knows_vectors(some)
    examples.frozen_vectors(some)
    assert len(encoder.texts) == 8


def test_what_a_user_should_act_on_is_a_warning() -> None:
    data = TextData(labelled=small_reviews(8), validation=small_reviews(5, start=50))
    context = RunContext(seed=1, device="cpu")
    given = ClassificationHead().run(tiny_encoder("bert"), data=data, context=context)
    FineTune(update={"method": "head", "solver": "ridge"}).run(given, data=data, context=context)
    (told,) = context.record.warnings
    assert told.startswith("data.validation: found 5 texts, too few to correct probabilities by")
    assert told in context.record.sentences


@pytest.mark.parametrize("labels", [("yes", "1", "a, b"), ('say "no"', "null", "a: b"), ("not-humorous", "é", "{}")])
@pytest.mark.parametrize("counts", [(335, 335, 330), (9_996, 2, 2), (900, 98, 2)])
def test_priors_are_told_as_the_setting_takes_them(labels: tuple[str, ...], counts: tuple[int, ...]) -> None:
    shares = [count / sum(counts) for count in counts]
    read = yaml.safe_load(priors_told(labels, shares))
    assert read == {"priors": pytest.approx(dict(zip(labels, shares, strict=True)), abs=5e-3)}
    check_priors(read["priors"], labels, where="finetune")
    assert all(share > 0 for share in read["priors"].values())


def test_many_priors_are_told_by_their_form() -> None:
    told = priors_told(("a", "b", "c", "d", "e"), [0.8, 0.05, 0.05, 0.05, 0.05])
    assert told == "priors: {LABEL: SHARE, ...}, a share for each label, 1 in all"


def test_examples_drawn_evenly_stand_for_the_shares_of_all() -> None:
    examples = LabelledExamples.of(
        TextData(labelled=([f"text {i}" for i in range(50)], ["x"] * 10 + ["y"] * 40)), ("x", "y")
    )
    some = dataclasses.replace(examples.select(range(8, 12)), whole_counts=examples.label_counts())
    assert some.label_counts().tolist() == [2, 2]
    assert some.select([0, 2]).label_shares().tolist() == pytest.approx([0.2, 0.8])
    assert some.is_skewed
    assert not examples.select(range(8, 12)).is_skewed
