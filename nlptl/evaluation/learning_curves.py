"""Learning curves: what a score will be with more labelled texts.

The error of a mean curve is e(n) = a + (e(P) - a) r(n): a is what remains with any number of texts, P the largest measured
size, r falls from r(P) = 1 to 0. Three families of r are averaged: power laws with an offset (POW4), stretched exponentials
(EXP4) and sigmoids of log n (MMF4), the forms that fit best in Viering & Loog 2022 (The Shape of Learning Curves) and LCDB
(Mohr et al. 2022). Parameters come from priors and weigh by the likelihood of the measured scores (importance sampling); a
and e(P) are linear, so that their distribution is exact. What is averaged is therefore the form, its parameters, and the noise
of what was measured. Shapes: M sampled curves, S measured sizes, N later sizes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError
from nlptl.evaluation.curve_noise import DrawNoise, MeasuredCurve
from nlptl.evaluation.intervals import Estimate

SAMPLES, KEPT = 12_000, 4_000  # of curves of each family, and of those that stand for the result
LEVEL = 0.9  # of the intervals
MIN_SIZES, MIN_DRAWS, MIN_RATIO = 4, 3, 3  # of a curve that is extrapolated: sizes, draws, largest size over smallest
MAX_TIMES = 8  # the largest size that is predicted, over the largest measured

# Priors by which curves of four sets (offensive, sentiment, cr, ag_news) are predicted best, from 64 labels to 256, judged on
# training rows. On those of five further sets 92 % of the intervals held: benchmarks/curve.py --dev --ways alone. The second
# part of REMAINING is for tests whose labels have other shares, on which a curve may stay level.
MEAN_ERROR, SPREAD_OF_ERROR = 0.35, 0.4  # of e(P)
REMAINING = ((0.7, 0.05, 0.6), (0.85, 0.15, 0.4))  # of a: mean as a share of e(P), deviation from that, weight
POWER, STEEPNESS, MIDDLE = 1.33, 0.97, 2.44  # medians of c and of MMF4's k, and the latest middle of a fall, in P
# Standard deviation of real curves about these forms: measured at MISFIT_SIZE, by which power it falls, each doubling later.
MISFIT, MISFIT_SIZE, MISFIT_FALL, MISFIT_LATER = 0.03, 32.0, 0.5, 0.0135

Floats = NDArray[np.float64]
Shape = Callable[[Floats], Floats]
"""Maps sizes (S,) to r (M, S)."""


@dataclasses.dataclass(frozen=True)
class FittedCurve:
    """Distribution of the learning curve of a score, as KEPT sampled curves."""

    measured: MeasuredCurve
    noise: DrawNoise
    shape: Shape  # of the kept curves
    remaining: Floats  # (M,) a
    error: Floats  # (M,) e(P)
    residuals: Floats  # (M, S) measured mean error minus that of each curve
    normals: Floats  # (M,) standard normal numbers

    def mean_scores(self, sizes: Floats) -> Floats:
        """Return the score that each curve expects at each size (M, N), of the texts at hand and others."""
        return np.asarray(1 - self._errors(sizes) - self._of_texts_at_hand(sizes), dtype=np.float64)

    def gains(self, size: float, sizes: Floats) -> Floats:
        """Return by how much the expected score rises from `size` to each of `sizes` (M, N), judged on the same texts."""
        both = np.concatenate([[float(size)], sizes])
        found = 1 - self._errors(both) - self.residuals @ self._pull(both, judged=False).T
        return np.asarray(found[:, 1:] - found[:, :1], dtype=np.float64)

    def later_scores(self, sizes: Floats) -> Floats:
        """Return samples (M, N) of a score that is measured once at each size, noise included, in [0, 1]."""
        variance = self._unexplained(sizes) + MISFIT_LATER**2 * np.maximum(
            0.0, np.log2(sizes / self.measured.sizes[-1])
        )
        found = self.mean_scores(sizes) + self.normals[:, None] * np.sqrt(np.maximum(variance, 0.0))
        return np.asarray(np.clip(found, 0.0, 1.0), dtype=np.float64)

    def predicted(self, size: float, *, level: float = LEVEL) -> Estimate:
        """Return the median of the score at a later size with its prediction interval."""
        found = self.later_scores(np.array([float(size)]))[:, 0]
        low, middle, high = np.quantile(found, [(1 - level) / 2, 0.5, (1 + level) / 2]).tolist()
        return Estimate(middle, low, high, level)

    def _errors(self, sizes: Floats) -> Floats:
        shape = self.shape(sizes)
        return self.remaining[:, None] * (1 - shape) + self.error[:, None] * shape

    def _pull(self, sizes: Floats, *, judged: bool = True) -> Floats:
        """Return the weights (N, S) of measured residuals in what is expected at later sizes."""
        covariance = self.noise.measured() + _misfit(np.array(self.measured.sizes, dtype=np.float64))
        together = self.noise.with_later(sizes, judged=judged)
        return np.asarray(np.linalg.solve(covariance, together.T).T, dtype=np.float64)

    def _of_texts_at_hand(self, sizes: Floats) -> Floats:
        return np.asarray(self.residuals @ self._pull(sizes).T, dtype=np.float64)

    def _unexplained(self, sizes: Floats) -> Floats:
        explained = np.sum(self._pull(sizes) * self.noise.with_later(sizes), axis=1)
        return np.asarray(self.noise.later(sizes) - explained, dtype=np.float64)


def fit_curve(measured: MeasuredCurve, *, seed: int = 0, samples: int = SAMPLES) -> FittedCurve:
    """Return the distribution of the curve given its measured scores; more `samples` of a family give smoother quantiles.

    Raises DataError for scores that are not in [0, 1], and for a curve that is too short to be extrapolated.
    """
    _check(measured)
    generator = np.random.default_rng(seed)
    noise = DrawNoise.of(measured)
    sizes, errors = np.array(measured.sizes, dtype=np.float64), 1 - measured.means
    covariance = noise.measured() + _misfit(sizes)
    families = [draw(generator, sizes[-1], samples) for draw in (_power_law, _exponential, _sigmoid)]
    parts = [_weighed(shape(sizes), errors, covariance, generator) for shape in families]
    weights = np.concatenate([part[0] for part in parts])
    levels = np.concatenate([part[1] for part in parts])
    chosen = _systematic(weights, generator)

    def shape_of(later: Floats) -> Floats:
        return np.concatenate([shape(later) for shape in families])[chosen]

    remaining, error = levels[chosen, 0], levels[chosen, 1]
    at = shape_of(sizes)
    residuals = errors - (remaining[:, None] * (1 - at) + error[:, None] * at)
    return FittedCurve(measured, noise, shape_of, remaining, error, residuals, generator.standard_normal(KEPT))


def why_too_short(measured: MeasuredCurve) -> str | None:
    """Return in a clause why a curve cannot be extrapolated; None where it can."""
    sizes = [size for size, scores in zip(measured.sizes, measured.scores, strict=True) if len(scores)]
    several = sum(len(scores) >= MIN_DRAWS for scores in measured.scores)
    if len(sizes) < MIN_SIZES:
        return f"it has {len(sizes)} sizes, and {MIN_SIZES} are needed"
    if several < MIN_SIZES - 1:
        return f"{several} of its sizes have {MIN_DRAWS} draws, and {MIN_SIZES - 1} are needed"
    if sizes[-1] < MIN_RATIO * sizes[0]:
        return f"its largest size, {sizes[-1]}, is less than {MIN_RATIO} times the smallest, {sizes[0]}"
    return None


def _check(measured: MeasuredCurve) -> None:
    every = np.concatenate(measured.scores) if measured.scores else np.zeros(0)
    if not (np.isfinite(every).all() and (every >= 0).all() and (every <= 1).all()):
        raise DataError("learning curve: found a score that is no number from 0 to 1. Leave out the fits that failed.")
    if why := why_too_short(measured):
        raise DataError(f"learning curve: {why}. Measure more of it, or label more texts.")


def _weighed(
    shape: Floats, errors: Floats, covariance: Floats, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return log weights (M,) of shapes (M, S), and for each a draw (M, 2) of a and e(P) given the errors (S,).

    The errors are a + (e(P) - a) r + noise. With a Gaussian prior of a and e(P) - a, their posterior is Gaussian, and its
    normalising constant is the evidence of r.
    """
    root = np.linalg.inv(np.linalg.cholesky(covariance))
    one, seen, white = root.sum(axis=1), root @ errors, shape @ root.T
    mean, precision, constant = _priors(len(shape))
    pull = np.einsum("mkl,ml->mk", precision, mean)
    first, second = one @ seen + pull[:, 0], white @ seen + pull[:, 1]
    a11, a12 = one @ one + precision[:, 0, 0], white @ one + precision[:, 0, 1]
    a22 = np.sum(white**2, axis=1) + precision[:, 1, 1]
    determinant = a11 * a22 - a12**2
    mean_a, mean_drop = (a22 * first - a12 * second) / determinant, (a11 * second - a12 * first) / determinant
    evidence = constant + 0.5 * (mean_a * first + mean_drop * second - np.log(determinant))
    normals = generator.standard_normal((2, len(shape)))
    remaining = mean_a + np.sqrt(a22 / determinant) * normals[0]
    drop = mean_drop - a12 / a22 * (remaining - mean_a) + normals[1] / np.sqrt(a22)
    possible = (remaining >= 0) & (drop >= 0) & (remaining + drop <= 1)
    return np.where(possible, evidence, -np.inf), np.stack([remaining, remaining + drop], axis=1)


def _priors(samples: int) -> tuple[Floats, Floats, Floats]:
    """Return mean (M, 2), precision (M, 2, 2) and log constant (M,) of the prior of a and e(P) - a, in turn for the samples."""
    means, precisions, constants = list[Floats](), list[Floats](), list[float]()
    for share, deviation, weight in REMAINING:
        shares, apart = np.array([share, 1 - share]), np.array([1.0, -1.0])
        covariance = SPREAD_OF_ERROR**2 * np.outer(shares, shares) + deviation**2 * np.outer(apart, apart)
        mean, precision = MEAN_ERROR * shares, np.asarray(np.linalg.inv(covariance), dtype=np.float64)
        constant = np.log(weight) + 0.5 * (np.linalg.slogdet(precision)[1] - mean @ precision @ mean)
        means.append(mean)
        precisions.append(precision)
        constants.append(float(constant))
    turn = np.arange(samples) % len(REMAINING)
    return np.array(means)[turn], np.array(precisions)[turn], np.array(constants)[turn]


def _misfit(sizes: Floats) -> Floats:
    """Return the covariance (S, S) of a real curve about its best form, which is less where the curve is flatter."""
    return np.diag((MISFIT * (sizes / MISFIT_SIZE) ** -MISFIT_FALL) ** 2)


def _systematic(logs: Floats, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return KEPT numbers of samples, each about as often as it weighs (systematic resampling)."""
    weights = np.exp(logs - logs.max())
    places = (generator.random() + np.arange(KEPT)) / KEPT
    found = np.searchsorted(np.cumsum(weights) / weights.sum(), places).clip(max=len(weights) - 1)
    return np.asarray(generator.permutation(found), dtype=np.int64)


def _power_law(generator: np.random.Generator, largest: float, samples: int) -> Shape:
    """POW4: r = ((n + d) / (P + d))^-c."""
    power = np.exp(generator.normal(np.log(POWER), 0.6, samples)).clip(max=3.0)[:, None]
    offset = largest * np.exp(generator.uniform(np.log(0.01), np.log(3.0), samples))[:, None]
    return lambda sizes: ((sizes + offset) / (largest + offset)) ** -power


def _exponential(generator: np.random.Generator, largest: float, samples: int) -> Shape:
    """EXP4: r = exp(-((n/b)^k - (P/b)^k)) with a stretched power k."""
    power = generator.uniform(0.25, 1.0, samples)[:, None]
    scale = largest * np.exp(generator.uniform(np.log(0.2), np.log(MIDDLE), samples))[:, None]
    return lambda sizes: np.exp((largest / scale) ** power - (sizes / scale) ** power)


def _sigmoid(generator: np.random.Generator, largest: float, samples: int) -> Shape:
    """MMF4: r = (b^k + P^k) / (b^k + n^k)."""
    power = np.exp(generator.normal(np.log(STEEPNESS), 0.5, samples))[:, None]
    middle = largest * np.exp(generator.uniform(np.log(0.1), np.log(MIDDLE), samples))[:, None]
    return lambda sizes: (1 + (largest / middle) ** power) / (1 + (sizes / middle) ** power)
