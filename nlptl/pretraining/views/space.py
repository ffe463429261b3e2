"""Space of a view: centre, leading directions and scale of its vectors over the pile.

Shapes: P texts of the pile, B texts, D dimension before, R dimension after.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

SPACE_TEXTS = 50_000  # of the pile that are measured; more change a mean and a covariance little
POWER = 0.5
"""Power of a view's space. 0 leaves the few loudest directions alone to speak, 1 makes all of them as loud as the noise; heads on
few labels do best in between."""
LEAST_SHARE = 1e-9  # of the largest eigenvalue, below which a direction holds rounding errors
MIN_VARIANCE = 1e-30  # of the loudest direction


@dataclasses.dataclass(frozen=True)
class Space:
    """Affine map of vectors into the pile's own axes: y = (x - centre) @ axes."""

    centre: Tensor  # (D,), float64
    axes: Tensor  # (D, R), float64

    @classmethod
    def of(
        cls, pile: Tensor, *, directions: int, power: float = POWER, shrinkage: float = 0.0, length: float = 1.0
    ) -> Space:
        """Return the space of pile vectors (P, D): the leading `directions` of their covariance, those that there are.

        A direction with eigenvalue v is divided by v^(power / 2): 0 keeps all spreads, 1 makes them equal. `shrinkage`
        mixes the eigenvalues with their mean (Ledoit & Wolf 2004). The vectors of the pile get the mean `length`. Raises
        ValueError if no two vectors differ.
        """
        vectors = pile.double()
        centre = vectors.mean(dim=0)
        centred = vectors - centre
        values, axes = torch.linalg.eigh(centred.T @ centred / len(centred))
        values = (1 - shrinkage) * values.clamp(min=0) + shrinkage * values.clamp(min=0).mean()
        values, axes = values.flip(0)[:directions], axes.flip(1)[:, :directions]
        told = values > max(float(values[0]) * LEAST_SHARE, MIN_VARIANCE)
        if not bool(told.any()):
            raise ValueError("no two vectors differ")
        axes = axes[:, told] * values[told].pow(-power / 2)
        axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()  # else the library's choice
        return cls(centre, axes * (length / (centred @ axes).norm(dim=1).mean()))

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return vectors (B, D) in this space (B, R), float64."""
        return (vectors.to(self.centre) - self.centre) @ self.axes
