"""Linear discriminant analysis with a shrunk covariance, and exact leave-one-out predictions.

Shapes: n examples, N rows with prototypes, D dimension, R dimensions of the span, K labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from nlptl.finetuning.linear.fitted import FittedHead, choose_strength, fitted
from nlptl.finetuning.linear.labelled_vectors import LabelledVectors
from nlptl.finetuning.linear.span import Span, span_of

SHRINKAGES = (0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
MIN_SHRINKAGE = 1e-4  # by formula; with less, few examples leave the covariance singular
MIN_SPREAD = 1e-10  # mean variance within the labels, in units of the variance of all rows


def fit_lda(vectors: LabelledVectors, *, shrinkages: Sequence[float] = SHRINKAGES) -> FittedHead:
    """Fit one Gaussian a label with the covariance (1 - shrinkage) C + shrinkage tr(C) / D I (Friedman 1989).

    C is the pooled covariance within the labels. Leaving one out chooses among `shrinkages` in (0, 1]; 1 is the nearest
    mean. If nothing can be held out, Ledoit & Wolf (2004) give it. Leaving an example out keeps the label shares.
    """
    within = _Within.of(vectors)
    chosen = choose_strength(vectors, shrinkages, [within.leave_one_out(shrinkage) for shrinkage in shrinkages])
    strength = _ledoit_wolf(within) if chosen is None else chosen.strength
    weights, bias = within.discriminants(strength)
    told = f"Leaving one out of {vectors.examples} chose shrinkage {strength:.3g}"
    return fitted("lda", vectors, within.span.head(weights @ within.axes.T, bias), chosen, strength, told)


@dataclasses.dataclass(frozen=True)
class _Within:
    """Rows along the principal axes of their scatter within the labels."""

    vectors: LabelledVectors
    span: Span
    axes: Tensor  # (R, R) orthonormal, in the span
    scatter: Tensor  # weighted sum of squares around the label means along each axis (R,)
    rows: Tensor  # (N, R)
    means: Tensor  # (K, R)
    label_weights: Tensor  # (K,)

    @classmethod
    def of(cls, vectors: LabelledVectors) -> _Within:
        sums = vectors.label_weights()
        span = span_of(vectors)
        weighted = span.coordinates * vectors.weights[:, None]
        means = torch.zeros_like(weighted[:1]).expand(len(sums), -1).index_add(0, vectors.labels, weighted)
        means = means / sums[:, None]
        apart = (span.coordinates - means[vectors.labels]) * vectors.weights.sqrt()[:, None]
        scatter, axes = torch.linalg.eigh(apart.T @ apart)
        return cls(vectors, span, axes, scatter.clamp(min=0), span.coordinates @ axes, means @ axes, sums)

    def discriminants(self, shrinkage: float) -> tuple[Tensor, Tensor]:
        """Return weights (K, R) along the axes and biases (K,)."""
        total = self.label_weights.sum()
        covariance = (1 - shrinkage) * self.scatter / total + shrinkage * self._spread(self.scatter.sum() / total)
        weights = self.means / covariance
        return weights, (self.label_weights / total).log() - (weights * self.means).sum(dim=1) / 2

    def leave_one_out(self, shrinkage: float) -> Tensor:
        """Return logits (n, K) of each example by the discriminants without it.

        Let v be the example's weight, w its label's, and d = x - mean. Without the example, the label's mean moves by
        -v d / (w - v). The scatter loses v w / (w - v) d d'. That takes one division along the axes and one
        Sherman-Morrison update. Logits of the only row of a label have no meaning.
        """
        count, sums = self.vectors.examples, self.label_weights
        rows, labels = self.rows[:count], self.vectors.labels[:count]
        own_weights = self.vectors.weights[:count]
        left = sums[labels] - own_weights
        left = torch.where(left > 1e-12, left, 1.0)
        apart = rows - self.means[labels]
        lost = own_weights * (left + own_weights) / left
        total = sums.sum() - own_weights
        spread = self._spread((self.scatter.sum() - lost * apart.pow(2).sum(dim=1)) / total)
        inverse = 1 / ((1 - shrinkage) * self.scatter / total[:, None] + shrinkage * spread[:, None])
        pull = apart * inverse
        rate = (1 - shrinkage) * lost / total
        update = (rate / (1 - rate * (apart * pull).sum(dim=1)))[:, None]
        shift = update * (rows * pull).sum(dim=1, keepdim=True)
        along = pull @ self.means.T
        logits = (rows * inverse) @ self.means.T + shift * along
        logits -= (inverse @ self.means.pow(2).T + update * along.pow(2)) / 2
        moved = self.means[labels] - (own_weights / left)[:, None] * apart
        along = (pull * moved).sum(dim=1, keepdim=True)
        own = (rows * inverse * moved - inverse * moved.pow(2) / 2).sum(dim=1, keepdim=True)
        own = own + shift * along - update * along.pow(2) / 2
        return logits.scatter(1, labels[:, None], own) + (sums / sums.sum()).log()

    def _spread(self, trace: Tensor) -> Tensor:
        """Return the mean variance of a dimension within the labels; 1 if there is none."""
        spread = trace / len(self.span.centre)
        return torch.where(spread > MIN_SPREAD, spread, torch.ones_like(spread))


def _ledoit_wolf(within: _Within) -> float:
    """Return the shrinkage of Ledoit & Wolf (2004) for the pooled covariance, at least MIN_SHRINKAGE."""
    weights, dim = within.vectors.weights, len(within.span.centre)
    total = weights.sum()
    variances = within.scatter / total
    squares = variances.pow(2).sum()
    lengths = (within.rows - within.means[within.vectors.labels]).pow(2).sum(dim=1)
    noise = ((weights * lengths.pow(2)).sum() / total - squares) / total
    signal = squares - variances.sum().pow(2) / dim
    if float(signal) <= 0:
        return 1.0
    return min(1.0, max(MIN_SHRINKAGE, float(noise / signal)))
