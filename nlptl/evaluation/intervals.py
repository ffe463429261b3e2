"""Intervals of scores: Wilson for counts, the bootstrap for other scores, a two-level bootstrap over seeds and items.

Shapes: S seeds (or splits), I items (test texts), N items of one test set, R resamples.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nlptl.errors import ConfigError, DataError

Floats: TypeAlias = npt.NDArray[np.float64]
Ids: TypeAlias = npt.NDArray[np.int64]
Scores: TypeAlias = npt.NDArray[Any] | Sequence[npt.ArrayLike]
"""An (S, I) array if all seeds are scored on the same items; a list of S 1-D arrays if each split has its own."""

MIN_TEXTS = 20  # of a bootstrap interval that is reported; see `estimate`
TOO_FEW = "too few texts for an interval"
_MAX_ELEMENTS = 4_000_000  # of one array of resamples, which bounds memory


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Value with the interval around it, or without one: both ends are None where the texts are too few."""

    value: float
    low: float | None
    high: float | None
    level: float = 0.95

    def __str__(self) -> str:
        return self.told()

    def told(self, form: str = "z.3f", scale: float = 1.0, *, why: str = TOO_FEW) -> str:
        """Return value and interval as text, each number times `scale` in the format `form`, or `why` there is no interval.

        A single point is no interval: files of earlier versions hold some.
        """
        value = format(scale * self.value, form)
        if self.low is None or self.high is None or self.low == self.high:
            return f"{value} ({why})"
        return f"{value} [{scale * self.low:{form}}, {scale * self.high:{form}}]"


@dataclasses.dataclass(frozen=True)
class Interval(Estimate):
    """Value with the interval around it. `level`, in (0, 1), is the nominal coverage."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class PairedDifference:
    """Difference (second − first) of two arms on the same seeds and items."""

    difference: Interval
    wins: int  # seeds with a higher mean in the second arm
    ties: int  # to 1e-12
    losses: int
    p_value: float  # of the `sign_test` over seeds, which ignores the variation between items


def wilson(successes: float, total: float, *, level: float = 0.95) -> Interval:
    """Return the score interval of a proportion (Wilson 1927), which lies in [0, 1] and contains successes / total.

    Fractions stand for repeated scores of a text, and for texts that tell less than independent ones.

    Raises DataError unless 0 ≤ successes ≤ total and total ≥ 1.
    """
    _check_settings(1, level)
    if not 0 <= successes <= total or total == 0:
        raise DataError(
            f"wilson: {successes} successes of {total} is no proportion. "
            "Give a total of at least 1, and at most as many successes."
        )
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    value = successes / total
    centre = (value + z2 / (2 * total)) / (1 + z2 / total)
    half = math.sqrt(z2 * (value * (1 - value) / total + z2 / (4 * total**2))) / (1 + z2 / total)
    # Where the formula gives equality (0 or all successes), rounding may push an end past the value.
    low = 0.0 if successes == 0 else max(0.0, min(centre - half, value))
    high = 1.0 if successes == total else min(1.0, max(centre + half, value))
    return Interval(value=value, low=low, high=high, level=level)


def bootstrap(statistic: Callable[..., Any], *arrays: npt.ArrayLike, resamples: int = 1000, seed: int = 0) -> Interval:
    """Return the percentile bootstrap interval of `statistic` over items (Efron & Tibshirani 1993, ch. 13).

    `arrays` have N items on their first axis and are resampled together, so that pairs stay pairs. `statistic` maps
    arrays (R, N, ...) to (R,). The interval covers the sampling of items. It is a single point if all items agree,
    however few they are. Raises DataError if there are no items, lengths differ, or the statistic is not finite.
    """
    _check_settings(resamples)
    items = [np.asarray(array) for array in arrays]
    sizes = {array.shape[0] if array.ndim else 0 for array in items}
    if len(sizes) != 1 or 0 in sizes:
        raise DataError(
            f"bootstrap: the arrays have {', '.join(str(size) for size in sorted(sizes)) or 'no'} items. "
            "Give one or more arrays of equal length, with at least one item."
        )
    size = sizes.pop()
    rng = np.random.default_rng(seed)
    samples = (rng.integers(0, size, (count, size)) for count in chunks(resamples, size))
    draws = [statistic(*(array[sample] for array in items)) for sample in samples]
    return percentile_interval(float(statistic(*(array[None] for array in items))[0]), np.concatenate(draws))


def estimate(interval: Interval, *, texts: int) -> Estimate:
    """Return a bootstrap interval over `texts` test texts as it is reported; without ends where they would mislead.

    A resample holds nothing but the texts at hand. Few of them seldom hold the rarer kinds, such as mistakes, and the
    interval is then too narrow, or a single point. For a share, the bootstrap is a binomial distribution, whose 95 %
    interval can be computed exactly. Averaged over the shares 0.5 to 0.95, it covers the truth in 36 % of samples of 2
    texts, 71 % of 5, 84 % of 10 and 90 % of 20; at a share of 0.95 a sample of 20 holds no mistake in 36 % of cases.
    Therefore there is no interval below 20 texts, and none where all resamples agree, however many texts there are.
    Wilson's interval of an accuracy has no such limit. Sources: Brown, Cai & DasGupta 2001 (intervals of a share by its
    estimated variance), Efron & Tibshirani 1993, ch. 13; a test computes the figures.
    """
    if texts < MIN_TEXTS or interval.low == interval.high:
        return Estimate(interval.value, None, None, interval.level)
    return Estimate(interval.value, interval.low, interval.high, interval.level)


def without_interval(f1: float, *, texts: int) -> str:
    """Say why an F1 score of `texts` texts has no interval: they are few, or all resamples agree."""
    if texts < MIN_TEXTS:
        return TOO_FEW
    return "no interval: all are right" if f1 == 1 else "no interval: all resamples agree"


def hierarchical_mean(scores: Scores, *, resamples: int = 1000, seed: int = 0) -> Interval:
    """Return the mean score of several seeds (or the mean of splits' means) with a two-level bootstrap interval.

    For an (S, I) array, seeds and items are resampled independently (pigeonhole bootstrap, Owen 2007; conservative if
    seeds hardly differ). For a list of S arrays, splits are resampled, then their items. The interval does **not** cover
    the choice of the training rows, unless each seed drew its own. With one seed it covers items only; few seeds
    understate their own variation. Raises DataError if a score is missing or not finite.
    """
    _check_settings(resamples)
    return _two_level_interval(_rows(scores), isinstance(scores, np.ndarray), resamples, seed)


def paired_difference(
    first: Scores, second: Scores, *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> PairedDifference:
    """Return the `hierarchical_mean` of second − first. Raises DataError if the arms differ in seeds or items.

    Both arms share each draw of seeds and items, so that common variation cancels: equal arms give exactly 0 [0, 0].
    """
    _check_settings(resamples, level)
    before, after = _rows(first), _rows(second)
    sizes = [[row.size for row in arm] for arm in (before, after)]
    if sizes[0] != sizes[1] or isinstance(first, np.ndarray) != isinstance(second, np.ndarray):
        raise DataError(
            f"paired difference: the first arm has {sizes[0]} items by seed, the second {sizes[1]}. Score both arms with the "
            "same seeds on the same test texts, as two arrays or as two lists."
        )
    differences = [b - a for a, b in zip(before, after, strict=True)]
    means = [float(row.mean()) for row in differences]
    wins, losses = sum(mean > 1e-12 for mean in means), sum(mean < -1e-12 for mean in means)
    interval = _two_level_interval(differences, isinstance(first, np.ndarray), resamples, seed, level)
    return PairedDifference(interval, wins, len(means) - wins - losses, losses, p_value=sign_test(wins, losses))


def sign_test(wins: int, losses: int) -> float:
    """Return the exact two-sided p-value of wins and losses that are equally likely (Dixon & Mood 1946).

    Over the items on which two classifiers disagree, it is McNemar's exact test (1947).
    """
    trials = wins + losses
    tail: int = sum(math.comb(trials, count) for count in range(min(wins, losses) + 1))
    return float(min(1.0, 2 * tail / (1 << trials)))


def percentile_interval(value: float, draws: Floats, *, level: float = 0.95) -> Interval:
    """Return `value` with the central `level` of its resamples `draws` (R,).

    An end within rounding (1e-12) of the value is set to it. Raises DataError if a number is not finite.
    """
    if not (math.isfinite(value) and np.isfinite(draws).all()):
        raise DataError(
            "bootstrap: the statistic is not finite on the items, or on a resample of them. "
            "Let it return a finite number where it is undefined."
        )
    ends = (float(end) for end in np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]))
    low, high = (value if math.isclose(end, value, rel_tol=1e-12, abs_tol=1e-12) else end for end in ends)
    return Interval(value=float(value), low=low, high=high, level=level)


def chunks(resamples: int, size: int) -> Iterator[int]:
    """Yield counts that sum to `resamples`, such that count × size float64 elements take at most 32 MB."""
    step = max(1, _MAX_ELEMENTS // max(1, size))
    yield from (min(step, resamples - start) for start in range(0, resamples, step))


def _two_level_interval(
    rows: list[Floats], shared_items: bool, resamples: int, seed: int, level: float = 0.95
) -> Interval:
    """Return the mean of the rows' means, with the interval of its two-level resamples."""
    rng = np.random.default_rng(seed)
    draws = _crossed(np.stack(rows), resamples, rng) if shared_items else _nested(rows, resamples, rng)
    return percentile_interval(float(np.mean([row.mean() for row in rows])), draws, level=level)


def _crossed(scores: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    seeds, items = scores.shape
    sizes = chunks(resamples, items)
    draws = [((_counts(rng, size, seeds) @ scores) * _counts(rng, size, items)).sum(axis=1) for size in sizes]
    return np.concatenate(draws) / scores.size


def _nested(splits: list[Floats], resamples: int, rng: np.random.Generator) -> Floats:
    chosen = rng.integers(0, len(splits), (resamples, len(splits)))
    means = np.empty(chosen.shape)
    for index, items in enumerate(splits):
        uses = int((chosen == index).sum())
        sizes = ((count, items.size) for count in chunks(uses, items.size))
        drawn = [items[rng.integers(0, items.size, size)].mean(axis=1) for size in sizes]
        means[chosen == index] = np.concatenate([[], *drawn])
    return np.asarray(means.mean(axis=1), dtype=np.float64)


def _counts(rng: np.random.Generator, resamples: int, size: int) -> Floats:
    """Return how often each of `size` units occurs in each resample, (R, size)."""
    chosen = rng.integers(0, size, (resamples, size)) + size * np.arange(resamples)[:, None]
    return np.bincount(chosen.ravel(), minlength=chosen.size).reshape(resamples, size).astype(np.float64)


def _rows(scores: Scores) -> list[Floats]:
    rows = [np.asarray(row, dtype=np.float64) for row in scores]
    if not rows or any(row.ndim != 1 or row.size == 0 or not np.isfinite(row).all() for row in rows):
        raise DataError(
            "scores: there is no seed, a seed without items, or a score that is not finite. Give an array of seeds × items, "
            "or a list of 1-D arrays, of finite numbers. Leave out seeds that did not finish."
        )
    return rows


def _check_settings(resamples: int, level: float = 0.95) -> None:
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(
            f"interval: resamples is {resamples} and level {level}, but resamples must be at least 1 and level between 0 and "
            "1. The defaults are 1000 and 0.95."
        )
