"""Scores of parts of the judged texts, with intervals that hold for all parts together.

Shapes: N judged texts, S slices.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.intervals import Estimate, Interval, wilson

MIN_SLICE = 10  # texts of a slice, below which its interval would say nothing
LEVEL = 0.95  # of all intervals together


@dataclasses.dataclass(frozen=True)
class SliceScore:
    """Scores of one slice. The intervals of all slices hold together with 95 % (Bonferroni)."""

    by: str  # such as "length"
    value: str  # such as "over 40 words"
    texts: int
    accuracy: Estimate
    difference: Estimate | None  # of its accuracy from that of all other texts; None where there are none
    overconfidence: Estimate  # mean probability of the predicted label minus accuracy

    @property
    def differs(self) -> bool:
        """Whether its accuracy differs from that of the other texts beyond the noise."""
        return self.difference is not None and _excludes_zero(self.difference)

    @property
    def misjudges_itself(self) -> bool:
        """Whether its probabilities are too high or too low beyond the noise."""
        return _excludes_zero(self.overconfidence)


def slice_scores(
    parts: Mapping[str, Sequence[str]], *, right: Sequence[bool], confidences: NDArray[np.float64]
) -> tuple[SliceScore, ...]:
    """Return the scores of each slice with at least 10 texts, in the order of `parts`, the largest of each kind first.

    `parts` has, for each kind of slice, the N values of the texts; "" stands for none. `right` says whether each text was
    predicted right, `confidences` holds the probability of the predicted label. A kind with one value has no slices.
    """
    hits = np.asarray(right, dtype=np.float64)
    members = [
        (by, value, np.array([one == value for one in values]))
        for by, values in parts.items()
        for value in _large_values(values)
    ]
    level = 1 - (1 - LEVEL) / max(1, len(members))
    return tuple(_score(by, value, inside, hits, confidences, level) for by, value, inside in members)


def difference_of_shares(first: tuple[float, int], second: tuple[float, int], *, level: float) -> Estimate:
    """Return share − share of two independent samples, each (hits, size), by Newcombe's (1998) hybrid score interval."""
    one, other = (wilson(hits, size, level=level) for hits, size in (first, second))
    value = one.value - other.value
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    high = value + math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value, max(-1.0, low), min(1.0, high), level)


def _large_values(values: Sequence[str]) -> list[str]:
    names, counts = np.unique(np.array([one for one in values if one], dtype=object), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    found = [str(names[place]) for place in order if counts[place] >= MIN_SLICE]
    return found if len(names) > 1 else []


def _score(
    by: str,
    value: str,
    inside: NDArray[np.bool_],
    hits: NDArray[np.float64],
    confidences: NDArray[np.float64],
    level: float,
) -> SliceScore:
    own, rest = hits[inside], hits[~inside]
    found = wilson(float(own.sum()), len(own), level=level)
    accuracy = Estimate(found.value, found.low, found.high, level)
    difference = None
    if len(rest):
        difference = difference_of_shares((float(own.sum()), len(own)), (float(rest.sum()), len(rest)), level=level)
    return SliceScore(by, value, len(own), accuracy, difference, _overconfidence(confidences[inside], found))


def _overconfidence(confidences: NDArray[np.float64], accuracy: Interval) -> Estimate:
    """Return mean confidence − accuracy; the interval is that of the accuracy, since the mean of probabilities hardly varies."""
    mean = float(confidences.mean())
    return Estimate(mean - accuracy.value, mean - accuracy.high, mean - accuracy.low, accuracy.level)


def _excludes_zero(found: Estimate) -> bool:
    return found.low is not None and found.high is not None and (found.low > 0 or found.high < 0)
