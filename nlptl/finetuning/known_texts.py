"""Learning the look of known texts: the numbers of `nlptl.inference.abstention.known_texts.KnownTexts`.

Shapes: n known texts, D dimension.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.inference.abstention.known_texts import FALSE_REJECTIONS, Floats, Gaussian, KnownTexts, together
from nlptl.inference.abstention.style import STYLE_DIM, styles

FOLDS = 5
MAX_DIRECTIONS = 128
STYLE_FLOOR = 0.2  # added to the spread of each number of a style, some of which hardly vary
MIN_VARIANCE = 1e-12
MIN_TEXTS = 4  # from which a look is learnt


def learn_known_texts(texts: Sequence[str], vectors: Floats) -> KnownTexts:
    """Learn the look of texts (n), from MIN_TEXTS on, whose order says nothing, with vectors (n, D)."""
    style = styles(texts)
    spread = style.std(axis=0) + STYLE_FLOOR
    rows, other = vectors.astype(np.float64), style / spread
    fold = np.arange(len(texts)) % FOLDS
    apart = np.stack([_held_out(rows, fold, MAX_DIRECTIONS), _held_out(other, fold, STYLE_DIM)])
    centres = np.median(apart, axis=1)
    spreads = np.maximum(np.median(np.abs(apart - centres[:, None]), axis=1), MIN_VARIANCE)
    both = together(apart, centres, spreads)
    middle = float(np.median(both))
    scale = [centres[0], spreads[0], centres[1], spreads[1], middle, max(_limit(both) - middle, MIN_VARIANCE)]
    return KnownTexts(
        fitted_gaussian(rows, directions=MAX_DIRECTIONS), fitted_gaussian(other, directions=STYLE_DIM),
        spread.astype(np.float32), np.array(scale, np.float64), len(texts),
    )  # fmt: skip


def fitted_gaussian(rows: Floats, *, directions: int) -> Gaussian:
    """Fit vectors (n, D)."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    mean = rows.mean(axis=0)
    apart = rows - mean
    shrinkage = ledoit_wolf_shrinkage(apart, assume_centered=True)
    _, singular, axes = np.linalg.svd(apart, full_matrices=False)
    width, kept = rows.shape[1], min(directions, len(singular))
    variances = singular**2 / len(rows)
    even = shrinkage * variances.sum() / width
    rest = (1 - shrinkage) * variances[kept:].sum() / max(1, width - kept) + even
    strong = np.maximum([*((1 - shrinkage) * variances[:kept] + even), rest], MIN_VARIANCE)
    return Gaussian(mean.astype(np.float32), axes[:kept].astype(np.float32), strong.astype(np.float32))


def _held_out(rows: Floats, fold: NDArray[np.int64], directions: int) -> Floats:
    """Return the distance (n,) of each vector (n, D) to the Gaussian of the other folds."""
    found = np.empty(len(rows))
    for number in range(min(FOLDS, len(rows))):
        held = fold == number
        found[held] = fitted_gaussian(rows[~held], directions=directions).distances(rows[held])
    return found


def _limit(scores: Floats) -> float:
    """Return the held-out score that `FALSE_REJECTIONS` of known texts exceed; the largest one where these are few."""
    rank = int(np.ceil((1 - FALSE_REJECTIONS) * (len(scores) + 1)))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])
