"""Quantiles of the beta distribution, without SciPy."""

from __future__ import annotations

import math

MAX_TERMS = 10_000  # of the continued fraction, which needs some dozens
CLOSE = 1e-15
TINY = 1e-300  # instead of zero in a denominator
HALVINGS = 60


def beta_quantile(share: float, a: float, b: float) -> float:
    """Return the number below which a variable of the distribution Beta(a, b) lies with a probability of `share`."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if beta_probability(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_probability(x: float, a: float, b: float) -> float:
    """Return the probability that a variable of the distribution Beta(a, b) lies below x (Abramowitz & Stegun 1964, 26.5.8)."""
    if not 0 < x < 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly
        return 1 - beta_probability(1 - x, b, a)
    log_front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(log_front) / (a * _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    """Return 1 + d1 / (1 + d2 / (1 + …)), evaluated from the front (Lentz 1976)."""
    found = numerator = 1.0
    denominator = 0.0
    for term in range(1, MAX_TERMS):
        m = term // 2
        if term % 2:
            part = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            part = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 / ((1 + part * denominator) or TINY)
        numerator = (1 + part / numerator) or TINY
        found *= numerator * denominator
        if abs(numerator * denominator - 1) < CLOSE:
            break
    return found
