"""LogME (You et al. 2021): how well vectors explain labels, as the evidence of Bayesian linear regressions on them.

Shapes: n texts, D dimension, K labels. Nothing is held out and nothing is tuned: weights are integrated out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

MAX_STEPS, TOLERANCE = 300, 1e-5  # of the fixed-point steps, the tolerance relative
SMALLEST = 1e-8  # sum of squares; shorter vectors and better fits count as this
HALVES = 40  # random halves of the texts, by which the noise is estimated


def gram_of(vectors: Tensor) -> Tensor:
    """Return the inner products (n, n) of vectors (n, D), float64. The vectors are not centred: that predicts less."""
    rows = vectors.double()
    return rows @ rows.T


def log_evidence(gram: Tensor, labels: Tensor, label_count: int, dim: int) -> float:
    """Return the log-evidence a text, mean of the labels' regressions on 1 (the label) and 0 (any other).

    Given alpha and beta, the precisions of weights and noise, it is
    (D log alpha + n log(beta / 2 pi) - log |alpha I + beta X'X| - beta |y - Xm|² - alpha |m|²) / 2n, at its maximum.
    """
    count = len(gram)
    variances, axes = torch.linalg.eigh(gram / gram.diagonal().mean().clamp(min=SMALLEST))  # the scale does not matter
    variances = variances.clamp(min=0)[:, None]  # (n, 1), some of them 0 where n exceeds D
    squares = (axes.T @ one_hot(labels, label_count).to(gram)).pow(2)  # (n, K)
    alpha = beta = torch.ones_like(squares[0])
    for _ in range(MAX_STEPS):
        ratio = alpha / beta
        used = (variances / (variances + ratio)).sum(dim=0)
        weights = (variances * squares / (variances + ratio).pow(2)).sum(dim=0)
        rest = (squares / (1 + variances / ratio).pow(2)).sum(dim=0)
        alpha = used.clamp(min=SMALLEST) / (weights + SMALLEST)
        beta = (count - used).clamp(min=SMALLEST) / (rest + SMALLEST)
        if bool(((alpha / beta - ratio).abs() <= TOLERANCE * ratio).all()):
            break
    curvature = (alpha + beta * variances).log().sum(dim=0) + (dim - count) * alpha.log()
    value = dim * alpha.log() + count * (beta / (2 * math.pi)).log() - curvature - beta * rest - alpha * weights
    return float(value.mean() / (2 * count))


def evidence_of_halves(
    gram: Tensor, labels: Tensor, label_count: int, dim: int, *, generator: torch.Generator
) -> Tensor:
    """Return the log-evidence (`HALVES`,) of random halves, each label's alike.

    The standard deviation over halves is the standard error on all texts (delete-half jackknife, Shao & Wu 1989). Equal seeds
    give equal halves, so that encoders are compared pair by pair.
    """
    found = []
    for _ in range(HALVES):
        order = torch.randperm(len(labels), generator=generator)
        rows = torch.cat([own[: (len(own) + 1) // 2] for own in _by_label(order, labels, label_count)])
        found.append(log_evidence(gram[rows][:, rows], labels[rows], label_count, dim))
    return torch.tensor(found, dtype=torch.float64)


def _by_label(order: Tensor, labels: Tensor, label_count: int) -> list[Tensor]:
    return [order[labels[order] == label] for label in range(label_count)]
