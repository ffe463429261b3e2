"""How sharp a head's probabilities should be: one temperature, fitted on logits of held-out examples.

Shapes: n examples, K labels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SHARPNESSES = (1e-2, 1e4)  # searched, where the logits have a standard deviation of 1
STEPS = 60
PRECISE = 1e-9
LEAST = 1e-300  # probability that is told from 0
FLAT = 1e-9  # spread of logits, in units of the largest, below which it is rounding
BELIEF = 20.0  # texts that a classifier's own probabilities are worth where they are corrected by fresh ones


def log_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the negative log-probability of each label (n,), in nats, from logits (n, K) and label ids (n,)."""
    return -logits.log_softmax(dim=-1).gather(-1, labels[:, None])[:, 0]


def log_probabilities(probabilities: NDArray[np.float64]) -> Tensor:
    """Return the logarithms of predictions (n, K), finite for 0 too; they serve as logits."""
    return torch.from_numpy(probabilities).clamp(min=LEAST).log()


def fit_temperature(logits: Tensor, labels: Tensor, *, doubt: float | None = None) -> float:
    """Return the temperature that minimises the log-loss of smoothed labels (Guo et al. 2017; Platt 1999).

    A label counts as certain only to 1 - 1 / (n + 2), the rest is spread over the other labels: the pseudo-count of
    Platt's targets. So 8 examples that are all right make probabilities of about 0.9 and not of 1, whatever the units
    of the logits, and hundreds of examples hardly feel it. The loss is convex in 1 / temperature; where the logits
    speak against the labels, the flattest temperature searched is returned. `doubt` (0 to 1) takes the place of
    1 / (n + 2), where more is known of how often such logits are wrong.
    """
    count, width = logits.shape
    unit = logits.std(dim=-1, correction=0).pow(2).mean().sqrt()
    if _is_rounding(unit, logits):
        return 1.0
    scores = (logits - logits.mean(dim=-1, keepdim=True)) / unit
    doubt = min(1 / (count + 2) if doubt is None else doubt, 1 - 1 / width)
    expected = (1 - doubt - doubt / (width - 1)) * scores.gather(1, labels[:, None])[:, 0]  # rows of scores sum to 0
    return float(unit) / _best_sharpness(scores, expected, scores.new_ones(count))


def corrected_temperature(
    logits: Tensor, labels: Tensor, *, weights: Tensor | None = None, belief: float = BELIEF
) -> float:
    """Return the temperature that corrects logits (n, K) which were calibrated before, by labels (n,) of fresh texts.

    Minimises the log-loss of targets that are the labels to n / (n + `belief`) and the softmax of the logits itself for the
    rest: no texts say 1, and few move it little, since what the classifier believes of itself comes from more than they are.
    `belief` is how many texts that is worth: more moves less. `weights` (n,) say how much each text counts, all alike by
    default; n is then their effective number (Kish 1965), (sum of weights)² / sum of squares.
    """
    weights = logits.new_ones(len(logits)) if weights is None else weights.to(logits)
    if not bool(weights.sum() > 0):
        return 1.0
    unit = logits.std(dim=-1, correction=0).pow(2).mean().sqrt()
    if _is_rounding(unit, logits):
        return 1.0
    scores = (logits - logits.mean(dim=-1, keepdim=True)) / unit
    count = float(weights.sum().square() / weights.square().sum())
    share = count / (count + belief)
    seen = scores.gather(1, labels[:, None])[:, 0]
    believed = (logits.softmax(dim=-1) * scores).sum(dim=-1)
    return float(unit) / _best_sharpness(scores, share * seen + (1 - share) * believed, weights)


def _is_rounding(spread: Tensor, logits: Tensor) -> bool:
    return float(spread) <= FLAT * max(LEAST, float(logits.abs().max()))


def _best_sharpness(scores: Tensor, targets: Tensor, weights: Tensor) -> float:
    """Find where the weighted mean scores under softmax(sharpness * scores) sum to those of the `targets` (n,): Newton."""
    expected = float((weights * targets).sum())
    low, high = SHARPNESSES
    sharpness = 1.0
    for _ in range(STEPS):
        chances = (sharpness * scores).softmax(dim=-1)
        means = (chances * scores).sum(dim=-1)
        slope = float((weights * means).sum()) - expected
        curvature = float((weights * ((chances * scores.pow(2)).sum(dim=-1) - means.pow(2))).sum())
        low, high = (low, sharpness) if slope > 0 else (sharpness, high)
        newton = sharpness - slope / curvature if curvature > 0 else high
        step = newton if low < newton < high else (low * high) ** 0.5
        if abs(step - sharpness) <= PRECISE * sharpness:
            return step
        sharpness = step
    return sharpness
