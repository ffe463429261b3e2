"""Duplicates and leaks: texts that occur twice in a part, and texts that a part shares with its tests.

Texts are compared by 64-bit hashes. Two sets of ten million rows (80 MB each) share one by accident once in 180,000 runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nlptl.data.table import TextTable

Hashes = npt.NDArray[np.int64]

_CHUNK_ROWS = 1 << 20


@dataclass(frozen=True)
class Leak:
    """Rows of `part` whose text also occurs in `also_in`."""

    part: str
    also_in: str
    rows: int
    examples: tuple[str, ...]  # up to three of the texts, cut to 200 characters
    dropped: bool


def text_hashes(table: TextTable) -> Hashes:
    """Return a hash of each text. Hashes are comparable only within this process."""
    hashes = np.empty(len(table), dtype=np.int64)
    start = 0
    for batch in table.record_batches():
        texts = batch.column("text").to_pylist()
        hashes[start : start + len(texts)] = np.fromiter(map(hash, texts), np.int64, len(texts))
        start += len(texts)
    return hashes


def count_duplicates(hashes: Hashes) -> int:
    """Return how many rows repeat an earlier one. Sorts `hashes` in place."""
    hashes.sort()
    later, earlier, chunks = hashes[1:], hashes[:-1], range(0, len(hashes), _CHUNK_ROWS)
    return sum(int(np.count_nonzero(later[a : a + _CHUNK_ROWS] == earlier[a : a + _CHUNK_ROWS])) for a in chunks)


def occurs_in(hashes: Hashes, others: Hashes) -> npt.NDArray[np.bool_]:
    """Return for each of `hashes` whether it is among `others`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(np.unique(others))
    found = np.empty(len(hashes), dtype=np.bool_)
    for start in range(0, len(hashes), _CHUNK_ROWS):
        chunk: Any = pc.is_in(pa.array(hashes[start : start + _CHUNK_ROWS]), value_set=wanted)
        found[start : start + _CHUNK_ROWS] = chunk.to_numpy(zero_copy_only=False)
    return found


def examples(table: TextTable, rows: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    """Return up to three different texts among the first hundred marked rows."""
    found = (str(table.dataset[int(row)]["text"])[:200] for row in np.flatnonzero(rows)[:100])
    return tuple(dict.fromkeys(found))[:3]
