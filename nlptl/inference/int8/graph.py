"""Int8Transformer: token ids to token vectors in int8, on one thread.

Shapes: N packed tokens, M segments, D dimension.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import read_arrays
from nlptl.errors import ArtifactError
from nlptl.inference.export_settings import ARRAYS, ArraySettings, ExportSettings
from nlptl.inference.int8.layers import activate_rows, attend, linear, norm_rows, round_rest, round_rows
from nlptl.inference.int8.products import ROWS, WIDE
from nlptl.inference.int8.weights import PackedLayer, PackedLinear, PackedNorm, PackedWeights, padded

BLOCK = 96  # rows, a multiple of 6, whose wide vectors are in the caches together
ACTIVATIONS = ("gelu", "gelu_tanh", "relu")

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Ids = NDArray[np.int64]


class Int8Transformer:
    """A transformer of an export's arrays; threads may call it at once, and each computes alone."""

    def __init__(self, weights: PackedWeights, first_position: int) -> None:
        self._weights, self._first_position = weights, first_position

    @classmethod
    def read(cls, folder: Path, export: ExportSettings) -> Int8Transformer:
        """Read the arrays of an export. Raises ArtifactError where they are missing or damaged."""
        arrays = read_arrays(folder / ARRAYS, remedy="the folder is damaged. Export the run again.")
        try:
            weights = PackedWeights.of(arrays, export.arrays or ArraySettings(heads=0, layers=0), export.dim)
        except (KeyError, ValueError, IndexError, ArithmeticError):
            raise ArtifactError(
                f"{folder / ARRAYS}: does not fit export.json; the folder is damaged. Export the run again."
            ) from None
        return cls(weights, export.first_position)

    def token_vectors(self, input_ids: Ids, lengths: Ids) -> Floats:
        """Return token vectors (N, D) of ids (N,) of segments of `lengths` (M,), all positive."""
        rows = _Rows(self._weights, len(input_ids))
        inside = np.arange(len(input_ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        rows.enter(self._weights.embedded(input_ids, inside + self._first_position))
        total = np.zeros_like(rows.hidden)
        for layer in self._weights.layers:
            rows.run(layer, lengths)
            if self._weights.settings.averaged:
                total += rows.hidden
        found = total / np.float32(len(self._weights.layers)) if self._weights.settings.averaged else rows.hidden
        return found[: len(input_ids), : self._weights.dim]


class _Rows:
    """Rows of a batch in float32 and as bytes, and the memory for intermediate results."""

    def __init__(self, weights: PackedWeights, tokens: int) -> None:
        self._weights = weights
        count, width = padded(max(tokens, 1), ROWS), padded(weights.dim, 16)
        self.hidden = np.zeros((count, width), np.float32)
        self._bytes, self._scales = np.zeros((count, width), np.uint8), np.zeros(count, np.float32)
        self._rest, self._finer = np.zeros((count, width), np.uint8), np.zeros(count, np.float32)
        if weights.layers:
            layer = weights.layers[0]
            self._mapped, self._out = (
                np.empty((count, len(one.bias)), np.float32) for one in (layer.attention, layer.output)
            )
            self._attended = np.zeros((count, 4 * layer.output.weights.shape[1]), np.float32)
            self._attended_bytes = np.zeros(self._attended.shape, np.uint8)
            self._wide = np.empty((BLOCK, len(layer.up.bias)), np.float32)
            self._wide_bytes, self._wide_scales = np.zeros(self._wide.shape, np.uint8), np.zeros(BLOCK, np.float32)
        self._sums = np.zeros((ROWS, WIDE), np.int32)

    def enter(self, embedded: Floats) -> None:
        """Norm the embeddings (N, W), and project them where their width is another one."""
        width = embedded.shape[1]
        first = np.zeros((len(self.hidden), padded(width, 16)), np.float32)
        first[: len(embedded), :width] = embedded
        self._norm(first, np.zeros_like(first), self._weights.norm, width, np.zeros(first.shape, np.uint8))
        if self._weights.projection is not None:
            weight, bias = self._weights.projection
            self.hidden[:, : self._weights.dim] = first[:, :width] @ weight + bias
        else:
            self.hidden[:] = first
        round_rows(self.hidden, self._bytes, self._scales)

    def run(self, layer: PackedLayer, lengths: Ids) -> None:
        """Replace the rows by a layer's output."""
        settings, dim = self._weights.settings, self._weights.dim
        # Half of all error comes from here (MiniLM, tweets): what rounding leaves is multiplied too, a sixth more time.
        round_rest(self.hidden, self._scales, self._rest, self._finer)
        self._linear(self._bytes, self._scales, layer.attention, self._mapped)
        self._linear(self._rest, self._finer, layer.attention, self._mapped, more=True)
        root = (dim // settings.heads) ** -0.5
        attend(self._mapped, lengths, settings.heads, root, self._attended)
        round_rows(self._attended, self._attended_bytes, self._scales)
        self._linear(self._attended_bytes, self._scales, layer.output, self._out)
        self._norm(self.hidden, self._out, layer.attention_norm, dim, self._bytes)
        kind = ACTIVATIONS.index(settings.activation)
        for begin in range(0, len(self.hidden), BLOCK):
            part = slice(begin, min(begin + BLOCK, len(self.hidden)))
            own = slice(0, part.stop - begin)
            wide, in_bytes, scales = self._wide[own], self._wide_bytes[own], self._wide_scales[own]
            self._linear(self._bytes[part], self._scales[part], layer.up, wide)
            activate_rows(wide, kind, in_bytes, scales)
            self._linear(in_bytes, scales, layer.down, self._out[part])
        self._norm(self.hidden, self._out, layer.output_norm, dim, self._bytes)

    def _linear(self, rows: Bytes, scales: Floats, map: PackedLinear, out: Floats, *, more: bool = False) -> None:
        linear(rows, scales, map.weights, map.starts, map.scales, map.bias, out, self._sums, more)

    def _norm(self, rows: Floats, more: Floats, norm: PackedNorm, dim: int, out: Bytes) -> None:
        norm_rows(rows, more, dim, norm.scale, norm.shift, norm.epsilon, out, self._scales)
