"""Weights of an int8 transformer: as its file holds them, and in the order in which products read them.

Shapes: V words, P positions, D dimension, W width of the embeddings, H heads, E numbers of a head; in memory D is padded to a
multiple of 16, E to one of 32, and outputs to one of 64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlptl.inference.export_settings import ArraySettings

ROW, HEAD, PANEL = 16, 32, 64  # numbers to multiples of which rows, heads and outputs are padded
ZERO = 128  # byte that stands for 0 in the rows that are multiplied
RAISED = 0.1701  # added to GELU, which is never below -0.17, so that its bytes need no sign: twice as fine

Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Places:
    """Where the numbers of a file stand in a row, and how wide that is before it is padded."""

    at: NDArray[np.int64]
    width: int

    @classmethod
    def whole(cls, width: int) -> Places:
        """Return those of numbers one after the other."""
        return cls(np.arange(width), width)

    @classmethod
    def by_head(cls, size: int, heads: int) -> Places:
        """Return those of heads of `size` numbers, each padded."""
        own = padded(size, HEAD)
        return cls(np.concatenate([head * own + np.arange(size) for head in range(heads)]), heads * own)

    def three_times(self) -> Places:
        """Return those of three rows side by side."""
        return Places(np.concatenate([part * self.width + self.at for part in range(3)]), 3 * self.width)


@dataclass(frozen=True)
class PackedLinear:
    """y = x W + b: panels of 64 columns, in each four inputs after the other."""

    weights: NDArray[np.int8]  # (panels, inputs / 4, 64, 4)
    starts: NDArray[np.int32]  # (outputs,) what the sums begin with, since bytes of rows are 128 too high
    scales: Floats  # (outputs,) of the columns
    bias: Floats  # (outputs,)

    @classmethod
    def of(
        cls, arrays: Arrays, name: str, inputs: Places, outputs: Places, *, raised: float | None = None
    ) -> PackedLinear:
        """Bring a map of a file into order, its inputs and outputs to their places.

        Its rows are bytes without sign of numbers `raised` by so much; without it, bytes with ZERO for 0.
        """
        weight = arrays[f"{name}.weight"]
        height, width = padded(inputs.width, ROW), padded(outputs.width, PANEL)
        if weight.dtype != np.int8 or weight.shape != (len(inputs.at), len(outputs.at)):
            raise ValueError(f"{name}.weight of {weight.dtype} {weight.shape}")
        placed = np.zeros((height, width), np.int8)
        placed[np.ix_(inputs.at, outputs.at)] = weight
        panels = placed.reshape(height // 4, 4, width // PANEL, PANEL).transpose(2, 0, 3, 1)
        starts = (-ZERO * placed.sum(axis=0, dtype=np.int64)).astype(np.int32)
        columns = [
            spread(floats(arrays, f"{name}.{part}", len(outputs.at)), outputs.at, width) for part in ("scale", "bias")
        ]
        if raised is not None:
            starts[:] = 0
            columns[1] -= (raised * placed.sum(axis=0, dtype=np.int64)).astype(np.float32) * columns[0]
        return cls(np.ascontiguousarray(panels), starts, *columns)


@dataclass(frozen=True)
class PackedNorm:
    """Scale and shift, padded with zeros, and the number added to the variance."""

    scale: Floats
    shift: Floats
    epsilon: float

    @classmethod
    def of(cls, arrays: Arrays, name: str, dim: int) -> PackedNorm:
        """Take a norm of a file."""
        scale, shift = (
            spread(floats(arrays, f"{name}.{part}", dim), np.arange(dim), padded(dim, ROW))
            for part in ("scale", "shift")
        )
        return cls(scale, shift, float(floats(arrays, f"{name}.epsilon", 1)[0]))


@dataclass(frozen=True)
class PackedLayer:
    """Parts of a layer norm(a + down(f(up(a)))) with a = norm(h + output(attention(h)))."""

    attention: PackedLinear
    output: PackedLinear
    attention_norm: PackedNorm
    up: PackedLinear
    down: PackedLinear
    output_norm: PackedNorm

    @classmethod
    def of(cls, arrays: Arrays, name: str, dim: int, settings: ArraySettings) -> PackedLayer:
        """Take a layer of a file. Heads are padded one by one, in the order query, key, value."""
        own, split = Places.whole(dim), Places.by_head(dim // settings.heads, settings.heads)
        raised = 0.0 if settings.activation == "relu" else RAISED
        wide = Places.whole(arrays[f"{name}.up.weight"].shape[1])
        return cls(
            PackedLinear.of(arrays, f"{name}.attention", own, split.three_times()),
            PackedLinear.of(arrays, f"{name}.output", split, own),
            PackedNorm.of(arrays, f"{name}.attention_norm", dim), PackedLinear.of(arrays, f"{name}.up", own, wide),
            PackedLinear.of(arrays, f"{name}.down", wide, own, raised=raised), PackedNorm.of(arrays, f"{name}.output_norm", dim),
        )  # fmt: skip


@dataclass(frozen=True)
class PackedWeights:
    """All that computes token vectors from token ids."""

    words: NDArray[np.int8]  # (V, W)
    word_scales: Floats  # (V, 1)
    positions: Floats  # (P, W)
    norm: PackedNorm
    projection: tuple[Floats, Floats] | None  # (W, D) and (D,), in float32
    layers: tuple[PackedLayer, ...]
    settings: ArraySettings
    dim: int

    @classmethod
    def of(cls, arrays: Arrays, settings: ArraySettings, dim: int) -> PackedWeights:
        """Bring the arrays of a file into order. Raises ValueError or KeyError where they do not fit."""
        words, positions = arrays["words.weight"], arrays["positions"]
        width = words.shape[1]
        if words.dtype != np.int8 or positions.shape[1:] != (width,) or dim % settings.heads:
            raise ValueError("embeddings of other widths")
        projection = None
        if "projection.weight" in arrays:
            projection = floats(arrays, "projection.weight", width, dim), floats(arrays, "projection.bias", dim)
        elif width != dim:
            raise ValueError("embeddings of another width")
        layers = tuple(PackedLayer.of(arrays, f"layers.{number}", dim, settings) for number in range(settings.layers))
        return cls(
            words, floats(arrays, "words.scale", len(words))[:, None], positions, PackedNorm.of(arrays, "norm", width),
            projection, layers, settings, dim,
        )  # fmt: skip

    def embedded(self, input_ids: NDArray[np.int64], positions: NDArray[np.int64]) -> Floats:
        """Return the sum of the embeddings (N, W) of tokens at positions, before their norm."""
        found = self.words[input_ids].astype(np.float32)
        found *= self.word_scales[input_ids]
        found += self.positions[positions]
        return found


def padded(number: int, multiple: int) -> int:
    """Return the next multiple."""
    return -(-number // multiple) * multiple


def floats(arrays: Arrays, name: str, *shape: int) -> Floats:
    """Return an array of float32 of a file. Raises KeyError or ValueError where it is missing or of another shape."""
    found = arrays[name]
    if found.dtype != np.float32 or found.shape != shape:
        raise ValueError(f"{name} of {found.dtype} {found.shape}")
    return found


def spread(numbers: Floats, places: NDArray[np.int64], width: int) -> Floats:
    """Return numbers at their places of a row of zeros."""
    found = np.zeros(width, np.float32)
    found[places] = numbers
    return found
