"""The weight change of an encoder in training, and what the training cost.

Shapes: T tokens of a text, D dimension.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nlptl.models.encoder import Encoder
from nlptl.models.transformer import Transformer


@dataclasses.dataclass
class Work:
    """Tokens and floating-point operations of a training, scoring of held-out examples included."""

    tokens: int = 0  # real tokens that were trained on, once for each time
    flops: float = 0.0  # of matrix products: a forward pass is 2 a weight and token, a backward pass twice that


def forward_flops(token_model: Transformer, lengths: Tensor, begin: int, end: int) -> float:
    """Return the operations of layers `begin` to `end` over texts of `lengths` (B,) tokens.

    Each linear map takes 2 a weight and token, attention 4 T D a token (scores and weighted sum).
    """
    layers = token_model.layers[begin:end]
    named = [pair for layer in layers for pair in layer.named_parameters()]
    weights = sum(parameter.numel() for name, parameter in named if parameter.ndim == 2 and ".lora_" not in name)
    squares = float(lengths.double().pow(2).sum())
    return 2.0 * weights * int(lengths.sum()) + 4.0 * token_model.dim * squares * len(layers)


def weight_change(before: Encoder, after: Encoder) -> dict[str, float]:
    """Return |W - W0| / |W0| of the embeddings and of each layer, lowest first. Merge adapters before."""
    pairs = zip(_parts(before.transformer), _parts(after.transformer), strict=True)
    return {name: round(_relative_distance(first, second), 6) for (name, first), (_, second) in pairs}


def weight_change_sentence(moved: dict[str, float]) -> str:
    """Tell the weight change in one sentence."""
    if not any(moved.values()):
        return "Weight change: the encoder's weights did not change."
    told = ", ".join(f"{name} {100 * share:.2g} %" for name, share in moved.items() if share)
    still = [name for name, share in moved.items() if not share]
    end = f"; {len(still)} part{'s' * (len(still) != 1)} did not change." if still else "."
    return f"Weight change from the pretrained weights: {told}{end}"


def _parts(token_model: Transformer) -> Iterator[tuple[str, nn.Module]]:
    yield "embeddings", nn.ModuleList(token_model.below_layers())
    for number, layer in enumerate(token_model.layers, start=1):
        yield f"layer {number}", layer


def _relative_distance(first: nn.Module, second: nn.Module) -> float:
    apart = whole = 0.0
    with torch.no_grad():
        for one, other in zip(first.parameters(), second.parameters(), strict=True):
            apart += float(torch.dist(one, other.to(one.device))) ** 2
            whole += float(torch.linalg.vector_norm(one)) ** 2
    return (apart / whole) ** 0.5 if whole else 0.0
