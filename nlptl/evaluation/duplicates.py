"""Duplicate groups (G) of n labelled texts, so that a held-out text has no copy in the training part."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class DuplicateGroups:
    """Groups of examples with the same text and label, in order of first occurrence."""

    first: NDArray[np.int64]  # (G,) first row of each group, ascending
    owner: NDArray[np.int64]  # (n,) group of each row, from 0

    @property
    def copies(self) -> NDArray[np.int64]:
        """(G,) number of rows in each group."""
        return np.bincount(self.owner, minlength=len(self.first))

    def rows_of(self, groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return all rows of `groups`, ascending."""
        return np.flatnonzero(np.isin(self.owner, groups))


def duplicate_groups(texts: Sequence[str], labels: Sequence[Hashable]) -> DuplicateGroups:
    """Return the duplicate groups of labelled texts. The same text under another label is no duplicate."""
    known: dict[tuple[str, Hashable], int] = {}
    owner = np.array([known.setdefault(pair, len(known)) for pair in zip(texts, labels, strict=True)], dtype=np.int64)
    return DuplicateGroups(np.unique(owner, return_index=True)[1], owner)
