"""Bottleneck adapters: small networks behind the layers of a frozen transformer, which are trained in its place.

Shapes: B texts, T tokens, D dimension, W width of the bottleneck.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nlptl.models.pretrained import fill
from nlptl.models.tensor_files import check_shapes

BOTTLENECKS = "bottlenecks.safetensors"
INITIAL_STD = 0.02  # of the down-projection's weights; the up-projection begins at zero


class Bottleneck(nn.Module):
    """y = x + W_up gelu(W_down x + b_down) + b_up, for x (B, T, D), the output of a layer (Houlsby et al. 2019).

    One adapter a layer, behind the whole layer, does as well as the paper's two (Pfeiffer et al. 2021). W_up and b_up
    begin at zero, so that the adapter begins as the identity. Its nonlinearity prevents merging it into the layer.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.down_weight = nn.Parameter(torch.zeros(width, dim))
        self.down_bias = nn.Parameter(torch.zeros(width))
        self.up_weight = nn.Parameter(torch.zeros(dim, width))
        self.up_bias = nn.Parameter(torch.zeros(dim))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the down-projection anew. Set the rest to zero."""
        with torch.no_grad():
            self.down_weight.copy_(torch.empty(self.down_weight.shape).normal_(std=INITIAL_STD, generator=generator))
            for zero in (self.down_bias, self.up_weight, self.up_bias):
                zero.zero_()

    def forward(self, hidden: Tensor) -> Tensor:
        """Return adapted token vectors (B, T, D)."""
        inner = nn.functional.gelu(nn.functional.linear(hidden, self.down_weight, self.down_bias))
        return hidden + nn.functional.linear(inner, self.up_weight, self.up_bias)


def bottlenecks(dim: int, width: int, layers: Iterable[int]) -> nn.ModuleDict:
    """Return an adapter for each of the layers with these numbers, counted from 1."""
    return nn.ModuleDict({str(layer): Bottleneck(dim, width) for layer in layers})


def settings_of(adapters: nn.ModuleDict) -> dict[str, Any]:
    """Return what `read` needs besides the tensors: nothing without adapters."""
    widths = [len(adapter.down_bias) for adapter in adapters.values() if isinstance(adapter, Bottleneck)]
    return {"bottlenecks": {"width": widths[0], "layers": [int(layer) for layer in adapters]}} if widths else {}


def write(adapters: nn.ModuleDict, folder: Path) -> None:
    """Write the tensors into a folder, if there are any."""
    if len(adapters):
        save_file({name: tensor.contiguous() for name, tensor in adapters.state_dict().items()}, folder / BOTTLENECKS)


def read(folder: Path, settings: dict[str, Any], dim: int) -> nn.ModuleDict:
    """Read what `write` wrote, given the settings of `settings_of`. Raises ArtifactError if it is damaged."""
    found = settings.get("bottlenecks")
    if found is None:
        return nn.ModuleDict()
    what = "the adapters that encoder.json describes"
    shapes = {f"{layer}.down_weight": (found["width"], dim) for layer in found["layers"]}
    check_shapes(folder / BOTTLENECKS, shapes, what=what)
    adapters = bottlenecks(dim, found["width"], found["layers"])
    fill(adapters, folder / BOTTLENECKS, what=what)
    return adapters
