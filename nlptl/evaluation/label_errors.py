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
WEIGHT_OF_NEIGHBOURS = 0.5  # of their log-probabilities, beside 1 of a head and 1 of the words
MIN_PROBABILITY = 1e-9

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


def joined_judges(judges: Sequence[tuple[float, Floats]], shares: Floats) -> Floats:
    """Return the probabilities (n, K) of several judges together, each with its weight; not yet calibrated.

    The judges' log-probabilities are added, and `shares` (K,) of the labels, which each of them has taken into account,
    count once: as in naive Bayes. Otherwise a rare label would be doubted, and a frequent one believed, by all of them. A
    judge with NaN in a row says nothing of it. A row of which no judge says anything is NaN.
    """
    sums, weights = np.zeros(judges[0][1].shape), np.zeros(len(judges[0][1]))
    for weight, found in judges:
        says = ~np.isnan(found).any(axis=1)
        sums[says] += weight * np.log(np.maximum(found[says], MIN_PROBABILITY))
        weights[says] += weight
    sums -= np.maximum(weights - 1, 0)[:, None] * np.log(np.maximum(shares, MIN_PROBABILITY))
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
