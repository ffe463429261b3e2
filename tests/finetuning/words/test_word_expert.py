"""The classifier by words: what it predicts, what it holds out, and that both ways to fit agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nlptl.evaluation.duplicates import duplicate_groups
from nlptl.finetuning.words import word_expert
from nlptl.finetuning.words.word_expert import WordExpert, fit_words

FILLERS = ("the day", "a night out", "my friend", "some tea", "the train", "our garden")
SIGNS = ("good fine", "bad awful", "odd queer")


def _texts(count: int, labels: int, *, seed: int = 0) -> tuple[list[str], torch.Tensor]:
    draw = np.random.default_rng(seed)
    ids = np.arange(count) % labels
    texts = [
        f"{draw.choice(FILLERS)} was {draw.choice(SIGNS[label].split())} {number}" for number, label in enumerate(ids)
    ]
    return texts, torch.from_numpy(ids)


def _fit(texts: list[str], ids: torch.Tensor, labels: int) -> WordExpert:
    found = fit_words(texts, ids, labels, groups=duplicate_groups(texts, ids.tolist()), seed=1)
    assert found is not None
    return found


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("in_span", [True, False])
def test_words_that_decide_are_found_both_ways(labels: int, in_span: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_expert, "MAX_TEXTS_IN_SPAN", 1_000 if in_span else 0)
    texts, ids = _texts(60, labels)
    expert = _fit(texts, ids, labels)
    fresh, truth = _texts(30, labels, seed=5)
    assert (expert.view.vectors(fresh).argmax(dim=1) == truth).all()
    assert (expert.out_of_fold_logits.argmax(dim=1) == ids).double().mean() > 0.9


def test_labels_drawn_at_random_are_not_predicted_out_of_fold() -> None:
    texts, _ = _texts(80, 2)
    ids = torch.from_numpy(np.random.default_rng(3).permutation(np.arange(80) % 2))
    expert = _fit(texts, ids, 2)
    assert (expert.view.vectors(texts).argmax(dim=1) == ids).double().mean() > 0.7  # learnt by heart
    assert (expert.out_of_fold_logits.argmax(dim=1) == ids).double().mean() < 0.6
    assert expert.out_of_fold_logits.softmax(dim=1).max() < 0.8


def test_copies_are_held_out_together() -> None:
    texts, _ = _texts(24, 2)
    ids = torch.from_numpy(np.random.default_rng(4).permutation(np.arange(24) % 2))
    once, twice = _fit(texts, ids, 2), _fit(texts * 2, torch.cat([ids, ids]), 2)
    known = (twice.out_of_fold_logits.argmax(dim=1)[:24] == ids).double().mean()
    assert known <= (once.out_of_fold_logits.argmax(dim=1) == ids).double().mean() + 0.1
    assert torch.equal(twice.out_of_fold_logits[:24], twice.out_of_fold_logits[24:])


def test_the_only_text_of_a_label_has_no_opinion_out_of_fold() -> None:
    texts, ids = _texts(21, 3)
    only = torch.where(ids == 2, 0, ids)
    only[2] = 2
    assert _fit(texts, only, 3).out_of_fold_logits[2].eq(0).all()


def test_texts_without_a_word_have_no_expert() -> None:
    blank = ["", " ", "  "]
    ids = torch.tensor([0, 1, 1])
    assert fit_words(blank, ids, 2, groups=duplicate_groups(blank, ids.tolist()), seed=1) is None
