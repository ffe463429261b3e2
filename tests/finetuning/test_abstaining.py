"""What fine-tuning keeps for prediction sets: logits of fits without the example, or of a stand-in, and known texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nlptl.context import RunContext
from nlptl.data import LabelNames, TextData
from nlptl.finetuning.linear import LabelledVectors, fit_logistic
from nlptl.inference.abstention.abstention import Abstention
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.ngrams import NgramVectors
from tests.conftest import small_reviews
from tests.models.tiny import tiny_encoder

LOGISTIC: dict[str, Any] = {"method": "head", "solver": "logistic"}
FULL: dict[str, Any] = {"method": "full", "epochs": 1, "l2": 0.1}


def fitted(encoder: Encoder | None, update: dict[str, Any], *, shots: int = 24, **more: Any) -> TextClassifier:
    usual = {"labelled": small_reviews(shots), "unlabelled": small_reviews(40, start=300)[0]}
    data = TextData(**{**usual, **more})
    encoder = encoder or NgramVectors(dim=6).run(data=data)
    given = ClassificationHead().run(encoder, data=data)
    priors = {"negative": 0.2, "positive": 0.8} if update is LOGISTIC else "observed"
    return FineTune(update=update, priors=priors).run(given, data=data, context=RunContext(seed=3, device="cpu"))


def abstention_of(*arguments: Any, **more: Any) -> Abstention:
    found = fitted(*arguments, **more).abstention
    assert found is not None
    return found


def test_logits_of_a_head_are_those_of_fits_without_the_example() -> None:
    classifier = fitted(None, LOGISTIC)
    assert classifier.abstention is not None
    held_out = classifier.abstention.held_out
    texts, labels = small_reviews(24)
    rows = torch.from_numpy(classifier.encoder.encode(texts))
    ids = classifier.label_ids(labels)
    every = fit_logistic(LabelledVectors.of(rows, ids, 2))
    expected = every.out_of_fold_logits / every.temperature
    expected = expected + torch.tensor([0.2, 0.8]).double().log() - torch.tensor([0.5, 0.5]).double().log()
    assert held_out.probabilities == pytest.approx(expected.softmax(dim=1).numpy(), abs=1e-5)
    assert held_out.label_ids.tolist() == ids.tolist()
    assert (held_out.is_approximate, held_out.weight) == (False, 0.5)
    assert classifier.abstention.fits(classifier.head.last_weight)


def test_copies_of_a_text_are_held_out_together_and_count_once() -> None:
    texts, labels = small_reviews(12)
    found = abstention_of(None, LOGISTIC, labelled=(texts + texts[:6], labels + labels[:6]))
    assert len(found.held_out.label_ids) == 12


@pytest.mark.parametrize("update", [{"method": "head", "epochs": 2, "l2": 0.1, "folds": 2}, {"method": "words"}])
def test_a_head_by_gradient_and_words_have_sets_too(update: dict[str, Any]) -> None:
    found = abstention_of(None, update)
    assert found.held_out.is_approximate == (update["method"] == "words")
    assert len(found.held_out.label_ids) == 24


def test_layers_that_learn_have_a_stand_in_and_look_at_the_pile_alone() -> None:
    encoder = tiny_encoder("bert")
    classifier = fitted(encoder, FULL)
    found = classifier.abstention
    assert found is not None
    assert found.held_out.is_approximate
    assert found.known is None  # 40 texts of the pile are too few
    large = abstention_of(encoder, FULL, unlabelled=small_reviews(130, start=300)[0])
    assert large.known is not None
    assert large.known.count == 130
    sets = classifier.predict_sets(["The plot is dull"], 0.8)
    assert (sets[0].unknown, sets[0].novelty) == (None, None)


def test_frozen_layers_look_at_labelled_texts_too() -> None:
    found = abstention_of(tiny_encoder("bert"), LOGISTIC)
    assert found.known is not None
    assert found.known.count == 24 + 40


def test_validation_texts_speak_for_the_classifier_itself() -> None:
    validation = small_reviews(30, start=600)
    update = {"method": "contrastive", "steps": 1}
    classifier = fitted(tiny_encoder("bert"), update, validation=validation)
    assert classifier.abstention is not None
    held_out = classifier.abstention.held_out
    assert (held_out.is_approximate, held_out.weight) == (False, 1.0)
    assert held_out.probabilities == pytest.approx(classifier.probabilities(validation[0]), abs=1e-6)
    assert held_out.label_ids.tolist() == classifier.label_ids(validation[1]).tolist()


def test_labels_without_a_second_text_have_no_sets() -> None:
    assert fitted(None, LOGISTIC, shots=2).abstention is None
    named = TextData(label_names=LabelNames((("bad", "bad"), ("good", "good"))), unlabelled=small_reviews(30)[0])
    given = ClassificationHead().run(NgramVectors(dim=6).run(data=named), data=named)
    assert FineTune(update=LOGISTIC).run(given, data=named).abstention is None


def test_the_same_seed_keeps_the_same() -> None:
    one, other = (abstention_of(None, LOGISTIC) for _ in range(2))
    assert one.known is not None
    assert other.known is not None
    assert np.array_equal(one.held_out.probabilities, other.held_out.probabilities)
    assert one.known.scale.tolist() == other.known.scale.tolist()


def test_a_stand_in_of_many_examples_sees_some_of_each_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlptl.finetuning.abstaining.MAX_HELD_OUT", 12)
    texts, labels = small_reviews(60)
    rare = ([*texts, "One odd text", "Another odd text"], [*labels, "odd", "odd"])
    found = abstention_of(None, {"method": "words"}, labelled=rare)
    assert found.held_out.is_approximate
    assert len(found.held_out.label_ids) == 12
    assert found.held_out.logits.shape == (12, 3)
