"""Hold-out: which rows are learnt from and which are scored. Copies of a text with its label always stay together.

`folds` serves cross-validation; `split` and `halves` serve a comparison of trainings that are too slow for it;
`dealt_folds` serves strata with fewer rows than folds; `folds_of_sets` serves rows with several labels. Shapes: n rows.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.duplicates import DuplicateGroups

Rows = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Split:
    """Row numbers of one hold-out."""

    training: Rows  # to learn from, ascending
    held_out: Rows  # to score, ascending, copies included
    once: Rows  # first row of each held-out group, in the order of the draw


def folds(labels: Rows, groups: DuplicateGroups | None, *, parts: int, seed: int) -> list[Split]:
    """Return stratified folds of label ids (n,); each row is held out in one of them.

    The rarest label's distinct rows limit `parts`. An empty list means that it has only one. `groups` None: no copies.
    """
    from sklearn.model_selection import StratifiedKFold

    groups = groups or _alone(len(labels))
    distinct = labels[groups.first]
    rarest = int(np.unique(distinct, return_counts=True)[1].min())
    if rarest < 2:
        return []
    splitter = StratifiedKFold(min(parts, rarest), shuffle=True, random_state=seed % 2**32)
    return [_split(groups, training, held_out) for training, held_out in splitter.split(distinct, distinct)]


def folds_of_sets(targets: NDArray[Any], groups: DuplicateGroups | None, *, parts: int, seed: int) -> list[Split]:
    """Return folds of rows with several labels, targets (n, K) of 0 and 1; each row is held out in one of them.

    Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011): the label with the fewest rows left is dealt first, each
    row to the fold that lacks that label most, then to the one that lacks rows most.
    """
    groups = groups or _alone(len(targets))
    distinct = targets[groups.first] > 0
    parts = min(parts, len(distinct))
    order = np.random.default_rng(seed).permutation(len(distinct))
    left = np.column_stack([distinct, ~distinct.any(axis=1)])[order]  # rows without a label count as one of their own
    lacks, lacks_rows = np.tile(left.sum(axis=0) / parts, (parts, 1)), np.full(parts, len(left) / parts)
    waiting, fold = left.copy(), np.empty(len(left), dtype=np.int64)
    while (counts := waiting.sum(axis=0)).any():
        label = int(np.where(counts > 0, counts, len(left) + 1).argmin())
        for row in np.flatnonzero(waiting[:, label]):
            fold[row] = np.lexsort((-lacks_rows, -lacks[:, label]))[0]
            lacks[fold[row]] -= left[row]
            lacks_rows[fold[row]] -= 1
            waiting[row] = False
    dealt = [np.sort(order[fold == part]) for part in range(parts)] if parts > 1 else []
    every = np.arange(len(distinct))
    return [_split(groups, np.setdiff1d(every, rows), rows) for rows in dealt if len(rows)]


def split(labels: Rows, groups: DuplicateGroups | None, *, held_out: int, seed: int) -> Split:
    """Hold out `held_out` distinct rows, evenly by label id (n,). Every label keeps a row if at most half are held out."""
    groups = groups or _alone(len(labels))
    return _split(groups, *_parts(labels[groups.first], held_out, seed))


def halves(labels: Rows, groups: DuplicateGroups, *, seed: int) -> list[Split]:
    """Hold out each half of the distinct rows in turn, or only the second if it lacks a label."""
    distinct = labels[groups.first]
    first, second = _parts(distinct, len(distinct) // 2, seed)
    turns = [(first, second), (second, first)] if set(distinct) == set(distinct[second]) else [(first, second)]
    return [_split(groups, training, held_out) for training, held_out in turns]


def dealt_folds(strata: Rows, groups: DuplicateGroups, *, parts: int, seed: int) -> list[Split]:
    """Shuffle each stratum of (n,) numbers and deal it to `parts` folds. A small one is missing in the last folds."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    distinct = strata[groups.first]
    fold = np.zeros(len(distinct), dtype=np.int64)
    for stratum in np.unique(distinct):
        rows = np.flatnonzero(distinct == stratum)
        fold[rows[torch.randperm(len(rows), generator=generator).numpy()]] = np.arange(len(rows)) % parts
    return [_split(groups, np.flatnonzero(fold != part), np.flatnonzero(fold == part)) for part in range(parts)]


def folds_by_content(labels: Rows, contents: Iterable[bytes], *, parts: int) -> Rows:
    """Return the fold (n,) of each row, dealt label by label in the order of a content hash, whatever the rows' order.

    Each label is dealt on from the fold where the last one stopped, so that folds differ by at most one row.
    """
    digests = [hashlib.sha256(content).digest() for content in contents]
    fold = np.empty(len(labels), dtype=np.int64)
    fold[sorted(range(len(labels)), key=lambda row: (labels[row], digests[row]))] = np.arange(len(labels)) % parts
    return fold


def draw_evenly(labels: Rows, *, count: int, seed: int) -> Rows:
    """Return `count` row numbers, ascending, drawn at random and evenly by label id (n,)."""
    order = np.random.default_rng(seed).permutation(len(labels))
    shuffled = labels[order]
    rank = np.empty(len(labels), dtype=np.int64)  # of each shuffled row within its label
    for label in np.unique(labels):
        rank[shuffled == label] = np.arange(np.count_nonzero(shuffled == label))
    return np.asarray(np.sort(order[np.argsort(rank, kind="stable")][:count]))


def _alone(rows: int) -> DuplicateGroups:
    return DuplicateGroups(np.arange(rows), np.arange(rows))


def _split(groups: DuplicateGroups, training: Rows, held_out: Rows) -> Split:
    return Split(groups.rows_of(training), groups.rows_of(held_out), groups.first[held_out])


def _parts(labels: Rows, held_out: int, seed: int) -> tuple[Rows, Rows]:
    """Return rows to learn from and `held_out` rows to score, evenly by label."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(labels))
    counts = np.unique(labels, return_counts=True)[1]
    if held_out >= len(counts) and counts.min() > 1:
        training, tested = train_test_split(rows, test_size=held_out, stratify=labels, random_state=seed % 2**32)
        return training, tested
    order = np.random.default_rng(seed).permutation(rows)
    _, first = np.unique(labels[order], return_index=True)  # train_test_split refuses a label with one row
    tested = np.delete(order, first)[:held_out]
    return np.setdiff1d(rows, tested), tested
