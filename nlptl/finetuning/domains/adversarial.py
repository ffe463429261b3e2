"""DANN: layers learn the labels while a domain classifier behind reversed gradients learns the domain (Ganin et al. 2016).

Shapes: B texts, D dimension.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nlptl.finetuning.gradient.layer_tuner import layers_above
from nlptl.models.heads import Head
from nlptl.models.transformer import Transformer

HIDDEN_UNITS = 100  # of the domain classifier, as in the paper's shallow experiments
STEEPNESS = 10.0  # γ of the paper's schedule


class DomainClassifier(nn.Module):
    """loss = cross-entropy of a one-hidden-layer classifier of domains over R_λ(x), λ = `strength` · schedule(progress)."""

    def __init__(self, dim: int, seed: int, strength: float) -> None:
        super().__init__()
        self._strength = strength
        self._head = Head(dim, 2, hidden=HIDDEN_UNITS)
        self._head.initialise(torch.Generator().manual_seed(seed))

    def forward(self, here: Tensor, there: Tensor, progress: float) -> Tensor:
        """Return the domain loss () of vectors (B, D), with equal weight for both domains and a reversed gradient."""
        vectors = reversed_gradient(torch.cat([here, there]), self._strength * strength_at(progress))
        domains = torch.tensor([0] * len(here) + [1] * len(there), device=vectors.device)
        weights = torch.tensor([1 / len(here), 1 / len(there)], device=vectors.device)
        return nn.functional.cross_entropy(self._head(vectors), domains, weights)


def move_layers(token_model: Transformer, frozen: int) -> list[nn.Parameter]:
    """Let the layers above the frozen ones learn, with the final norm, and return their parameters."""
    moving = [parameter for part in reversed(layers_above(token_model, frozen)) for parameter in part.parameters()]
    for parameter in moving:
        parameter.requires_grad_(True)
    return moving


def reversed_gradient(vectors: Tensor, strength: float) -> Tensor:
    """Return vectors (B, D) unchanged; backwards their gradient is multiplied by -`strength`."""
    passed = vectors.view_as(vectors)  # whose hook leaves the gradients of other uses of `vectors` alone
    if passed.requires_grad:
        passed.register_hook(lambda gradient: -strength * gradient)  # type: ignore[no-untyped-call]  # torch has no types here
    return passed


def strength_at(progress: float) -> float:
    """Return λ = 2 / (1 + exp(-10 p)) - 1 for a training's progress p from 0 to 1: 0 at first, nearly 1 at the end.

    An untrained domain classifier must not steer the features (Ganin et al. 2016, section 5.2.2).
    """
    return 2.0 / (1.0 + math.exp(-STEEPNESS * progress)) - 1.0
