"""Principal axes of the rows. Fits in them equal fits in all dimensions at lower cost.

Shapes: N rows, D dimension, R dimensions of the span (at most N - 1 and D), K labels.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nlptl.finetuning.linear.labelled_vectors import LabelledVectors
from nlptl.finetuning.linear.linear_head import LinearHead

MIN_VARIANCE_SHARE = 1e-10  # of the largest variance; smaller ones are rounding errors


@dataclasses.dataclass(frozen=True)
class Span:
    """Coordinates z = basis^T (x - centre) / scale, with basis the principal axes of the weighted rows.

    An L2 penalty on weights is the same in z as in x' = (x - centre) / scale. Nothing is lost, since the best weights
    lie in the span of the rows (representer theorem). The coordinates are uncorrelated.
    """

    centre: Tensor  # weighted mean of the rows (D,)
    scale: Tensor  # root mean square () of the centred rows; 1 if all rows are equal
    basis: Tensor  # orthonormal axes (D, R)
    coordinates: Tensor  # z of each row (N, R)

    def head(self, weights: Tensor, bias: Tensor) -> LinearHead:
        """Return the head over the vectors whose logits are weights (K, R) z + bias (K,)."""
        outside = weights @ self.basis.T / self.scale
        return LinearHead(outside, bias - outside @ self.centre)


def span_of(vectors: LabelledVectors) -> Span:
    """Return the span of the rows by the smaller of Gram matrix (N, N) and covariance (D, D)."""
    shares = vectors.weights / vectors.weights.sum()
    centre = shares @ vectors.rows
    centred = vectors.rows - centre
    scale = (shares @ centred.pow(2)).mean().sqrt()
    if float(scale) <= 1e-12 * max(1.0, float(centre.abs().max())):  # all rows are one vector, but for rounding
        none = centred.new_zeros
        return Span(centre, torch.ones_like(scale), none(len(centre), 0), none(len(centred), 0))
    centred = centred / scale
    weighted = centred * shares.sqrt()[:, None]
    if len(weighted) <= len(centre):
        variances, axes = torch.linalg.eigh(weighted @ weighted.T)
        kept = variances > MIN_VARIANCE_SHARE * variances[-1]
        basis = weighted.T @ (axes[:, kept] / variances[kept].sqrt())
    else:
        variances, axes = torch.linalg.eigh(weighted.T @ weighted)
        kept = variances > MIN_VARIANCE_SHARE * variances[-1]
        basis = axes[:, kept]
    return Span(centre, scale, basis, centred @ basis)
