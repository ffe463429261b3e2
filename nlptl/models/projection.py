"""Linear maps after the pooling, which weights of sentence-transformers may bring as Dense modules.

Shapes: B texts, D width of the pooled vectors, E width of the result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import get_args

import torch
from torch import Tensor, nn

from nlptl.models.sentence_settings import Activation


@dataclasses.dataclass(frozen=True)
class LinearMap:
    """f(W x + b): `weight` (E, D), `bias` (E,) or None."""

    weight: Tensor
    bias: Tensor | None
    activation: Activation


class Projection(nn.Module):
    """y = f_n(W_n ... f_1(W_1 x + b_1) ... + b_n). Its numbers are buffers: they never learn."""

    def __init__(self, maps: Sequence[LinearMap]) -> None:
        """Raises ValueError for maps that do not follow on each other."""
        super().__init__()
        for place, one in enumerate(maps):
            inputs = one.weight.shape[1] if place == 0 else maps[place - 1].weight.shape[0]
            fits = one.weight.ndim == 2 and one.weight.shape[1] == inputs
            fits = fits and (one.bias is None or one.bias.shape == one.weight.shape[:1])
            if not fits or one.activation not in get_args(Activation):
                raise ValueError(f"map {place} of a projection does not fit the one before")
            self.register_buffer(f"weight_{place}", one.weight)
            self.register_buffer(f"bias_{place}", one.bias)
        self.activations: tuple[Activation, ...] = tuple(one.activation for one in maps)

    @classmethod
    def of(cls, activations: Sequence[Activation], tensors: Mapping[str, Tensor]) -> Projection:
        """Build the projection whose `state_dict` was saved. Raises ValueError if a tensor is missing or does not fit."""
        try:
            return cls(
                [
                    LinearMap(tensors[f"weight_{place}"], tensors.get(f"bias_{place}"), activation)
                    for place, activation in enumerate(activations)
                ]
            )
        except (KeyError, IndexError):
            raise ValueError("a weight of a projection is missing") from None

    @property
    def inputs(self) -> int:
        """Width D of the vectors that it takes."""
        return int(self.get_buffer("weight_0").shape[1])

    @property
    def dim(self) -> int:
        """Width E of the vectors that it gives."""
        return int(self.get_buffer(f"weight_{len(self.activations) - 1}").shape[0])

    def maps(self) -> list[LinearMap]:
        """Return the linear maps in their order."""
        return [
            LinearMap(self.get_buffer(f"weight_{place}"), getattr(self, f"bias_{place}"), activation)
            for place, activation in enumerate(self.activations)
        ]

    def forward(self, vectors: Tensor) -> Tensor:
        """Return vectors (B, E) of vectors (B, D)."""
        for one in self.maps():
            vectors = nn.functional.linear(vectors, one.weight, one.bias)
            vectors = torch.tanh(vectors) if one.activation == "tanh" else vectors
        return vectors
