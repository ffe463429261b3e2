"""Subsets of a learning curve: nested, with the labels' shares, copies of a text together."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from nlptl.data import TextData
from nlptl.errors import DataError
from nlptl.runs.judging.splits import JudgedSplit
from nlptl.runs.studies.learning_curve.subsets import Subset, Subsets, sizes_up_to, stratified_order, subsets_of
from tests.conftest import small_reviews


def made(count: int, *, copies: int = 0, test: int = 0) -> tuple[TextData, Subsets]:
    texts, labels = small_reviews(count)
    rows = (texts + texts[:copies], labels + labels[:copies])
    data = TextData(labelled=rows, test=small_reviews(test, start=500)) if test else TextData(labelled=rows)
    return data, subsets_of(data, seed=3, draws=4)


def test_a_draws_smaller_subsets_are_part_of_its_larger_ones() -> None:
    _, found = made(64, copies=6, test=30)
    assert found.sizes == [8, 11, 16, 23, 32, 45, 64]
    for draw in range(4):
        mine = {one.size: set(split.training) for one, split in _pairs(found) if one.draw == draw}
        sizes = sorted(mine)
        assert all(mine[small] < mine[large] for small, large in itertools.pairwise(sizes))
    assert len([one for one in found.fits if one.size == 64]) == 1
    assert found.judging.how == "Judged on 30 texts of test, from which nothing was learnt."


def test_copies_of_a_text_are_learnt_together_and_count_once() -> None:
    data, found = made(64, copies=6)
    assert data.labelled is not None
    texts = data.labelled.texts()
    assert found.texts == 64
    for one, split in _pairs(found):
        learnt = {texts[row] for row in split.training}
        assert len(learnt) - one.size in (0, 1)  # folds differ by one text
        assert learnt.isdisjoint(texts[row] for row in split.judged)
        assert len(split.training) + len(split.judged) == 70


def test_every_text_is_judged_once_in_the_folds_of_a_draw() -> None:
    for count, parts in ((24, 24), (64, 10)):
        _, found = made(count)
        largest = found.sizes[-1]
        folds = [split for one, split in _pairs(found) if (one.size, one.draw) == (largest, 0)]
        assert len(folds) == parts
        assert sorted(np.concatenate([split.judged for split in folds])) == list(range(count))


@pytest.mark.parametrize("count", [24, 64])
def test_the_only_text_of_a_label_is_learnt_in_every_fold(count: int) -> None:
    texts, labels = small_reviews(count)
    data = TextData(labelled=([*texts, "quite another thing"], [*labels, "rare"]))
    found = subsets_of(data, seed=3, draws=4)
    largest = found.sizes[-1]
    folds = [split for one, split in _pairs(found) if (one.size, one.draw) == (largest, 0)]
    assert sorted(np.concatenate([split.judged for split in folds])) == list(range(count))
    assert all(count in split.training for split in found.judging.splits)
    assert largest == count + 1 - len(folds[0].judged)


def test_each_beginning_has_the_labels_shares() -> None:
    labels = ["common"] * 60 + ["rare"] * 18 + ["rarest"] * 2
    order = stratified_order(labels, np.random.default_rng(0))
    assert sorted(order) == list(range(80))
    assert set(Counter(labels[row] for row in order[:3])) == {"common", "rare", "rarest"}
    found = Counter(labels[row] for row in order[:40])
    assert abs(found["common"] - 30) <= 2
    assert abs(found["rare"] - 9) <= 2


def test_sizes_hold_each_label_and_grow_geometrically() -> None:
    assert sizes_up_to(64, labels=2) == [8, 11, 16, 23, 32, 45, 64]
    assert sizes_up_to(616, labels=77)[0] == 154
    assert sizes_up_to(100, labels=77)[0] == 77
    assert len(sizes_up_to(100_000, labels=2)) == 8


FEW = [
    (["a", "b", "c", "d", "e", "f"], ["x", "y"] * 3, "6 different texts of 2 labels; a learning curve needs 16"),
    ([f"text {n}" for n in range(30)], ["x"] * 30, "30 different texts of 1 label; a learning curve needs 16"),
    (["a", "b"] * 20, ["x", "y"] * 20, "2 different texts of 2 labels; a learning curve needs 16"),
    ([f"t {n}" for n in range(20)], [f"l {n % 15}" for n in range(20)],
     "20 different texts of 15 labels; a learning curve needs 30"),
]  # fmt: skip


@pytest.mark.parametrize(("texts", "labels", "told"), FEW)
def test_too_few_texts_are_refused(texts: list[str], labels: list[str], told: str) -> None:
    with pytest.raises(DataError) as caught:
        subsets_of(TextData(labelled=(texts, labels)), seed=0)
    assert str(caught.value) == f"labelled: found {told} at least, and two labels. Label more texts first."


def _pairs(found: Subsets) -> list[tuple[Subset, JudgedSplit]]:
    return list(zip(found.fits, found.judging.splits, strict=True))
