"""Figures of a confusion table: rows are true labels, columns predicted ones.

Shapes: K labels, R resamples, M non-empty cells.
"""

from __future__ import annotations

import math

import numpy as np

from nlptl.evaluation.intervals import Floats, Ids, chunks


def resampled_macro_f1(confusion: Ids, *, resamples: int, seed: int) -> Floats:
    """Return macro-F1 (R,) of resampled texts, by drawing the counts of the M non-empty cells."""
    rows, columns = np.nonzero(confusion)
    counts, every = confusion[rows, columns], np.arange(len(confusion))[:, None]
    # F1 = 2 TP / (true + predicted): a cell counts for one label as true and for one as predicted.
    in_test_set = confusion.any(axis=1)
    totals = ((rows == every).astype(np.float64) + (columns == every)).T[:, in_test_set]
    hits = totals * (rows == columns)[:, None]
    rng = np.random.default_rng(seed)
    values = []
    for size in chunks(resamples, len(counts) + len(confusion)):
        drawn = rng.multinomial(counts.sum(), counts / counts.sum(), size=size).astype(np.float64)
        total = drawn @ totals
        f1 = drawn @ hits / np.maximum(total, 1)
        values.append(in_test_set.mean() * f1.sum(axis=1) / (total > 0).sum(axis=1))
    return np.concatenate(values)


def matthews_correlation(confusion: Ids) -> float:
    """Return the Matthews correlation of K labels (Gorodkin 2004); 0 if it is undefined."""
    true, predicted, size = confusion.sum(axis=1), confusion.sum(axis=0), int(confusion.sum())
    covariance, scale = int(confusion.trace()) * size - int(true @ predicted), spread(confusion)
    return covariance / math.sqrt(scale) if scale else 0.0


def spread(confusion: Ids) -> int:
    """Return the squared denominator of the Matthews correlation; 0 if all texts have, or are given, one label."""
    true, predicted, size = confusion.sum(axis=1), confusion.sum(axis=0), int(confusion.sum())
    return (size**2 - int(true @ true)) * (size**2 - int(predicted @ predicted))
