"""Regions of vectors: k-means on the unit sphere.

Shapes: n vectors, D dimension, R regions.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

TURNS = 20  # of k-means
VECTORS_AT_ONCE = 20_000

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Vectors = NDArray[np.float32] | NDArray[np.float16] | Floats


@dataclasses.dataclass(frozen=True)
class Regions:
    """Regions that divide vectors, each with its centre."""

    of: Rows  # (n,) region of each vector
    centres: NDArray[np.float32]  # (R, D) unit vectors; of a region without a vector, where it began

    def without(self, covered: Rows) -> list[Rows]:
        """Return the vectors of each region in which none of `covered` lies, the largest region first."""
        rows = np.setdiff1d(np.arange(len(self.of)), covered)
        taken = np.isin(self.of[rows], self.of[covered])
        free = rows[~taken]
        order = free[np.argsort(self.of[free], kind="stable")]
        parts = np.split(order, np.flatnonzero(np.diff(self.of[order])) + 1) if len(order) else []
        return sorted(parts, key=lambda part: -len(part))

    def central(self, rows: Rows, vectors: Vectors) -> int:
        """Return which of `rows`, all of one region, is nearest to its centre; `vectors` are all (n, D)."""
        return int(rows[(vectors[rows] @ self.centres[self.of[rows[0]]]).argmax()])


def regions(vectors: Vectors, count: int, *, seed: int) -> Regions:
    """Return at most `count` regions of unit vectors (n, D)."""
    generator = np.random.default_rng(seed)
    drawn = vectors[np.sort(generator.permutation(len(vectors))[:VECTORS_AT_ONCE])]
    centres = _spread(np.asarray(drawn, dtype=np.float32), min(count, len(vectors)), generator)
    of = np.zeros(len(vectors), dtype=np.int64)
    for _ in range(TURNS):
        before, (of, sums) = of, _assigned(vectors, centres)
        if (before == of).all():
            break
        filled = np.bincount(of, minlength=len(centres)) > 0
        centres[filled] = unit(sums[filled])
    return Regions(of, centres)


def unit(vectors: Vectors) -> NDArray[np.float32]:
    """Return vectors (n, D) of length 1; zero stays zero."""
    found = np.asarray(vectors, dtype=np.float32)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def _assigned(vectors: Vectors, centres: NDArray[np.float32]) -> tuple[Rows, Floats]:
    """Return the nearest centre of each vector, and the sum (R, D) of each region's vectors."""
    of, sums = np.zeros(len(vectors), dtype=np.int64), np.zeros(centres.shape)
    for begin in range(0, len(vectors), VECTORS_AT_ONCE):
        part = np.asarray(vectors[begin : begin + VECTORS_AT_ONCE], dtype=np.float32)
        of[begin : begin + len(part)] = (part @ centres.T).argmax(axis=1)
        np.add.at(sums, of[begin : begin + len(part)], part)
    return of, sums


def _spread(vectors: NDArray[np.float32], count: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return first centres, each drawn by its squared distance from those before (k-means++, Arthur & Vassilvitskii 2007)."""
    chosen = [int(generator.integers(len(vectors)))]
    apart = np.full(len(vectors), np.inf)
    while len(chosen) < count:
        apart = np.minimum(apart, np.maximum(0, 2 - 2 * vectors @ vectors[chosen[-1]]))
        if not apart.sum() > 0:
            break  # the others are copies
        chosen.append(int(generator.choice(len(vectors), p=apart / apart.sum())))
    return vectors[chosen]
