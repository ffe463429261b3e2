"""DANN: layers learn the labels while a domain classifier behind reversed gradients learns the domain (Ganin et al. 2016).

Shapes: B texts, D dimension.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nlptl.finetuning.domains.moving_layers import Recipe
from nlptl.finetuning.domains.reversal import reversed_gradient, strength_at
from nlptl.finetuning.gradient.layer_tuner import layers_above
from nlptl.models.heads import Head
from nlptl.models.transformer import Transformer

HIDDEN_UNITS = 100  # of the domain classifier, as in the paper's shallow experiments


class DomainClassifier:
    """loss = cross-entropy of a one-hidden-layer classifier of domains over R_λ(x), λ = `strength` · schedule(progress)."""

    def __init__(self, dim: int, seed: int, *, strength: float) -> None:
        self._strength = strength
        self._head = Head(dim, 2, hidden=HIDDEN_UNITS)
        self._head.initialise(torch.Generator().manual_seed(seed))
        self.module: nn.Module = self._head

    def loss(self, here: Tensor, there: Tensor, progress: float) -> Tensor:
        """Return the domain loss () of vectors (B, D), with equal weight for both domains and a reversed gradient."""
        vectors = reversed_gradient(torch.cat([here, there]), self._strength * strength_at(progress))
        domains = torch.tensor([0] * len(here) + [1] * len(there), device=vectors.device)
        weights = torch.tensor([1 / len(here), 1 / len(there)], device=vectors.device)
        return nn.functional.cross_entropy(self._head(vectors), domains, weights)


def adversarial(*, strength: float, where: str) -> Recipe:
    """Return the recipe of DANN over the top layers; `strength` scales the reversed gradient."""
    return Recipe(move_layers, lambda dim, seed: DomainClassifier(dim, seed, strength=strength), "strength", where)


def move_layers(token_model: Transformer, frozen: int, seed: int) -> Sequence[nn.Parameter]:
    """Let the layers above the frozen ones learn, with the final norm; the embeddings do not change."""
    del seed
    moving = [parameter for part in reversed(layers_above(token_model, frozen)) for parameter in part.parameters()]
    for parameter in moving:
        parameter.requires_grad_(True)
    return moving
