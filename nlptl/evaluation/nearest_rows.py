"""Nearest rows among many vectors, by cosine: all pairs up to 50,000, above that within the nearest regions.

Shapes: n vectors, D dimension, k neighbours, P pairs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.regions import Rows, Vectors, regions

MAX_ALL_PAIRS = 50_000  # vectors up to which each is compared with all
PROBES = 8  # regions that are searched for a vector, of a larger table (inverted file, Jégou et al. 2011)
NUMBERS_AT_ONCE = 20_000_000  # of a block of cosines


@dataclasses.dataclass(frozen=True)
class NearestRows:
    """Nearest other rows of each vector, the nearest first."""

    rows: Rows  # (n, k); -1 where there is none
    cosines: NDArray[np.float32]  # (n, k); -1 where there is none

    def pairs_above(self, cosine: float) -> tuple[Rows, NDArray[np.float32]]:
        """Return the pairs (P, 2) among them with at least this cosine, each once and the smaller row first, and the cosines."""
        row, place = np.nonzero((self.cosines >= cosine) & (self.rows >= 0))
        pairs = np.sort(np.column_stack([row, self.rows[row, place]]), axis=1)
        pairs, first = np.unique(pairs, axis=0, return_index=True)
        return pairs, self.cosines[row, place][first]


def nearest_rows(vectors: Vectors, count: int, *, seed: int = 0, most_compared: int = MAX_ALL_PAIRS) -> NearestRows:
    """Return the `count` nearest other rows of each of unit vectors (n, D).

    Above `most_compared` vectors, each is compared with those of the `PROBES` nearest of about √n regions: a few of the
    nearest rows are missed.
    """
    rows = np.full((len(vectors), count), -1, dtype=np.int64)
    cosines = np.full((len(vectors), count), -1, dtype=np.float32)
    for asked, searched in _blocks(vectors, seed=seed, most_compared=most_compared):
        found = np.asarray(vectors[asked], dtype=np.float32) @ np.asarray(vectors[searched], dtype=np.float32).T
        found[asked[:, None] == searched[None, :]] = -np.inf
        kept = min(count, len(searched))
        best = np.argpartition(-found, kept - 1, axis=1)[:, :kept]
        nearest = np.take_along_axis(found, best, axis=1)
        order = np.argsort(-nearest, axis=1, kind="stable")
        best, nearest = np.take_along_axis(best, order, axis=1), np.take_along_axis(nearest, order, axis=1)
        there = nearest > -np.inf
        rows[asked, :kept] = np.where(there, searched[best], -1)
        cosines[asked, :kept] = np.where(there, nearest, -1)
    return NearestRows(rows, cosines)


def _blocks(vectors: Vectors, *, seed: int, most_compared: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield rows and those that they are compared with."""
    everything = np.arange(len(vectors))
    if len(vectors) <= most_compared:
        for part in _parts(everything, len(everything)):
            yield part, everything
        return
    found = regions(vectors, math.isqrt(len(vectors)), seed=seed)
    members = [np.flatnonzero(found.of == number) for number in range(len(found.centres))]
    near = np.argsort(-(found.centres @ found.centres.T), axis=1)[:, :PROBES]
    for number, rows in enumerate(members):
        searched = np.sort(np.concatenate([members[other] for other in near[number]]))
        for part in _parts(rows, len(searched)):
            yield part, searched


def _parts(rows: Rows, width: int) -> Iterator[Rows]:
    step = max(1, NUMBERS_AT_ONCE // max(1, width))
    for begin in range(0, len(rows), step):
        yield rows[begin : begin + step]
