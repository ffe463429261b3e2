"""Scores of a curve's fits, draw by draw. Shapes: K labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.curve_noise import MeasuredCurve
from nlptl.runs.studies.learning_curve.curve_rows import CurveRow
from nlptl.runs.studies.learning_curve.subsets import Subsets

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Score = Callable[[Counts], float]
"""Maps judged, predicted and right (3, K) to a score in [0, 1], or NaN where there is none."""


def accuracy(counts: Counts) -> float:
    """Return the share of judged rows that are right."""
    return float(counts[2].sum() / counts[0].sum())


def macro_f1(counts: Counts) -> float:
    """Return the mean F1 of the judged labels."""
    return float(np.nanmean(label_f1(counts)))


def label_f1(counts: Counts) -> Floats:
    """Return the F1 of each label (K,); NaN where none of its rows was judged."""
    judged, predicted, right = counts.astype(np.float64)
    return np.where(judged > 0, 2 * right / np.maximum(judged + predicted, 1), math.nan)


def label_recall(counts: Counts) -> Floats:
    """Return the recall of each label (K,); NaN where none of its rows was judged."""
    judged, _, right = counts.astype(np.float64)
    return np.where(judged > 0, right / np.maximum(judged, 1), math.nan)


def counts_of_draws(rows: Sequence[CurveRow], subsets: Subsets) -> dict[int, dict[int, Counts]]:
    """Return the counts (3, K) of each draw of each size, folds summed. A draw that lacks a fold is left out."""
    wanted: dict[tuple[int, int], int] = {}
    for one in subsets.fits:
        wanted[one.size, one.draw] = wanted.get((one.size, one.draw), 0) + 1
    found: dict[tuple[int, int], list[CurveRow]] = {}
    for row in rows:
        found.setdefault((row.size, row.draw), []).append(row)
    whole = {key: mine for key, mine in found.items() if len(mine) == wanted.get(key)}
    draws: dict[int, dict[int, Counts]] = {}
    for (size, draw), mine in sorted(whole.items()):
        draws.setdefault(size, {})[draw] = np.sum([row.counts() for row in mine], axis=0)
    return draws


def measured_curve(
    draws: Mapping[int, Mapping[int, Counts]],
    score: Score,
    *,
    texts: int,
    judged_share: float | None,
    tails: float = 1.0,
) -> MeasuredCurve:
    """Return the scores of each size; draws without one are left out."""
    sizes, scores = list[int](), list[Floats]()
    for size, counts in draws.items():
        values = np.array([score(one) for one in counts.values()])
        values = values[~np.isnan(values)]
        if len(values):
            sizes.append(size)
            scores.append(values)
    return MeasuredCurve(tuple(sizes), tuple(scores), texts, tails, judged_share)


def shares_judged(subsets: Subsets) -> Floats | None:
    """Return the share of each label (K,) where the texts judge one another; None on a test."""
    if subsets.judging.by == "test":
        return None
    table = subsets.judging.table
    counts = np.array([table.label_counts().get(label, 0) for label in subsets.labels], dtype=np.float64)
    return np.asarray(counts / counts.sum(), dtype=np.float64)
