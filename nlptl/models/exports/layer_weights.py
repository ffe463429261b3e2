"""Weights of a transformer that normalises after each part, taken out of torch; adapters are merged.

Shapes: V words, P positions, D dimension, F width of the feed-forward network, W width of the embeddings.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nlptl.errors import ConfigError
from nlptl.models.buffered import PlainLayer, plain_layers

if TYPE_CHECKING:
    from nlptl.models.transformer import Transformer

Activation = Literal["gelu", "gelu_tanh", "relu"]
ACTIVATIONS: dict[str, Activation] = {  # by the names of transformers' settings
    "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu",
}  # fmt: skip

Floats = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class LinearWeights:
    """y = x W + b, with W (inputs, outputs) and b (outputs,)."""

    weight: Floats
    bias: Floats

    @classmethod
    def of(cls, *linears: nn.Linear) -> LinearWeights:
        """Take maps of the same input, side by side."""
        weights = [_array(linear.weight).T for linear in linears]
        return cls(np.concatenate(weights, axis=1), np.concatenate([_array(linear.bias) for linear in linears]))


@dataclasses.dataclass(frozen=True)
class NormWeights:
    """Scale (D,), shift (D,) and the number added to the variance."""

    scale: Floats
    shift: Floats
    epsilon: float

    @classmethod
    def of(cls, norm: nn.LayerNorm) -> NormWeights:
        """Take a norm."""
        return cls(_array(norm.weight), _array(norm.bias), float(norm.eps))


@dataclasses.dataclass(frozen=True)
class LayerWeights:
    """Parts of a layer norm(a + down(f(up(a)))) with a = norm(h + output(attention(h)))."""

    attention: LinearWeights  # (D, 3 D): query, key and value side by side
    output: LinearWeights
    attention_norm: NormWeights
    up: LinearWeights
    down: LinearWeights
    output_norm: NormWeights

    @classmethod
    def of(cls, layer: PlainLayer) -> LayerWeights:
        """Take a layer."""
        return cls(
            LinearWeights.of(layer.query, layer.key, layer.value), LinearWeights.of(layer.output),
            NormWeights.of(layer.attention_norm), LinearWeights.of(layer.up), LinearWeights.of(layer.down),
            NormWeights.of(layer.output_norm),
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class EncoderWeights:
    """All that computes token vectors from token ids."""

    words: Floats  # (V, W)
    positions: Floats  # (P, W), that of a token's kind added
    norm: NormWeights
    projection: LinearWeights | None  # from W to D
    layers: tuple[LayerWeights, ...]
    averaged: bool  # whether the output is the mean over the layers, and not the last one
    heads: int
    activation: Activation
    first_position: int

    @property
    def dim(self) -> int:
        """Width D of the token vectors."""
        return int(self.words.shape[1] if self.projection is None else self.projection.weight.shape[1])

    @classmethod
    def of(cls, transformer: Transformer) -> EncoderWeights:
        """Take the weights of a transformer. Raises ConfigError for one whose layers have no exported form."""
        merged = _merged(transformer)
        embeddings: Any = merged.model.embeddings
        positions = _array(embeddings.position_embeddings.weight)
        kinds = getattr(embeddings, "token_type_embeddings", None)
        return cls(
            _array(merged.word_embeddings.weight),
            positions if kinds is None else positions + _array(kinds.weight)[0],
            NormWeights.of(embeddings.LayerNorm),
            None if merged.projection is None else LinearWeights.of(cast("nn.Linear", merged.projection)),
            tuple(map(LayerWeights.of, _plain(merged)[: merged.used_depth])),
            averaged=merged.layer == "mean", heads=int(merged.model.config.num_attention_heads),
            activation=_activation(merged), first_position=merged.first_position,
        )  # fmt: skip


def check_exportable(transformer: Transformer) -> None:
    """Raise ConfigError for a transformer whose layers have no exported form."""
    if len(transformer.bottlenecks):
        raise _refused("bottleneck adapters, which cannot be merged into the layers", "Train with lora or full instead")
    if transformer.architecture.parts is None:
        raise _refused(
            f"an encoder of type {transformer.model.config.model_type}",
            "Begin with weights of the type bert, roberta, xlm-roberta, camembert, electra or distilbert",
        )
    _activation(transformer)


def _refused(found: str, remedy: str) -> ConfigError:
    return ConfigError(f"export: found {found}; expected layers that exports have. {remedy}.")


def _merged(transformer: Transformer) -> Transformer:
    """Return the transformer with its LoRA adapters merged into the layers, itself without any."""
    check_exportable(transformer)
    if not transformer.adapters:
        return transformer
    merged = copy.deepcopy(transformer)
    merged.model, merged.adapters = merged.adapters[0].merge_and_unload(), ()
    return merged


def _plain(transformer: Transformer) -> Sequence[PlainLayer]:
    found = plain_layers(transformer.layers, transformer.architecture.parts)
    if found is None:
        raise _refused("layers with maps of another kind", "Begin with other weights")
    return found


def _activation(transformer: Transformer) -> Activation:
    config = transformer.model.config
    name = str(getattr(config, "hidden_act", None) or getattr(config, "activation", None))
    if name not in ACTIVATIONS:
        raise _refused(f"the activation {name}", f"Begin with weights that have {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def _array(tensor: torch.Tensor) -> Floats:
    return tensor.detach().float().cpu().numpy()
