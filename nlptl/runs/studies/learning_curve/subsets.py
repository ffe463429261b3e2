"""Subsets of the labelled texts on which a learning curve is measured.

Each draw is an order of all labelled texts; a smaller subset of a draw is part of its larger ones. Labels keep their shares,
and copies of a text stay together. Shapes: n labelled rows, G distinct texts among them.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nlptl.data import TextData, TextTable
from nlptl.errors import DataError
from nlptl.evaluation.duplicates import DuplicateGroups, duplicate_groups
from nlptl.runs.judging.splits import JudgedSplit, Judging

MIN_TEXTS, MIN_SIZE = 16, 8  # distinct labelled texts of a curve, and of its smallest subset
MAX_SIZES, MAX_RATIO = 8, 32  # sizes of subsets, and the largest over the smallest
DRAWS = 12  # of smaller subsets; one of all texts
FOLDS, FOLD_DRAWS = 10, 4  # of the largest size where there is no test
MAX_ALONE = 40  # texts up to which each is left out alone, instead of in folds
MAX_LEARNT = 0.8  # share of the texts that a subset holds at most where the others judge it
MAX_JUDGED = 1000  # texts of a test

Rows = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Subset:
    """One fit of a curve."""

    size: int  # distinct texts learnt
    draw: int
    part: int = 0  # fold of the draw


@dataclasses.dataclass(frozen=True)
class Subsets:
    """Fits of a curve, in the order in which they are made, and how they are judged."""

    judging: Judging  # whose splits are those of `fits`
    fits: tuple[Subset, ...]
    texts: int  # G
    labels: tuple[str, ...]
    labelled_counts: Mapping[str, int]  # labelled rows of each label

    @property
    def sizes(self) -> list[int]:
        """Sizes of the subsets, ascending."""
        return sorted({one.size for one in self.fits})


def subsets_of(data: TextData, *, seed: int, draws: int = DRAWS) -> Subsets:
    """Return the subsets of `data.labelled`, judged on `data.test`, else on the texts that a subset leaves out.

    Raises DataError where the texts are too few for a curve.
    """
    table = data.labelled
    assert table is not None
    groups = duplicate_groups(table.texts(), [0] * len(table))
    labels = [table.labels()[row] for row in groups.first.tolist()]
    _check_enough(labels, table.name)
    if data.test is not None:
        return _on_test(data, groups, labels, seed=seed, draws=draws)
    return _on_others(table, data.label_set.names, groups, labels, seed=seed, draws=draws)


def sizes_up_to(largest: int, *, labels: int) -> list[int]:
    """Return sizes of subsets in geometric steps, so that the smallest holds each label, twice if it can."""
    smallest = max(MIN_SIZE, largest // MAX_RATIO, min(2 * labels, max(labels, largest // 4)))
    smallest = min(smallest, largest)
    count = min(MAX_SIZES, 1 + max(1, round(2 * math.log2(largest / smallest))))
    return sorted({round(size) for size in np.geomspace(smallest, largest, count).tolist()})


def stratified_order(labels: Sequence[str], generator: np.random.Generator) -> Rows:
    """Return an order of the texts whose every beginning has the labels' shares, and each label as soon as it can."""
    names, counts = np.asarray(labels, dtype=np.object_), Counter(labels)
    key = np.empty(len(labels))
    for label in sorted(counts):
        rows = generator.permutation(np.flatnonzero(names == label))
        key[rows] = (np.arange(len(rows)) + generator.random(len(rows))) / len(rows)
        key[rows[0]] -= 2  # before all that are not the first of their label
    return np.argsort(key, kind="stable")


def _check_enough(labels: Sequence[str], name: str) -> None:
    counts = Counter(labels)
    if len(counts) > 1 and len(labels) >= max(MIN_TEXTS, 2 * len(counts)):
        return
    found = f"{len(labels)} different texts of {len(counts)} label{'s' * (len(counts) != 1)}"
    raise DataError(
        f"{name}: found {found}; a learning curve needs {max(MIN_TEXTS, 2 * len(counts))} at least, and two labels. Label more "
        "texts first."
    )


def _on_test(data: TextData, groups: DuplicateGroups, labels: Sequence[str], *, seed: int, draws: int) -> Subsets:
    """Return subsets that are judged on the test: all texts once, then draw after draw, its largest subset first."""
    assert data.test is not None
    test = data.test
    if len(test) > MAX_JUDGED:
        test = test.select(np.sort(np.random.default_rng(seed).permutation(len(test))[:MAX_JUDGED]))
    *smaller, largest = sizes_up_to(len(groups.first), labels=len(set(labels)))
    judged, every = np.arange(len(test)), np.arange(len(groups.owner))
    fits, splits = [Subset(largest, 0)], [JudgedSplit(0, every, judged)]
    for draw, order in enumerate(_orders(labels, seed, draws)):
        for size in reversed(smaller):
            fits.append(Subset(size, draw))
            splits.append(JudgedSplit(draw, groups.rows_of(order[:size]), judged))
    of_test = duplicate_groups(test.texts(), [0] * len(test))
    how = f"Judged on {len(of_test.first):,} texts of {Path(test.name).name}, from which nothing was learnt."
    judging = Judging("test", how, test, of_test, tuple(splits))
    assert data.labelled is not None
    return Subsets(judging, tuple(fits), len(labels), data.label_set.names, data.labelled.label_counts())


def _on_others(
    table: TextTable, names: tuple[str, ...], groups: DuplicateGroups, labels: Sequence[str], *, seed: int, draws: int
) -> Subsets:
    """Return subsets that are judged on the texts that they leave out: folds of all texts first, then smaller subsets.

    The only text of a label is learnt in every fold.
    """
    count, of_label = len(labels), Counter(labels)
    may_be_out = np.array([of_label[label] > 1 for label in labels])
    judged = int(may_be_out.sum())
    parts = judged if count <= MAX_ALONE else FOLDS
    fold_draws = 1 if parts == judged else FOLD_DRAWS
    largest = count - math.ceil(judged / parts)
    smaller = [size for size in sizes_up_to(largest, labels=len(set(labels)))[:-1] if size <= MAX_LEARNT * count]
    fits, splits = list[Subset](), list[JudgedSplit]()
    for draw, order in enumerate(_orders(labels, seed, draws)):
        if draw < fold_draws:
            free = may_be_out[order]
            rank = np.cumsum(free) - 1
            for part in range(parts):
                fits.append(Subset(largest, draw, part))
                splits.append(_left_out(groups, free & (rank % parts == part), order, draw))
        for size in reversed(smaller):
            fits.append(Subset(size, draw))
            splits.append(_left_out(groups, np.arange(count) >= size, order, draw))
    way = "leaving out one at a time" if parts == judged else f"in {parts} folds"
    how = f"Judged on the texts that each subset leaves out; the largest size {way}."
    judging = Judging("cross-validation", how, table, groups, tuple(splits))
    return Subsets(judging, tuple(fits), count, names, table.label_counts())


def _left_out(groups: DuplicateGroups, out: NDArray[np.bool_], order: Rows, draw: int) -> JudgedSplit:
    return JudgedSplit(draw, groups.rows_of(order[~out]), groups.rows_of(order[out]))


def _orders(labels: Sequence[str], seed: int, draws: int) -> list[Rows]:
    return [stratified_order(labels, np.random.default_rng([seed, draw])) for draw in range(draws)]
