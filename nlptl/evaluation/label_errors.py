"""Label errors: labelled rows that held-out predictions contradict, ranked by their out-of-sample loss.

A label that several judges contradict, each of which has not learnt from the row, is probably wrong (Northcutt, Jiang & Chuang
2021); its loss ranks it (Chong, Hong & Manning 2022). Shapes: n labelled rows, K labels, D dimension, k neighbours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.nearest_rows import NearestRows

MAX_SHARE, MIN_ROWS, MAX_ROWS = 0.1, 10, 100  # of the labelled rows, that are told
MIN_LEAD = 0.3  # of the predicted label over the given one, below which the prediction says little
NEIGHBOURS = 20  # that judge a label
SHARPNESS = 8.0  # by which a nearer neighbour counts more: its weight is exp(SHARPNESS cosine)
UNSEEN = 0.1  # share of a judge's probability that is dealt evenly, so that none rules a label out
WEIGHT_OF_OTHERS = 0.5  # of the log-probabilities of words and neighbours, beside 1 of the head

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Suspect:
    """One labelled row whose label may be wrong."""

    row: int
    predicted: int  # label
    own: float  # probability of its label
    other: float  # probability of the predicted one

    @property
    def lead(self) -> float:
        """Probability of the predicted label above that of its own."""
        return self.other - self.own


def suspects(probabilities: Floats, labels: Sequence[int], *, lead: float = MIN_LEAD) -> list[Suspect]:
    """Return the rows whose held-out probabilities (n, K) contradict their label, the largest loss first.

    The predicted label leads by at least `lead`. A row of NaN was never held out.
    """
    rows, given = np.arange(len(probabilities)), np.asarray(labels, dtype=np.int64)
    held_out = np.flatnonzero(~np.isnan(probabilities).any(axis=1))
    predicted = np.zeros(len(rows), dtype=np.int64)
    predicted[held_out] = probabilities[held_out].argmax(axis=1)
    own, other = probabilities[rows, given], probabilities[rows, predicted]
    found = held_out[(predicted != given)[held_out] & (other - own >= lead)[held_out]]
    order = found[np.lexsort((own[found] - other[found], own[found]))]
    return [Suspect(int(row), int(predicted[row]), float(own[row]), float(other[row])) for row in order]


def most_told(rows: int) -> int:
    """Return how many suspects of so many labelled rows are told: a tenth, at least 10 and at most 100."""
    return max(MIN_ROWS, min(MAX_ROWS, round(MAX_SHARE * rows)))


def joined_judges(head: Floats | None, others: Sequence[Floats]) -> Floats:
    """Return the probabilities (n, K) of all judges together, as a product of experts; not yet calibrated.

    `head` and `others` are the probabilities (n, K) by each; one with NaN in a row says nothing of it. A row of which no
    judge says anything is NaN.
    """
    judges = [*([(1.0, head)] if head is not None else []), *((WEIGHT_OF_OTHERS, one) for one in others)]
    shape = judges[0][1].shape
    sums, weights = np.zeros(shape), np.zeros(shape[0])
    for weight, found in judges:
        says = ~np.isnan(found).any(axis=1)
        sums[says] += weight * np.log(np.maximum(found[says], 1e-12))
        weights[says] += weight
    sums[weights == 0] = np.nan
    odds = np.exp(sums - sums.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def neighbours_judge(
    nearest: NearestRows, labels: Sequence[int] | NDArray[np.int64], label_count: int, *, groups: NDArray[np.int64]
) -> Floats:
    """Return the probabilities (n, K) of each row's label by the labels of its nearest rows; copies (`groups`) say nothing."""
    given = np.asarray(labels, dtype=np.int64)
    there = (nearest.rows >= 0) & (groups[nearest.rows] != groups[:, None])
    weights = np.where(there, np.exp(SHARPNESS * nearest.cosines.astype(np.float64)), 0.0)
    votes = np.zeros((len(given), label_count))
    for place in range(nearest.rows.shape[1]):
        votes[np.arange(len(given)), given[nearest.rows[:, place]]] += weights[:, place]
    total = votes.sum(axis=1, keepdims=True)
    shares = np.divide(votes, total, out=np.full_like(votes, 1 / label_count), where=total > 0)
    return np.asarray((1 - UNSEEN) * shares + UNSEEN / label_count)
