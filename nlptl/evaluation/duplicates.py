"""Labelled texts that stand more than once: what is held out must have no copy among what is learnt from.

Shapes: n labelled examples, D distinct ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class DuplicateGroups:
    """The distinct pairs of text and label, in the order in which they first stand. Make it with `distinct`."""

    first: NDArray[np.int64]
    """(D,) row in which each first stands, ascending."""
    owner: NDArray[np.int64]
    """(n,) which of them each row is, from 0."""

    @property
    def copies(self) -> NDArray[np.int64]:
        """(D,) how often each stands."""
        return np.bincount(self.owner, minlength=len(self.first))

    def rows_of(self, some: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return all rows, ascending, of the distinct ones with these numbers."""
        return np.flatnonzero(np.isin(self.owner, some))


def duplicate_groups(texts: Sequence[str], labels: Sequence[Hashable]) -> DuplicateGroups:
    """Return which rows repeat another's text and label. The same text under another label is no repeat."""
    known: dict[tuple[str, Hashable], int] = {}
    owner = [known.setdefault(pair, len(known)) for pair in zip(texts, labels, strict=True)]
    _, first = np.unique(np.asarray(owner, dtype=np.int64), return_index=True)
    return DuplicateGroups(first, np.asarray(owner, dtype=np.int64))
