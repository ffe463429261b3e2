"""The classifier by words: what it predicts, what it holds out, and that both ways to fit agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nlptl.evaluation.duplicates import duplicate_groups
from nlptl.finetuning.words.word_expert import WordExpert, fit_words, ngram_terms
from nlptl.models.view_terms import Ngrams

FILLERS = ("the day", "a night out", "my friend", "some tea", "the train", "our garden")
SIGNS = ("good fine", "bad awful", "odd queer")


def _texts(count: int, labels: int, *, seed: int = 0) -> tuple[list[str], torch.Tensor]:
    draw = np.random.default_rng(seed)
    ids = np.arange(count) % labels
    texts = [
        f"{draw.choice(FILLERS)} was {draw.choice(SIGNS[label].split())} {number}" for number, label in enumerate(ids)
    ]
    return texts, torch.from_numpy(ids)


def _fit(texts: list[str], ids: torch.Tensor, labels: int, *, most_in_span: int = 1_000) -> WordExpert:
    groups = duplicate_groups(texts, ids.tolist())
    found = fit_words(texts, ids, labels, groups=groups, seed=1, most_in_span=most_in_span)
    assert found is not None
    return found


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("in_span", [True, False])
def test_words_that_decide_are_found_both_ways(labels: int, in_span: bool) -> None:
    texts, ids = _texts(60, labels)
    expert = _fit(texts, ids, labels, most_in_span=1_000 if in_span else 0)
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


def test_texts_without_spaces_have_no_words_but_characters() -> None:
    japanese = ["売上高は増加した。", "利益は減少した。", "3 Aprilの受注は増加した"]
    assert {part.unit: part.lengths for part in terms_of(japanese)} == {"characters": (1, 3)}
    assert "増加" in terms_of(japanese)[0].vocabulary
    mixed = ["the word 増加 means growth", "and 減少 decrease"]
    assert {part.unit: part.lengths for part in terms_of(mixed)} == {"words": (1, 2), "characters": (3, 5)}
    texts = ["増加した", "増加だ", "減少した", "減少だ"]
    assert _fit(texts, torch.tensor([0, 0, 1, 1]), 2).how.startswith("Runs of 1 to 3 characters, ")


def terms_of(texts: list[str]) -> tuple[Ngrams, ...]:
    found = ngram_terms(texts)
    assert found is not None
    return found.parts
