"""Rows to label next: texts of regions without a label first, then texts that the classifier is least sure of.

Shapes: P texts of the pile, n labelled texts, D dimension, K labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_POOL = 2_000  # texts of the pile that are looked at, drawn from a larger one
MAX_ROWS = 50  # that are proposed
NEAR_COPY = 0.95  # cosine of vectors from which two texts tell the same
TEXTS_OF_A_REGION, MAX_REGIONS = 10, 100
TURNS = 20  # of k-means
MAX_UNSURE_LEAD = 0.5  # of the most probable label over the second, up to which the classifier is unsure

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32] | Floats


@dataclasses.dataclass(frozen=True)
class Proposal:
    """One row to label."""

    row: int  # of the pool
    why: str


def proposals(pool: Vectors, labelled: Vectors, probabilities: Floats, *, seed: int) -> list[Proposal]:
    """Return up to 50 rows of a pool of vectors (P, D), none a near-copy of another or of a labelled one (n, D).

    k-means divides pool and labelled texts into regions. Half of the rows, at most, come from regions without a labelled text,
    the largest first, each by the text at its centre. The others are those with the smallest lead of the first label over the
    second in `probabilities` (P, K).
    """
    centre = np.concatenate([pool, labelled]).mean(axis=0)  # without it, all means of word vectors point the same way
    pool, labelled = _unit(pool - centre), _unit(labelled - centre)
    count = min(MAX_ROWS, len(pool))
    taken = list(labelled)
    found: list[Proposal] = []
    regions = max(2, min(MAX_REGIONS, (len(pool) + len(labelled)) // TEXTS_OF_A_REGION))
    for row, size in _uncovered(pool, labelled, regions=regions, seed=seed):
        if len(found) < (count + 1) // 2 and _is_new(pool[row], taken):
            taken.append(pool[row])
            found.append(
                Proposal(
                    row,
                    f"none of the {size} texts of its region is labelled"
                    if size > 1
                    else "no text like it is labelled",
                )
            )
    chosen = {one.row for one in found}
    highest = np.sort(probabilities, axis=1)[:, -2:]
    lead = highest[:, 1] - highest[:, 0]
    for row in np.argsort(lead, kind="stable").tolist():
        if len(found) >= count:
            break
        if row not in chosen and _is_new(pool[row], taken):
            taken.append(pool[row])
            is_unsure = lead[row] < MAX_UNSURE_LEAD
            found.append(Proposal(row, "the classifier is unsure" if is_unsure else "the least sure of those left"))
    return found


def _uncovered(pool: Floats, labelled: Floats, *, regions: int, seed: int) -> list[tuple[int, int]]:
    """Return the central text of each region without a labelled text, and how many texts it has, the largest first."""
    everything = np.concatenate([pool, labelled])
    region, centres = _regions(everything, min(regions, len(everything)), seed=seed)
    covered = set(region[len(pool) :].tolist())
    found = []
    for number in range(len(centres)):
        rows = np.flatnonzero(region[: len(pool)] == number)
        if number not in covered and len(rows):
            found.append((int(rows[(pool[rows] @ centres[number]).argmax()]), len(rows)))
    return sorted(found, key=lambda pair: -pair[1])


def _regions(vectors: Floats, count: int, *, seed: int) -> tuple[NDArray[np.int64], Floats]:
    """Return the region of each vector and the regions' centres, by k-means on the unit sphere."""
    centres = _spread(vectors, count, np.random.default_rng(seed))
    region = np.zeros(len(vectors), dtype=np.int64)
    for _ in range(TURNS):
        before, region = region, (vectors @ centres.T).argmax(axis=1)
        if (before == region).all():
            break
        sums = np.zeros_like(centres)
        np.add.at(sums, region, vectors)
        filled = np.bincount(region, minlength=len(centres)) > 0
        centres[filled] = _unit(sums[filled])
    return region, centres


def _spread(vectors: Floats, count: int, generator: np.random.Generator) -> Floats:
    """Return first centres, each drawn by its squared distance from those before (k-means++, Arthur & Vassilvitskii 2007)."""
    chosen = [int(generator.integers(len(vectors)))]
    apart = np.full(len(vectors), np.inf)
    while len(chosen) < count:
        apart = np.minimum(apart, np.maximum(0, 2 - 2 * vectors @ vectors[chosen[-1]]))
        if not apart.sum() > 0:
            break  # the others are copies
        chosen.append(int(generator.choice(len(vectors), p=apart / apart.sum())))
    return vectors[chosen]


def _is_new(vector: Floats, taken: Sequence[Floats]) -> bool:
    return not taken or float((np.stack(taken) @ vector).max()) < NEAR_COPY


def _unit(vectors: Vectors) -> Floats:
    found = np.asarray(vectors, dtype=np.float64)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12))
