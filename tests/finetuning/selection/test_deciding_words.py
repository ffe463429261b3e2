"""Words that join few examples, and those that do not."""

from __future__ import annotations

import re

import numpy as np
import torch

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.method import Fitted
from nlptl.finetuning.methods.head import HeadOnly
from nlptl.finetuning.selection.deciding_words import (
    with_chosen_words,
    with_deciding_words,
    with_weighed_words,
)
from nlptl.models.classifier import TextClassifier
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.skipgram import SkipGram
from tests.models.tiny import tiny_encoder


def examples_of(*, decided: bool, count: int = 24, words: bool = False) -> tuple[TextClassifier, LabelledExamples]:
    """Return examples in which one word is the label, or none."""
    generator = np.random.default_rng(1)
    labels = [str(number % 2) for number in range(count)]
    texts = [
        " ".join(
            generator.permutation([*(f"w{word}" for word in generator.choice(40, 5)), ("zork", "blim")[int(label)]])
        )
        for label in labels
    ]
    if not decided:
        labels = [str(label) for label in generator.permutation(labels)]
    data = TextData(labelled=(texts, labels))
    given = ClassificationHead().run(
        SkipGram(dim=4, epochs=0, min_count=1).run(data=data) if words else tiny_encoder("bert"), data=data
    )
    return given, LabelledExamples.of(data, given.labels)


def fitted(given: TextClassifier, examples: LabelledExamples) -> Fitted:
    return HeadOnly(solver="logistic").fit(given, examples, RunContext(seed=3, device="cpu"))


def test_a_word_that_is_the_label_joins() -> None:
    given, examples = examples_of(decided=True)
    alone, context = fitted(given, examples), RunContext(seed=3, device="cpu")
    found = with_deciding_words(alone, given, examples, context)
    (told,) = context.record.sentences
    counts = re.fullmatch(
        r"The words join the classifier: of 24 examples, each held out once, they get (\d+) right, a head over the encoder (\d+)\.",
        told,
    )
    assert counts is not None
    assert int(counts[1]) > 20 > int(counts[2])
    assert context.record.report["words"] == {"weight": 1.0}
    assert found.classifier.predict(["w1 zork w2", "w1 blim w2"]) == ["0", "1"]
    assert found.trainable_parameters > alone.trainable_parameters


def test_words_that_tell_nothing_do_not_join() -> None:
    given, examples = examples_of(decided=False)
    alone, context = fitted(given, examples), RunContext(seed=3, device="cpu")
    assert with_deciding_words(alone, given, examples, context) is alone
    assert context.record.sentences == []


def test_words_multiply_the_probabilities() -> None:
    given, examples = examples_of(decided=True)
    alone, context = fitted(given, examples), RunContext(seed=3, device="cpu")
    assert with_chosen_words(0.0, alone, examples, context) is alone
    one, two = (with_chosen_words(weight, alone, examples, context).classifier for weight in (1.0, 2.0))
    texts = ["w1 zork w2", "w3 w4", "blim"]
    logits = [torch.from_numpy(each.predict_proba(texts)).log() for each in (alone.classifier, one, two)]
    odds = [(each[:, 1] - each[:, 0]).numpy() for each in logits]
    np.testing.assert_allclose(odds[2] - odds[1], odds[1] - odds[0], atol=1e-4)


def test_words_join_word_vectors_where_held_out_examples_say_so() -> None:
    given, examples = examples_of(decided=True, count=40, words=True)
    alone, context = fitted(given, examples), RunContext(seed=3, device="cpu")
    found = with_weighed_words(alone, examples, context)
    (told,) = context.record.sentences
    shares = re.fullmatch(
        r"The words join the classifier: of 40 held-out examples, the share right is (\S+) with the words \((\S+) without\)\.",
        told,
    )
    assert shares is not None
    assert float(shares[1]) > float(shares[2])
    assert found.classifier.predict(["w1 zork w2", "w1 blim w2"]) == ["0", "1"]
    assert found.calibration.held_out == 40
    assert found.held_out_logits is not None
    both = found.held_out_logits()
    assert both is not None
    right = (both.argmax(dim=1) == examples.label_ids).float().mean()
    assert abs(float(right) - float(shares[1])) < 1e-3


def test_words_that_tell_nothing_or_are_few_do_not_join_word_vectors() -> None:
    for decided, count in ((False, 40), (True, 24)):
        given, examples = examples_of(decided=decided, count=count, words=True)
        alone, context = fitted(given, examples), RunContext(seed=3, device="cpu")
        assert with_weighed_words(alone, examples, context) is alone
        assert context.record.sentences == []
