"""Linear head as a value: change its temperature or priors, write it into a Head.

Shapes: B texts, D dimension, K labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from nlptl.errors import DataError
from nlptl.finetuning.probabilities import moved_to_priors
from nlptl.models.heads import Head


@dataclasses.dataclass(frozen=True)
class LinearHead:
    """logits = weights x + bias."""

    weights: Tensor  # (K, D), float64
    bias: Tensor  # (K,), float64

    def logits(self, vectors: Tensor) -> Tensor:
        """Return logits (B, K), float64, of sentence vectors (B, D)."""
        return vectors.to(self.weights) @ self.weights.T + self.bias

    def probabilities(self, vectors: Tensor) -> Tensor:
        """Return the softmax of the logits (B, K)."""
        return self.logits(vectors).softmax(dim=-1)


def with_temperature(head: LinearHead, temperature: float) -> LinearHead:
    """Divide the logits by `temperature` > 0 (Guo et al. 2017). Above 1 softens; the most probable label stays."""
    return LinearHead(head.weights / temperature, head.bias / temperature)


def with_priors(head: LinearHead, priors: Sequence[float], *, shares: Tensor) -> LinearHead:
    """Return a head for new label `priors` above 0 instead of the `shares` (K,); calibrate it first."""
    new = torch.as_tensor(priors, dtype=head.bias.dtype, device=head.bias.device)
    return LinearHead(head.weights, moved_to_priors(head.bias, new / new.sum(), (shares / shares.sum()).to(new)))


@torch.no_grad()
def write_head(linear: LinearHead, head: Head) -> None:
    """Write a linear head into a Head after its `fit_scale`; DataError for a hidden layer or another shape."""
    layer = head.layers[-1]
    if head.hidden or not isinstance(layer, torch.nn.Linear):
        raise DataError(
            f"head: found a hidden layer of {head.hidden} units; a fitted linear head needs hidden=0. Set hidden to 0."
        )
    if layer.weight.shape != linear.weights.shape:
        raise DataError(
            f"head: found {tuple(layer.weight.shape)} labels and dimensions; the fitted head has "
            f"{tuple(linear.weights.shape)}. Make the head for the same labels and encoder."
        )
    centre, scale = head.centre.to(linear.weights), head.scale.to(linear.weights)
    layer.weight.copy_(linear.weights * scale)
    layer.bias.copy_(linear.bias + linear.weights @ centre)
