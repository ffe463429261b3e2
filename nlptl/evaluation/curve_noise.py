"""Noise of measured learning curves: how scores vary with the labelled texts that are drawn.

A score after learning n of the P texts at hand is taken as f(n) plus the mean influence of the n texts, as a linear statistic
has it (Hájek projection), plus what is no sum over texts. Subsets of the same texts therefore err together, and what is
measured later on these texts and others errs with them. Shapes: S sizes, N later sizes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LINEAR_SHARE = 0.43  # of a draw's variance that is a sum over its texts
FALL = 0.23  # power of the size by which the standard deviation of a draw falls
PRIOR_DEVIATION, PRIOR_DRAWS = (
    0.03,
    4.0,
)  # standard deviation of a draw of PRIOR_SIZE texts, and how many draws it is worth
PRIOR_SIZE = 32.0
MIN_VARIANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class MeasuredCurve:
    """Scores of a learning curve, draw by draw."""

    sizes: tuple[int, ...]  # S, ascending
    scores: tuple[Floats, ...]  # of the draws of each size, in [0, 1]
    texts: int  # P: labelled texts from which the subsets are drawn
    tails: float = 1.0  # factor on the deviation of draws, for scores of which single draws tell less than they seem to
    judged_share: float | None = None  # where the texts judge one another: share of them by which the score varies

    @property
    def means(self) -> Floats:
        """Mean score of each size (S,)."""
        return np.array([one.mean() for one in self.scores])


@dataclasses.dataclass(frozen=True)
class DrawNoise:
    """Covariance of scores that are measured on drawn texts."""

    curve: MeasuredCurve
    scale: float  # standard deviation of a draw of PRIOR_SIZE texts

    @classmethod
    def of(cls, curve: MeasuredCurve) -> DrawNoise:
        """Estimate the noise from the draws of a curve, and from what curves have in general where these are few."""
        weighted, weights = PRIOR_DRAWS * PRIOR_DEVIATION**2, PRIOR_DRAWS
        for size, scores in zip(curve.sizes, curve.scores, strict=True):
            freedom = (len(scores) - 1) * (1 - size / curve.texts)  # subsets that share most of their texts tell little
            if freedom > 0:
                variance = float(scores.var(ddof=1)) / (1 - size / curve.texts)
                weighted += freedom * variance * (size / PRIOR_SIZE) ** (2 * FALL)
                weights += freedom
        return cls(curve, curve.tails * float(np.sqrt(max(MIN_VARIANCE, weighted / weights))))

    def deviation(self, sizes: Sequence[float] | Floats) -> Floats:
        """Return the standard deviation of one draw's score at each size."""
        return self.scale * (np.asarray(sizes, dtype=np.float64) / PRIOR_SIZE) ** -FALL

    def measured(self) -> Floats:
        """Return the covariance (S, S) of the mean scores."""
        sizes = np.array(self.curve.sizes, dtype=np.float64)
        draws = np.array([len(scores) for scores in self.curve.scores], dtype=np.float64)
        larger = np.maximum.outer(sizes, sizes)
        shared = 1 / self.curve.texts + np.maximum(0.0, 1 / larger - 1 / self.curve.texts) / np.maximum.outer(
            draws, draws
        )
        deviation = self.deviation(sizes)
        linear = LINEAR_SHARE * np.sqrt(np.outer(sizes, sizes)) * shared
        found = np.outer(deviation, deviation) * (linear + (1 - LINEAR_SHARE) * np.diag(1 / draws))
        return np.asarray(found + self._of_judged(self.curve.texts), dtype=np.float64)

    def later(self, sizes: Floats) -> Floats:
        """Return the variance (N,) of a score that is measured once at each later size."""
        judged = np.array([self._of_judged(size) for size in sizes.tolist()])
        return np.asarray(self.deviation(sizes) ** 2 + judged, dtype=np.float64)

    def with_later(self, sizes: Floats, *, judged: bool = True) -> Floats:
        """Return the covariance (N, S) of later scores and the mean scores; without what they share by the texts `judged`."""
        measured = np.array(self.curve.sizes, dtype=np.float64)
        apart = np.outer(self.deviation(sizes), self.deviation(measured))
        shared = np.array([self._of_judged(size) if judged else 0.0 for size in sizes.tolist()])
        return np.asarray(apart * LINEAR_SHARE * np.sqrt(measured / sizes[:, None]) + shared[:, None], dtype=np.float64)

    def _of_judged(self, texts: float) -> float:
        """Return the variance that all scores share since they are judged on the drawn texts themselves."""
        if self.curve.judged_share is None:
            return 0.0
        level = float(np.clip(self.curve.means[-1], 0.05, 0.95))
        return level * (1 - level) / max(1.0, texts * self.curve.judged_share)
