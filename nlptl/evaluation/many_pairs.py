"""Differences of many pairs of arms, with one correction for all of them.

Shapes: A arms, P = A (A - 1) / 2 pairs, R resamples.
"""

from __future__ import annotations

import dataclasses
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from nlptl.errors import DataError
from nlptl.evaluation.intervals import Interval

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class CorrectedDifference:
    """Difference (second - first) of two arms. All intervals hold together with the probability `level`."""

    first: int
    second: int
    difference: Interval
    p_value: float  # corrected for all pairs


@dataclasses.dataclass(frozen=True)
class PairErrors:
    """Where the interval of each pair is centred, and the standard error that it has at least."""

    centres: Floats  # (P,)
    errors: Floats  # (P,)


def pairs_of(arms: int) -> list[tuple[int, int]]:
    """Return all P pairs of arms, as (first, second) with first < second."""
    return [(first, second) for first in range(arms) for second in range(first + 1, arms)]


def corrected_differences(
    values: Floats, draws: Floats, *, least: PairErrors | None = None, level: float = 0.95
) -> tuple[CorrectedDifference, ...]:
    """Return the difference of each pair of the scores `values` (A,), corrected by the single-step max-T method.

    `draws` (A, R) are the same scores on R resamples, which all arms share. The largest studentised difference of a resample
    gives the critical value and the p-values (Westfall & Young 1993, ch. 2), so that the correction knows how the pairs hang
    together and is milder than Bonferroni's. `least` widens what a resample of few texts cannot show. Raises DataError for
    scores that are no numbers.
    """
    if not (np.isfinite(values).all() and np.isfinite(draws).all()):
        raise DataError("corrected differences: a score is not finite. Leave out arms that did not finish.")
    pairs = np.array(pairs_of(len(values)), dtype=np.int64).reshape(-1, 2)
    first, second = pairs[:, 0], pairs[:, 1]
    apart = draws - draws.mean(axis=1, keepdims=True)
    moves = apart[second] - apart[first]
    spread = moves.std(axis=1)
    differences = values[second] - values[first]
    centres = differences if least is None else least.centres
    errors = spread if least is None else np.maximum(spread, least.errors)
    moved = spread > 0
    largest = np.abs(moves[moved] / spread[moved, None]).max(axis=0, initial=0.0)
    critical = max(float(np.quantile(largest, level)), NormalDist().inv_cdf((1 + level) / 2)) if len(largest) else 0.0
    found = []
    for place, (one, other) in enumerate(pairs.tolist()):
        value, centre, error = float(differences[place]), float(centres[place]), float(errors[place])
        low, high = min(value, centre - critical * error), max(value, centre + critical * error)
        statistic = abs(centre) / error if error else 0.0
        p_value = (1 + int((largest >= statistic).sum())) / (1 + len(largest))
        interval = Interval(value, max(-1.0, low), min(1.0, high), level)
        found.append(CorrectedDifference(one, other, interval, min(1.0, p_value)))
    return tuple(found)
