"""Spaces of views as an unlabelled pile spreads in them.

Shapes: P texts of the pile, B texts, D dimension of a view, R directions.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

MIN_SPREAD = 1e-12  # of a direction, below which it is rounding error


@dataclasses.dataclass(frozen=True)
class Space:
    """Affine map of vectors into the pile's own axes: x -> (x - mean) @ axes."""

    mean: Tensor  # (D,), float64
    axes: Tensor  # (D, R), float64

    @classmethod
    def of(cls, pile: Tensor, *, directions: int, power: float, shrinkage: float = 0.0) -> Space:
        """Return the space of pile vectors (P, D): the leading `directions` of their covariance, at most D.

        A direction with eigenvalue v is divided by v^(power / 2): 0 keeps all spreads, 1 makes them equal. `shrinkage`
        mixes the eigenvalues with their mean (Ledoit & Wolf 2004). The vectors of the pile get a mean length of 1.
        """
        vectors = pile.double()
        mean = vectors.mean(dim=0)
        centred = vectors - mean
        values, axes = torch.linalg.eigh(centred.T @ centred / len(centred))
        values = (1 - shrinkage) * values.clamp(min=0) + shrinkage * values.clamp(min=0).mean()
        kept = min(directions, len(values))
        axes = axes[:, -kept:] * values[-kept:].clamp(min=MIN_SPREAD).pow(-power / 2)
        length = (centred @ axes).norm(dim=1).mean().clamp(min=MIN_SPREAD)
        return cls(mean, axes / length)

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return vectors (B, D) in this space (B, R), float64."""
        return (vectors.to(self.mean) - self.mean) @ self.axes
