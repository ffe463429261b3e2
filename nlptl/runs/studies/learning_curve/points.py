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
Draws = Mapping[int, Mapping[int, Counts]]
"""Judged, predicted and right (3, K) of each draw of each size."""
Score = Callable[[Draws], dict[int, Floats]]
"""Maps draws to their scores in [0, 1] by size, in their order; NaN where there is none."""


def accuracy(draws: Draws) -> dict[int, Floats]:
    """Return the share of judged rows that are right."""
    return each(lambda counts: float(counts[2].sum() / counts[0].sum()))(draws)


def macro_f1(draws: Draws) -> dict[int, Floats]:
    """Return the mean F1 over the labels that every size judges, so that sizes compare.

    A label that one draw does not judge counts there with its mean over the others of that size.
    """
    of_labels = {size: np.array([label_f1(one) for one in found.values()]) for size, found in draws.items()}
    known = [(~np.isnan(found)).any(axis=0) for found in of_labels.values()]
    means = {}
    for size, found in of_labels.items():
        same = found[:, np.all(known, axis=0)]
        gaps = np.isnan(same)
        usual = np.where(gaps, 0, same).sum(axis=0) / np.maximum(1, (~gaps).sum(axis=0))
        means[size] = np.where(gaps, usual, same).mean(axis=1) if same.size else np.full(len(found), math.nan)
    return means


def each(score: Callable[[Counts], float]) -> Score:
    """Return a score that looks at one draw at a time."""

    def scores(draws: Draws) -> dict[int, Floats]:
        return {size: np.array([score(one) for one in found.values()]) for size, found in draws.items()}

    return scores


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
    draws: Draws,
    score: Score,
    *,
    texts: int,
    judged_share: float | None,
    tails: float = 1.0,
) -> MeasuredCurve:
    """Return the scores of each size; draws without one are left out."""
    sizes, scores = list[int](), list[Floats]()
    for size, found in score(draws).items():
        values = found[~np.isnan(found)]
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
