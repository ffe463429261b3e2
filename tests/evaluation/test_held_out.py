"""The one hold-out: no copy on both sides, every label keeps a row to learn from, and the rows are pinned."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold, train_test_split

from nlptl.evaluation.duplicates import DuplicateGroups, duplicate_groups
from nlptl.evaluation.held_out import (
    Rows,
    Split,
    dealt_folds,
    draw_evenly,
    folds,
    folds_by_content,
    folds_of_sets,
    halves,
    split,
)

PAIRS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), min_size=6, max_size=60)
SEEDS = st.integers(0, 2**40)
TEXTS, LABELS = [f"t{row % 9}" for row in range(12)], np.arange(12) % 3  # rows 9 to 11 are copies of rows 0 to 2


def grouped(pairs: list[tuple[int, int]]) -> tuple[Rows, DuplicateGroups]:
    labels = [label for _, label in pairs]
    return np.array(labels), duplicate_groups([str(text) for text, _ in pairs], labels)


def check(found: Split, labels: Rows, groups: DuplicateGroups) -> None:
    assert sorted([*found.training, *found.held_out]) == list(range(len(labels)))
    assert not set(groups.owner[found.training]) & set(groups.owner[found.held_out])
    assert set(labels[found.training]) == set(labels)
    assert sorted(groups.owner[found.once]) == sorted(set(groups.owner[found.held_out]))
    assert set(found.once) <= set(groups.first)


@given(PAIRS, st.integers(2, 6), SEEDS)
def test_folds_are_those_of_scikit_learn_over_distinct_rows(
    pairs: list[tuple[int, int]], parts: int, seed: int
) -> None:
    labels, groups = grouped(pairs)
    distinct = labels[groups.first]
    rarest = np.unique(distinct, return_counts=True)[1].min()
    found = folds(labels, groups, parts=parts, seed=seed)
    if rarest == 1:
        assert found == []
        return
    for one in found:
        check(one, labels, groups)
    splitter = StratifiedKFold(min(parts, rarest), shuffle=True, random_state=seed % 2**32)
    expected = [groups.first[held_out].tolist() for _, held_out in splitter.split(distinct, distinct)]
    assert [one.once.tolist() for one in found] == expected


@given(PAIRS, st.floats(0.01, 0.5), SEEDS)
def test_a_split_holds_out_as_many_as_asked(pairs: list[tuple[int, int]], share: float, seed: int) -> None:
    labels, groups = grouped(pairs)
    distinct = labels[groups.first]
    wanted = int(share * len(distinct))
    found = split(labels, groups, held_out=wanted, seed=seed)
    check(found, labels, groups)
    counts = np.unique(distinct, return_counts=True)[1]
    if wanted >= len(counts) and counts.min() > 1:
        rows = np.arange(len(distinct))
        _, tested = train_test_split(rows, test_size=wanted, stratify=distinct, random_state=seed % 2**32)
        assert found.once.tolist() == groups.first[tested].tolist()
    else:
        assert len(found.once) == min(wanted, len(distinct) - len(counts))


@given(PAIRS, SEEDS)
def test_halves_take_turns_unless_one_lacks_a_label(pairs: list[tuple[int, int]], seed: int) -> None:
    labels, groups = grouped(pairs)
    found = halves(labels, groups, seed=seed)
    for one in found:
        check(one, labels, groups)
    if len(found) == 2:
        assert found[0].held_out.tolist() == found[1].training.tolist()
    else:
        assert set(labels[found[0].held_out]) != set(labels)


@given(PAIRS, st.integers(1, 6), SEEDS)
def test_strata_are_dealt_in_equal_shares(pairs: list[tuple[int, int]], parts: int, seed: int) -> None:
    labels, groups = grouped(pairs)
    found = dealt_folds(labels, groups, parts=parts, seed=seed)
    assert sorted(row for one in found for row in one.held_out) == list(range(len(labels)))
    for one in found:
        assert not set(groups.owner[one.training]) & set(groups.owner[one.held_out])
    counts = np.array([[(labels[one.once] == label).sum() for label in set(labels)] for one in found])
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()


@given(PAIRS, st.integers(2, 6))
def test_folds_by_content_follow_the_rows(pairs: list[tuple[int, int]], parts: int) -> None:
    labels, groups = grouped(pairs)
    labels, contents = labels[groups.first], [str(row).encode() for row in groups.first]
    fold = folds_by_content(labels, contents, parts=parts)
    counts = np.bincount(fold, minlength=parts)
    assert counts.max() - counts.min() <= 1
    turned = folds_by_content(labels[::-1], contents[::-1], parts=parts)
    assert turned[::-1].tolist() == fold.tolist()


@given(PAIRS, st.integers(1, 60), SEEDS)
def test_labels_are_drawn_evenly(pairs: list[tuple[int, int]], count: int, seed: int) -> None:
    labels, _ = grouped(pairs)
    drawn = draw_evenly(labels, count=count, seed=seed)
    assert len(set(drawn)) == min(count, len(labels))
    taken = {label: (labels[drawn] == label).sum() for label in set(labels)}
    for label, number in taken.items():
        assert number == (labels == label).sum() or number >= max(taken.values()) - 1


def test_the_rows_of_a_seed_stay_the_same() -> None:
    groups = duplicate_groups(TEXTS, LABELS.tolist())
    found = [one.held_out.tolist() for one in folds(LABELS, groups, parts=3, seed=13)]
    assert found == [[3, 4, 5], [0, 1, 2, 9, 10, 11], [6, 7, 8]]
    assert [one.once.tolist() for one in halves(LABELS, groups, seed=13)] == [[7, 6, 2, 5], [0, 3, 1, 4, 8]]
    assert split(LABELS, None, held_out=4, seed=13).once.tolist() == [2, 8, 7, 6]
    assert split(np.array([0, 0, 0, 0, 1]), None, held_out=2, seed=13).once.tolist() == [2, 3]
    strata = 2 * LABELS + (np.arange(12) < 8)
    dealt = [one.held_out.tolist() for one in dealt_folds(strata, groups, parts=2, seed=13)]
    assert dealt == [[2, 3, 4, 6, 7, 8, 11], [0, 1, 5, 9, 10]]
    contents = [np.float64(row).tobytes() for row in range(12)]
    assert folds_by_content(LABELS, contents, parts=4).tolist() == [3, 2, 1, 0, 1, 3, 1, 3, 0, 2, 0, 2]
    assert draw_evenly(LABELS, count=5, seed=13).tolist() == [0, 1, 4, 5, 6]


@pytest.mark.parametrize("library", ["sklearn", "torch"])
def test_scikit_learn_and_torch_load_with_the_first_hold_out_only(library: str) -> None:
    code = f"import sys, nlptl.evaluation.held_out; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 7)), min_size=6, max_size=60), SEEDS)
def test_folds_of_sets_hold_every_row_out_once_and_copies_together(pairs: list[tuple[int, int]], seed: int) -> None:
    sets = np.array([[mask >> bit & 1 for bit in range(3)] for _, mask in pairs])
    groups = duplicate_groups([str(text) for text, _ in pairs], [*map(tuple, sets.tolist())])
    found = folds_of_sets(sets, groups, parts=4, seed=seed)
    if len(groups.first) == 1:
        assert not found, "nothing can be held out"
        return
    assert np.array_equal(np.sort(np.concatenate([one.held_out for one in found])), np.arange(len(pairs)))
    for one in found:
        assert np.array_equal(np.sort(np.concatenate([one.training, one.held_out])), np.arange(len(pairs)))
        assert not set(groups.owner[one.training]) & set(groups.owner[one.held_out])


def test_folds_of_sets_share_every_label_evenly() -> None:
    sets = np.random.default_rng(3).random((300, 4)) < [0.5, 0.2, 0.05, 0.02]
    for one in folds_of_sets(sets, None, parts=5, seed=8):
        assert len(one.held_out) in range(58, 63)
        assert np.all(np.abs(sets[one.held_out].sum(axis=0) - sets.sum(axis=0) / 5) < 1.5)
        assert abs(int((~sets[one.held_out].any(axis=1)).sum()) - (~sets.any(axis=1)).sum() / 5) < 2
