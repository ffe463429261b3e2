"""Rows to label next: texts of regions without a label first, then texts that the classifier is least sure of.

Shapes: P texts of the pile, n labelled texts, D dimension, K labels.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.regions import Floats, Rows, Vectors, regions, unit

MAX_POOL = 2_000  # texts of the pile that are looked at, drawn from a larger one
MAX_ROWS = 50  # that are proposed
NEAR_COPY = 0.95  # cosine of vectors from which two texts tell the same
TEXTS_OF_A_REGION, MAX_REGIONS = 10, 100
MAX_UNSURE_LEAD = 0.5  # of the most probable label over the second, up to which the classifier is unsure


@dataclasses.dataclass(frozen=True)
class Proposal:
    """One row to label."""

    row: int  # of the pool
    why: str


def proposals(pool: Vectors, labelled: Vectors, probabilities: Floats | None, *, seed: int) -> list[Proposal]:
    """Return up to 50 rows of a pool of vectors (P, D), none a near-copy of another or of a labelled one (n, D).

    k-means divides pool and labelled texts into regions. Half of the rows, at most, come from regions without a labelled text,
    the largest first, each by the text at its centre. The others are those with the smallest lead of the first label over the
    second in `probabilities` (P, K); there are none where these are not known.
    """
    everything = centred(pool, labelled)
    count = min(MAX_ROWS, len(pool))
    chosen = _Chosen(everything[: len(pool)], everything[len(pool) :])
    for part, row in uncovered(everything, len(pool), seed=seed):
        if len(chosen.found) < (count + 1) // 2:
            alone = "no text like it is labelled"
            why = f"none of the {len(part):,} texts of its region is labelled" if len(part) > 1 else alone
            chosen.add(row, why)
    if probabilities is not None:
        highest = np.sort(probabilities, axis=1)[:, -2:]
        lead = highest[:, 1] - highest[:, 0]
        for row in np.argsort(lead, kind="stable").tolist():
            if len(chosen.found) >= count:
                break
            is_unsure = lead[row] < MAX_UNSURE_LEAD
            chosen.add(row, "the classifier is unsure" if is_unsure else "the least sure of those left")
    return chosen.found


def centred(pool: Vectors, labelled: Vectors) -> NDArray[np.float32]:
    """Return unit vectors of the pool, then of the labelled texts, around their mean: without it, all may point one way."""
    everything = np.concatenate([pool, labelled]).astype(np.float32)
    return unit(everything - everything.mean(axis=0))


def uncovered(everything: NDArray[np.float32], pool: int, *, seed: int) -> list[tuple[Rows, int]]:
    """Return the rows of each region in which no labelled text lies, and the central one; the largest region first.

    The first `pool` of all unit vectors have no label.
    """
    found = regions(everything, region_count(len(everything)), seed=seed)
    parts = found.without(np.arange(pool, len(everything)))
    return [(part, found.central(part, everything)) for part in parts]


def region_count(texts: int) -> int:
    """Return into how many regions so many texts are divided."""
    return max(2, min(MAX_REGIONS, texts // TEXTS_OF_A_REGION))


class _Chosen:
    """Rows that are proposed so far."""

    def __init__(self, pool: NDArray[np.float32], labelled: NDArray[np.float32]) -> None:
        self.found: list[Proposal] = []
        self._pool, self._labelled = pool, labelled

    def add(self, row: int, why: str) -> None:
        """Propose a row, unless a near-copy of it is labelled or proposed."""
        taken = self._pool[[one.row for one in self.found]]
        near = max(float((part @ self._pool[row]).max(initial=-1.0)) for part in (taken, self._labelled))
        if near < NEAR_COPY:
            self.found.append(Proposal(row, why))
