"""Layers of MPNet on packed texts: attention with a learnt bias by the distance of two tokens (Song et al. 2020).

Its layers in transformers compute attention themselves, over all tokens of a batch; therefore they are run part by part here.
The bias is one table for all layers; fine-tuning, which may have frozen some of them, leaves it as it is.
Shapes: N packed tokens, D dimension, H heads, T tokens of one text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor

from nlptl.models.attention import PackedTexts, biased_attention


def biases_of(model: Any, packed: PackedTexts, like: Tensor) -> dict[int, Tensor]:
    """Return the bias (1, H, T, T) for each length T of the texts, on the device of `like`."""
    return {tokens: bias_of(model, tokens, like) for tokens in {run[2] for run in packed.runs}}


def bias_of(model: Any, tokens: int, like: Tensor) -> Tensor:
    """Return the bias (1, H, T, T) of texts with T tokens."""
    return cast("Tensor", model.encoder.compute_position_bias(like.new_empty(1, tokens, 0)))


def run_relative_layer(layer: Any, hidden: Tensor, packed: PackedTexts, biases: Mapping[int, Tensor]) -> Tensor:
    """Return a layer's output for `hidden` (1, N, D). As elsewhere, no attention weight is dropped in training."""
    part = layer.attention.attn
    split = (hidden.shape[1], part.num_attention_heads, -1)
    query, key, value = (linear(hidden[0]).view(split) for linear in (part.q, part.k, part.v))
    attended = biased_attention(query, key, value, packed, biases).flatten(1)[None]
    attended = layer.attention.LayerNorm(layer.attention.dropout(part.o(attended)) + hidden)
    return cast("Tensor", layer.output(layer.intermediate(attended), attended))
