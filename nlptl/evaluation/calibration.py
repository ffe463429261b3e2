"""Temperature scaling of a head's probabilities, fitted on n held-out logits over K labels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

INVERSE_TEMPERATURES = (1e-2, 1e4)  # range of the search, for logits with a standard deviation of 1
MAX_STEPS = 60
TOLERANCE = 1e-9  # relative change of the inverse temperature at which the search ends
MIN_PROBABILITY = 1e-300  # below which the logarithm is that of this one
ROUNDING_SPREAD = 1e-9  # of logits, relative to the largest, below which it is rounding error
PRIOR_STRENGTH = 20.0  # in texts, of a classifier's own probabilities when fresh texts correct them


def log_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the negative log-probability (n,), in nats, of the labels (n,) under logits (n, K)."""
    return -logits.log_softmax(dim=-1).gather(-1, labels[:, None])[:, 0]


def log_probabilities(probabilities: NDArray[np.float64]) -> Tensor:
    """Return the logarithms of probabilities (n, K), finite for 0 too. They serve as logits."""
    return torch.from_numpy(probabilities).clamp(min=MIN_PROBABILITY).log()


def fit_temperature(logits: Tensor, labels: Tensor, *, label_noise_rate: float | None = None) -> float:
    """Return the temperature that minimises the log-loss of smoothed labels (Guo et al. 2017; Platt 1999).

    A label has probability 1 - r; the other labels share r, the `label_noise_rate` (0 to 1). Its default 1 / (n + 2) is
    the pseudo-count of Platt's targets: 8 correct examples give probabilities of about 0.9, not 1. The loss is convex in
    the inverse temperature. If the logits contradict the labels, the result is the highest temperature of the search.
    """
    count, width = logits.shape
    scores, unit = _standardised(logits)
    if unit == 0:
        return 1.0
    rate = min(1 / (count + 2) if label_noise_rate is None else label_noise_rate, 1 - 1 / width)
    expected = (1 - rate - rate / (width - 1)) * scores.gather(1, labels[:, None])[:, 0]  # rows of scores sum to 0
    return unit / _best_inverse_temperature(scores, expected, scores.new_ones(count))


def corrected_temperature(
    logits: Tensor, labels: Tensor, *, weights: Tensor | None = None, prior_strength: float = PRIOR_STRENGTH
) -> float:
    """Return the temperature that corrects calibrated logits (n, K) by the labels (n,) of fresh texts.

    It minimises the log-loss of targets that mix the labels, with share n / (n + `prior_strength`), and the softmax of
    the logits; without texts the result is 1. With `weights` (n,) of the texts, n is their effective number (Kish 1965).
    """
    weights = logits.new_ones(len(logits)) if weights is None else weights.to(logits)
    if not bool(weights.sum() > 0):
        return 1.0
    scores, unit = _standardised(logits)
    if unit == 0:
        return 1.0
    count = float(weights.sum().square() / weights.square().sum())
    share = count / (count + prior_strength)
    of_labels = scores.gather(1, labels[:, None])[:, 0]
    of_softmax = (logits.softmax(dim=-1) * scores).sum(dim=-1)
    return unit / _best_inverse_temperature(scores, share * of_labels + (1 - share) * of_softmax, weights)


def temperature_at_confidence(logits: Tensor, confidence: float) -> float:
    """Return the temperature at which the highest probabilities of logits (n, K) have the mean `confidence`.

    It is found by bisection, to within `TOLERANCE`; logits that cannot reach it get the nearest end of the search.
    """
    scores, unit = _standardised(logits)
    if unit == 0:
        return 1.0
    low, high = INVERSE_TEMPERATURES
    for _ in range(MAX_STEPS):
        beta = (low * high) ** 0.5
        found = float((beta * scores).softmax(dim=-1).max(dim=-1).values.mean())
        low, high = (low, beta) if found > confidence else (beta, high)
        if high - low <= TOLERANCE * beta:
            break
    return float(unit / (low * high) ** 0.5)


def _standardised(logits: Tensor) -> tuple[Tensor, float]:
    """Return centred logits with a standard deviation of 1, and their spread; 0 if it is only rounding error."""
    unit = logits.std(dim=-1, correction=0).pow(2).mean().sqrt()
    if float(unit) <= ROUNDING_SPREAD * max(MIN_PROBABILITY, float(logits.abs().max())):
        return logits, 0.0
    return (logits - logits.mean(dim=-1, keepdim=True)) / unit, float(unit)


def _best_inverse_temperature(scores: Tensor, targets: Tensor, weights: Tensor) -> float:
    """Return the β at which the weighted mean scores under softmax(β · scores) equal the `targets` (n,), by Newton."""
    expected = float((weights * targets).sum())
    low, high = INVERSE_TEMPERATURES
    beta = 1.0
    for _ in range(MAX_STEPS):
        probabilities = (beta * scores).softmax(dim=-1)
        means = (probabilities * scores).sum(dim=-1)
        slope = float((weights * means).sum()) - expected
        curvature = float((weights * ((probabilities * scores.pow(2)).sum(dim=-1) - means.pow(2))).sum())
        low, high = (low, beta) if slope > 0 else (beta, high)
        newton = beta - slope / curvature if curvature > 0 else high
        step = newton if low < newton < high else (low * high) ** 0.5
        if abs(step - beta) <= TOLERANCE * beta:
            return step
        beta = step
    return beta
