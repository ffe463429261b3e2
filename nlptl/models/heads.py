"""Classification heads: sentence vector to logits.

Shapes: B texts, D dimension, H hidden units, K labels.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["sigmoid", "gelu"]
SMALLEST_SPREAD = 1e-8  # below it all vectors are the same one, and dividing would blow up rounding errors


class Head(nn.Module):
    """logits = W x' + b, or W2 f(W1 x' + b1) + b2 with a hidden layer; x' = (x - centre) / scale.

    `centre` (D,) and `scale` () are fitted on the training vectors, so that rates and penalties mean the same
    whatever the encoder's units are; one scale for all dimensions keeps the geometry.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self, dim: int, labels: int, *, hidden: int = 0, activation: Activation = "gelu", dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dim, self.labels, self.hidden, self.activation, self.dropout = dim, labels, hidden, activation, dropout
        self.register_buffer("centre", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))
        if hidden:
            between = nn.Sigmoid() if activation == "sigmoid" else nn.GELU()
            self.layers = nn.Sequential(_linear(dim, hidden), between, nn.Dropout(dropout), _linear(hidden, labels))
        else:
            self.layers = nn.Sequential(nn.Dropout(dropout), _linear(dim, labels))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw fresh weights: Xavier-uniform (Glorot & Bengio 2010), zero biases; a linear head starts at zero."""
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.bias)
                if self.hidden:
                    nn.init.xavier_uniform_(layer.weight, generator=generator)
                else:
                    nn.init.zeros_(layer.weight)

    def fit_scale(self, vectors: Tensor) -> None:
        """Set `centre` to the mean of vectors (B, D) and `scale` to their spread around it (1 where there is none)."""
        self.centre.copy_(vectors.mean(dim=0))
        spread = (vectors - self.centre).pow(2).mean().sqrt()
        self.scale.copy_(torch.where(spread > SMALLEST_SPREAD, spread, torch.ones_like(spread)))

    @property
    def has_learnt(self) -> bool:
        """Whether it was trained or at least scaled to examples; a fresh one has no centre and no biases."""
        biases = [parameter for parameter in self.parameters() if parameter.ndim == 1]
        return bool(self.centre.any()) or any(bool(bias.any()) for bias in biases)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return logits (B, K) of sentence vectors (B, D)."""
        logits: Tensor = self.layers((vectors - self.centre) / self.scale)
        return logits

    @property
    def last_linear(self) -> nn.Linear:
        """The map that gives the logits."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        return last

    def settings(self) -> dict[str, int | float | str]:
        """Return what `Head(**settings)` needs to be built again."""
        return {
            "dim": self.dim,
            "labels": self.labels,
            "hidden": self.hidden,
            "activation": self.activation,
            "dropout": self.dropout,
        }


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a layer of zeros; nn.Linear's own initialisation would draw from the caller's random state."""
    with torch.device("meta"):
        layer = nn.Linear(inputs, outputs)
    layer.to_empty(device="cpu")
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
