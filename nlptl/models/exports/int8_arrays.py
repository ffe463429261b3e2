"""Weights of a transformer as int8 arrays, with a scale a column; `nlptl.inference.int8` multiplies them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlptl.inference.export_settings import ArraySettings
from nlptl.models.exports.layer_weights import EncoderWeights, LinearWeights, NormWeights
from nlptl.models.exports.rounding import int8_rows

Arrays = dict[str, NDArray[Any]]


def int8_arrays(weights: EncoderWeights) -> Arrays:
    """Return the arrays of a transformer by their names."""
    words, scales = int8_rows(weights.words)
    found: Arrays = {"words.weight": words, "words.scale": scales, "positions": weights.positions}
    found |= _norm("norm", weights.norm)
    if weights.projection is not None:
        found |= {"projection.weight": weights.projection.weight, "projection.bias": weights.projection.bias}
    for number, layer in enumerate(weights.layers):
        name = f"layers.{number}"
        for part in ("attention", "output", "up", "down"):
            found |= _linear(f"{name}.{part}", getattr(layer, part))
        found |= _norm(f"{name}.attention_norm", layer.attention_norm) | _norm(f"{name}.output_norm", layer.output_norm)
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def array_settings(weights: EncoderWeights) -> ArraySettings:
    """Return what export.json says of the arrays."""
    return ArraySettings(
        heads=weights.heads, layers=len(weights.layers), activation=weights.activation, averaged=weights.averaged
    )


def _linear(name: str, linear: LinearWeights) -> Arrays:
    columns, scales = int8_rows(linear.weight.T)
    return {f"{name}.weight": columns.T, f"{name}.scale": scales, f"{name}.bias": linear.bias}


def _norm(name: str, norm: NormWeights) -> Arrays:
    epsilon = np.array([norm.epsilon], np.float32)
    return {f"{name}.scale": norm.scale, f"{name}.shift": norm.shift, f"{name}.epsilon": epsilon}
