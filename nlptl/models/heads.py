"""Classification heads: sentence vector to logits.

Shapes: B texts, D dimension, H hidden units, K labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Activation = Literal["sigmoid", "gelu"]
MIN_SPREAD = 1e-8  # below it all vectors are equal, and dividing would blow up rounding errors


class Head(nn.Module):
    """logits = W x' + b, or W2 f(W1 x' + b1) + b2 with a hidden layer (H,); x' = (x - centre) / scale.

    `centre` (D,) and `scale` () of the training vectors make learning rates independent of the encoder's units.
    Probabilities are the softmax of the logits. With `thresholds`, a text may have several labels: probabilities are the
    sigmoids of the logits, and a text has each label whose probability reaches its threshold.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self, dim: int, label_count: int, *, hidden: int = 0, activation: Activation = "gelu", dropout: float = 0.0,
        trained: bool = False, thresholds: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.thresholds = None if thresholds is None else tuple(thresholds)  # (K,) each in [0, 1]
        self.trained = trained  # by examples or labels' names, whatever its numbers are
        self.dim, self.label_count, self.hidden = dim, label_count, hidden
        self.activation, self.dropout = activation, dropout
        self.register_buffer("centre", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))
        below = [zero_linear(dim, hidden), nn.Sigmoid() if activation == "sigmoid" else nn.GELU()] if hidden else []
        self.layers = nn.Sequential(*below, nn.Dropout(dropout), zero_linear(hidden or dim, label_count))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw fresh weights, Xavier-uniform with zero biases (Glorot & Bengio 2010). A linear head begins at zero."""
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.bias)
                if self.hidden:
                    nn.init.xavier_uniform_(layer.weight, generator=generator)
                else:
                    nn.init.zeros_(layer.weight)

    def fit_scale(self, vectors: Tensor) -> None:
        """Set `centre` to the mean of vectors (B, D) and `scale` to their standard deviation, or 1 if that is zero."""
        self.centre.copy_(vectors.mean(dim=0))
        spread = (vectors - self.centre).pow(2).mean().sqrt()
        self.scale.copy_(torch.where(spread > MIN_SPREAD, spread, torch.ones_like(spread)))

    @property
    def has_learnt(self) -> bool:
        """Whether it was trained or scaled to examples. A fresh head has zero centre and biases."""
        return any(bool(zero.any()) for zero in (self.centre, *self.parameters()) if zero.ndim == 1)

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was ever written into it: no training, and no label's name (zero-shot).

        Old files do not say whether a head was `trained`. Their numbers do, unless the training texts had no known word.
        """
        return not self.trained and not self.has_learnt and (self.hidden > 0 or not bool(self.last_linear.weight.any()))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return logits (B, K) of sentence vectors (B, D)."""
        return cast("Tensor", self.layers((vectors - self.centre) / self.scale))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities (B, K), float64, of logits (B, K)."""
        return logits.double().softmax(dim=1) if self.thresholds is None else logits.double().sigmoid()

    @property
    def last_linear(self) -> nn.Linear:
        """The layer that gives the logits."""
        return cast("nn.Linear", self.layers[-1])

    @property
    def last_weight(self) -> NDArray[np.float32]:
        """Weight (K, D) of that layer, or (K, H), on the CPU."""
        return cast("NDArray[np.float32]", self.last_linear.weight.detach().float().cpu().numpy())

    def settings(self) -> dict[str, int | float | str | list[float]]:
        """Return what `from_settings` needs. Files call the number of labels `labels`."""
        return {"dim": self.dim, "labels": self.label_count, "hidden": self.hidden, "activation": self.activation,
                "dropout": self.dropout, **({"trained": True} if self.trained else {}),
                **({} if self.thresholds is None else {"thresholds": list(self.thresholds)})}  # fmt: skip

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Head:
        """Build the head that `settings` described."""
        return cls(label_count=settings["labels"], **{name: v for name, v in settings.items() if name != "labels"})


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a layer of zeros, since nn.Linear's own initialisation would draw from the caller's random state."""
    layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
