"""The n-grams of a vocabulary, only those buckets that it meets: two million buckets would be mostly empty rows.

Shapes: V words, S buckets in use.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.models.spelling import Spelling, bucket_ids


@dataclasses.dataclass(frozen=True)
class Subwords:
    """Which n-grams each word has."""

    rows: NDArray[np.int32]
    """Rows (0 to S - 1) of the n-grams of all words, end to end."""
    begins: NDArray[np.int64]
    """(V + 1,) where each word's begin in `rows`; the unknown word has none."""
    buckets: NDArray[np.int32]
    """(S,) the bucket of each row, ascending."""


def subwords_of(words: Sequence[str], spelling: Spelling | None) -> Subwords:
    """Return the n-grams of words (V,), of which the first is the unknown word; none without a spelling."""
    if spelling is None:
        return Subwords(np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.int32))
    buckets, begins = bucket_ids(words[1:], spelling)
    used, rows = np.unique(buckets, return_inverse=True)
    return Subwords(rows.astype(np.int32), np.concatenate([np.zeros(1, np.int64), begins]), used)
