"""Drift: how texts differ from those of before, in their vectors and in shares of them or of their words.

All p-values are those of permutations: they hold for few texts too. Shapes: n texts of before, m new texts, D dimension,
F folds, R permutations, V values.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.intervals import Interval, chunks, percentile_interval

PERMUTATIONS = 499  # more tell smaller p-values and take longer
RESAMPLES = 1_000
FOLDS = 5
RIDGE = 1.0  # penalty of the domain classifier, in mean squared lengths of the centred vectors

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class VectorShift:
    """Result of a classifier two-sample test (Lopez-Paz & Oquab 2017)."""

    auc: Interval  # of telling new texts from those of before, held out; guessing gives 0.5
    p_value: float
    scores: Floats  # (m,) of each new text: the higher, the less it is like the texts of before


@dataclasses.dataclass(frozen=True)
class MixShift:
    """Shares of values then and now, the largest change first, and how likely such a change is by chance."""

    values: tuple[str, ...]
    then: tuple[float, ...]  # (V,)
    now: tuple[float, ...]
    p_value: float


@dataclasses.dataclass(frozen=True)
class RateShift:
    """Share of some kind of words among all words, then and now."""

    then: float
    now: float
    difference: Interval  # now − then
    p_value: float


def vector_shift(before: Floats, new: Floats, *, permutations: int = PERMUTATIONS, seed: int = 0) -> VectorShift:
    """Tell new vectors (m, D) from those of before (n, D), with n and m of FOLDS at least, by a cross-fitted ridge regression.

    The out-of-fold scores are one matrix times the labels, so that each permutation of the labels costs one product. The
    interval takes the scores as given and resamples the texts.
    """
    vectors = np.concatenate([before, new]).astype(np.float64)
    generator = np.random.default_rng(seed)
    target = np.repeat([0.0, 1.0], [len(before), len(new)])
    smoother = _cross_fitted(vectors, _dealt(target, generator))
    scores = smoother @ target
    reached, seen = 0, _auc(scores[:, None], target[:, None])[0]
    for size in chunks(permutations, len(target)):
        shuffled = generator.permuted(np.repeat(target[:, None], size, axis=1), axis=0)
        reached += int((_auc(smoother @ shuffled, shuffled) >= seen - 1e-12).sum())
    interval = _auc_interval(scores[: len(before)], scores[len(before) :])
    return VectorShift(interval, (1 + reached) / (1 + permutations), scores[len(before) :])


def mix_shift(
    then: Sequence[Hashable], now: Sequence[Hashable], *, permutations: int = 10 * PERMUTATIONS, seed: int = 0
) -> MixShift:
    """Compare the shares of values of two samples, neither empty, by Pearson's χ² under permutations of the texts."""
    one, other = Counter(map(str, then)), Counter(map(str, now))
    values = sorted(one | other)
    counts = np.array([[sample[value] for value in values] for sample in (one, other)], dtype=np.int64)
    total, sizes = counts.sum(axis=0), counts.sum(axis=1)
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(total, sizes[1], size=permutations)
    reached = int((_chi_squared(drawn, total, sizes) >= _chi_squared(counts[1:], total, sizes)[0] - 1e-9).sum())
    shares = counts / sizes[:, None]
    order = np.argsort(-np.abs(shares[1] - shares[0]), kind="stable").tolist()
    first, second = (tuple(float(row[place]) for place in order) for row in shares)
    return MixShift(tuple(values[place] for place in order), first, second, (1 + reached) / (1 + permutations))


def rate_shift(then: NDArray[np.int64], now: NDArray[np.int64], *, seed: int = 0) -> RateShift | None:
    """Compare the shares of words of a kind; rows (n, 2) and (m, 2) hold the words of that kind and all words of each text.

    The p-value is one-sided, for a higher share now. None where one side has no words.
    """
    if not (len(then) and len(now) and then[:, 1].sum() and now[:, 1].sum()):
        return None
    generator = np.random.default_rng(seed)
    first, second = _rate(then.sum(axis=0)), _rate(now.sum(axis=0))
    both, place = np.concatenate([then, now]).astype(np.float64), len(then)
    total, reached = both.sum(axis=0), 0
    for size in chunks(2 * PERMUTATIONS, len(both)):
        order = np.argsort(generator.random((size, len(both))), axis=1)[:, place:]
        inside = both[order].sum(axis=1)
        reached += int((_rate(inside) - _rate(total - inside) >= second - first - 1e-12).sum())
    draws = _resampled_rates(now, generator) - _resampled_rates(then, generator)
    return RateShift(
        float(first), float(second), percentile_interval(float(second - first), draws),
        (1 + reached) / (1 + 2 * PERMUTATIONS),
    )  # fmt: skip


def holm(p_values: Sequence[float], *, level: float) -> list[bool]:
    """Return which of several tests are significant, so that all together err with probability `level` (Holm 1979)."""
    shown = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[place] > level / (len(p_values) - rank):
            break
        shown[place] = True
    return shown


def _dealt(target: Floats, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the fold (n + m,) of each text, dealt evenly on both sides."""
    fold = np.empty(len(target), dtype=np.int64)
    for side in (0.0, 1.0):
        rows = generator.permutation(np.flatnonzero(target == side))
        fold[rows] = np.arange(len(rows)) % FOLDS
    return fold


def _cross_fitted(vectors: Floats, fold: NDArray[np.int64]) -> Floats:
    """Return the matrix (N, N) that makes held-out scores of labels (N,): ridge regression on the other folds."""
    found = np.zeros((len(vectors), len(vectors)))
    for number in range(FOLDS):
        held, rest = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        centre = vectors[rest].mean(axis=0)
        learnt, tested = vectors[rest] - centre, vectors[held] - centre
        kernel = learnt @ learnt.T
        kernel[np.diag_indices(len(rest))] += max(RIDGE * float(np.trace(kernel)) / len(rest), 1e-12)
        weights = np.linalg.solve(kernel, (tested @ learnt.T).T).T
        found[np.ix_(held, rest)] = weights - weights.mean(axis=1, keepdims=True)  # of centred labels
    return found


def _auc(scores: Floats, target: Floats) -> Floats:
    """Return the areas under the ROC curve (R,) of scores (N, R) for labels (N, R) of 0 and 1; ties, hardly any, count whole."""
    ranks = np.empty_like(scores)
    np.put_along_axis(ranks, np.argsort(scores, axis=0), np.arange(1.0, len(scores) + 1)[:, None], axis=0)
    ones = target.sum(axis=0)
    zeros = len(target) - ones
    found: Floats = ((ranks * target).sum(axis=0) - ones * (ones + 1) / 2) / (ones * zeros)
    return found


def _auc_interval(before: Floats, new: Floats) -> Interval:
    """Return the area under the ROC curve with the interval of DeLong et al. 1988."""
    sorted_before, sorted_new = np.sort(before), np.sort(new)
    above = np.searchsorted(sorted_before, new) / len(before)  # (m,)
    below = 1 - np.searchsorted(sorted_new, before, side="right") / len(new)  # (n,)
    value = float(above.mean())
    error = float(np.sqrt(above.var(ddof=1) / len(new) + below.var(ddof=1) / len(before)))
    return Interval(value, max(0.0, value - 1.96 * error), min(1.0, value + 1.96 * error))


def _chi_squared(now: NDArray[np.int64], total: NDArray[np.int64], sizes: NDArray[np.int64]) -> Floats:
    """Return Pearson's χ² (R,) of counts (R, V) of the new sample, given those of both together (V,) and both sizes."""
    expected = np.maximum(total * sizes[1] / sizes.sum(), 1e-12)
    found: Floats = ((now - expected) ** 2 / expected).sum(axis=1)
    return found


def _rate(counts: NDArray[np.float64] | NDArray[np.int64]) -> Floats:
    """Return the shares of counts (..., 2)."""
    found: Floats = counts[..., 0] / np.maximum(counts[..., 1], 1)
    return found


def _resampled_rates(counts: NDArray[np.int64], generator: np.random.Generator) -> Floats:
    """Return the share (RESAMPLES,) of words in resamples of the texts."""
    sizes = chunks(RESAMPLES, len(counts))
    drawn = [counts[generator.integers(0, len(counts), (size, len(counts)))].sum(axis=1) for size in sizes]
    return _rate(np.concatenate(drawn))
