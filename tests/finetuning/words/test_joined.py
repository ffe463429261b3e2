"""A classifier joined with the words: logits add up, and the artifact reads back equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.evaluation.duplicates import duplicate_groups
from nlptl.finetuning.words.joined import with_words
from nlptl.finetuning.words.word_expert import fit_words
from nlptl.models.classifier import TextClassifier
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from tests.conftest import small_reviews
from tests.models.tiny import tiny_encoder


def test_logits_add_up_and_read_back(tmp_path: Path) -> None:
    texts, labels = small_reviews(24)
    data = TextData(labelled=(texts, labels))
    context = RunContext(seed=1, device="cpu")
    given = ClassificationHead().run(tiny_encoder("bert"), data=data, context=context)
    own = FineTune(update={"method": "head", "solver": "ridge"}).run(given, data=data, context=context)
    ids = own.label_ids(labels)
    words = fit_words(texts, ids, 2, groups=duplicate_groups(texts, labels), seed=1)
    assert words is not None
    joined = with_words(own, words.view, own_weight=0.5, words_weight=2.0)
    fresh = small_reviews(10, start=200)[0]
    logits = 0.5 * np.log(own.predict_proba(fresh)) + 2.0 * words.view.vectors(fresh).numpy()
    expected = torch.from_numpy(logits).softmax(dim=1).numpy()
    np.testing.assert_allclose(joined.predict_proba(fresh), expected, atol=1e-5)
    joined.save(tmp_path / "joined")
    np.testing.assert_allclose(
        TextClassifier.load(tmp_path / "joined").predict_proba(fresh), joined.predict_proba(fresh), atol=1e-6
    )


def test_a_skew_is_told_and_met() -> None:
    texts, labels = small_reviews(120)
    usual = [row for row, label in enumerate(labels) if label == "positive"][:45]
    rows = usual + [row for row, label in enumerate(labels) if label == "negative"][:5]
    data = TextData(labelled=([texts[row] for row in rows], [labels[row] for row in rows]))
    context = RunContext(seed=1, device="cpu")
    given = ClassificationHead().run(tiny_encoder("bert"), data=data, context=context)
    made = FineTune(update={"method": "head", "solver": "logistic"}).run(given, data=data, context=context)
    assert context.record.warnings == [
        "45 of the 50 examples have the label positive, and 5 the label negative, so all labels weigh the same. For "
        "probabilities at the shares of the examples set priors: {negative: 0.10, positive: 0.90}."
    ]
    assert abs(float(made.predict_proba(data.labelled.texts())[:, 0].mean()) - 0.1) > 0.1  # not at the examples' shares
