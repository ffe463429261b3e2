"""Gradient reversal (Ganin et al. 2016): the identity forwards, a negated gradient backwards."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

STEEPNESS = 10.0  # γ of the paper's schedule


class _Reversal(torch.autograd.Function):
    """R(x) = x with dR/dx = -λ I."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return vectors.view_as(vectors)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


def reversed_gradient(vectors: Tensor, strength: float) -> Tensor:
    """Return vectors (B, D) unchanged; backwards their gradient is multiplied by -`strength`."""
    reversed_: Tensor = _Reversal.apply(vectors, strength)  # type: ignore[no-untyped-call]
    return reversed_


def strength_at(progress: float) -> float:
    """Return λ = 2 / (1 + exp(-10 p)) - 1 for a training's progress p from 0 to 1: 0 at first, nearly 1 at the end.

    An untrained domain classifier must not steer the features (Ganin et al. 2016, section 5.2.2).
    """
    return 2.0 / (1.0 + math.exp(-STEEPNESS * progress)) - 1.0
