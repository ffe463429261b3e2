"""How chains are judged: on a test, or by repeated cross-validation where the labels are too few for one.

Shapes: n labelled rows, J judged rows.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nlptl.data import TextData, TextTable
from nlptl.evaluation.duplicates import DuplicateGroups, duplicate_groups

MIN_LABELLED, MIN_OF_A_LABEL = 100, 10  # texts from which a part of them becomes the test
MAX_SHARE, MIN_SHARE, TEST_TEXTS, MAX_TEST = 0.3, 0.2, 100, 1000
FOLDS, REPEATS = 4, 4
MAX_FITS_TEXTS = 4_000  # texts of all repeats together, above which there are fewer repeats

JudgedBy = Literal["test", "cross-validation"]
Rows = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class JudgedSplit:
    """One fit of every chain: what is learnt, and what is judged."""

    repeat: int
    training: Rows  # row numbers of the labelled table
    judged: Rows  # row numbers of the judged table


@dataclasses.dataclass(frozen=True)
class Judging:
    """Judged texts, and the splits in which each is held out."""

    by: JudgedBy
    how: str  # one or two sentences
    table: TextTable  # of the J judged rows
    groups: DuplicateGroups  # of its rows by text
    splits: tuple[JudgedSplit, ...]
    never_held_out: tuple[str, ...] = ()  # labels that have one text alone

    @property
    def texts(self) -> int:
        """Number of distinct judged texts."""
        return len(np.unique(self.groups.owner[self.rows])) if len(self.rows) else 0

    @property
    def rows(self) -> Rows:
        """Row numbers that are judged at all, ascending."""
        every = [split.judged for split in self.splits if split.repeat == 0]
        return np.sort(np.concatenate(every)) if every else np.zeros(0, dtype=np.int64)

    @property
    def folds(self) -> int:
        """Number of splits in each repeat."""
        return sum(split.repeat == 0 for split in self.splits)


def share_to_hold_out(table: TextTable) -> float | None:
    """Return the share of each label's texts that becomes the test; None where there are too few.

    From 100 texts and 10 of each label on: 0.3, so that the test has 100 texts if it can; less of more than 333, and never
    more than 1,000 texts.
    """
    pairs = set(zip(table.texts(), table.labels(), strict=True))
    counts = Counter(label for _, label in pairs)
    texts = len({text for text, _ in pairs})
    if texts < MIN_LABELLED or min(counts.values()) < MIN_OF_A_LABEL:
        return None
    return share_of_texts(texts)


def share_of_texts(texts: int) -> float:
    """Return the share of so many texts, at least 100, that becomes a test."""
    return round(min(MAX_SHARE, max(TEST_TEXTS / texts, min(MIN_SHARE, MAX_TEST / texts))), 3)


def judged_on_test(data: TextData, *, held_out: float | None) -> Judging:
    """Return the judging of chains on the test."""
    assert data.labelled is not None
    assert data.test is not None
    test = data.test
    groups = duplicate_groups(test.texts(), [0] * len(test))
    split = JudgedSplit(0, np.arange(len(data.labelled)), np.arange(len(test)))
    count = f"{len(groups.first):,} texts"
    how = f"Judged on {count} of {test.name}, from which nothing was learnt."
    if held_out is not None:
        how = (
            f"Judged on {count} that were held out: {held_out:.0%} of each label's, since there are {MIN_LABELLED} labelled "
            f"texts and {MIN_OF_A_LABEL} of each label at least."
        )
    return Judging("test", how, test, groups, (split,))


def judged_by_folds(table: TextTable, *, seed: int) -> Judging:
    """Return the judging by repeated stratified cross-validation, copies of a text together.

    The only text of a label is always learnt and never judged.
    """
    texts, labels = table.texts(), table.labels()
    groups = duplicate_groups(texts, [0] * len(texts))
    of_group = [labels[row] for row in groups.first.tolist()]
    counts = Counter(of_group)
    # A label that stands on copies of other labels' texts alone has no text of its own to hold out.
    single = sorted({label for label in labels if counts[label] < 2})
    usable = np.flatnonzero([label not in single for label in of_group])
    usable = usable[[set(_labels_of(groups, int(group), labels)).isdisjoint(single) for group in usable]]
    if not len(usable):
        how = "No label has two different texts, so nothing can be held out: how good the candidates are is not known."
        return Judging("cross-validation", how, table, groups, (), tuple(single))
    parts = min(FOLDS, max(counts[of_group[group]] for group in usable))
    repeats = max(1, min(REPEATS, MAX_FITS_TEXTS // len(groups.first)))
    splits = []
    for repeat in range(repeats):
        fold = dealt([of_group[group] for group in usable], parts=parts, seed=seed + repeat)
        for number in range(parts):
            held_out = groups.rows_of(usable[fold == number])
            if len(held_out):
                splits.append(JudgedSplit(repeat, np.setdiff1d(np.arange(len(texts)), held_out), held_out))
    how = (
        f"Judged by cross-validation ({parts} folds, copies together), since a test needs {MIN_LABELLED} labelled texts and "
        f"{MIN_OF_A_LABEL} of each label; the classifier then learns all of them."
    )
    return Judging("cross-validation", how, table, groups, tuple(splits), tuple(single))


def dealt(labels: Sequence[str], *, parts: int, seed: int) -> Rows:
    """Return the fold of each text, dealt label by label on from the fold where the last label stopped."""
    names = np.asarray(labels, dtype=np.object_)
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(np.flatnonzero(names == name)) for name in sorted(set(labels))])
    fold = np.empty(len(labels), dtype=np.int64)
    fold[order] = np.arange(len(labels)) % parts
    return fold


def _labels_of(groups: DuplicateGroups, group: int, labels: Sequence[str]) -> list[str]:
    return [labels[row] for row in np.flatnonzero(groups.owner == group).tolist()]
