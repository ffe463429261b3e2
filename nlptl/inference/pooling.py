"""Pooling and projection in NumPy; `nlptl.models` has the same in torch, where they learn.

Shapes: N packed tokens, M segments, D dimension.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PoolingMode = Literal["mean", "max", "tfidf", "sif", "cls", "attention"]
MIN_LENGTH = 1e-12  # below which a vector is not scaled up to length 1, as torch has it

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class ArrayPooling:
    """Token vectors of segments to vectors of segments; `nlptl.models.pooling.Pooling` gives the formulas."""

    mode: PoolingMode
    arrays: Mapping[str, Floats]  # token_weights (V,), common_component (D,), query (D,), where the mode has them

    def check_width(self, dim: int) -> None:
        """Raise ValueError if it does not fit token vectors of width `dim`."""
        needed = {"tfidf": ["token_weights"], "sif": ["token_weights"], "attention": ["query"]}.get(self.mode, [])
        widths = [self.arrays[name].shape for name in ("common_component", "query") if len(self.arrays.get(name, ()))]
        if any(not len(self.arrays.get(name, ())) for name in needed) or any(shape != (dim,) for shape in widths):
            raise ValueError(f"pooling does not fit vectors of {dim} numbers")

    def pooled(self, token_vectors: Floats, input_ids: Ids, lengths: Ids) -> Floats:
        """Return vectors (M, D) of segments of `lengths` (M,). One without tokens becomes zero."""
        filled = lengths > 0
        found = np.zeros((len(lengths), token_vectors.shape[1]), np.float32)
        if filled.any():
            found[filled] = self._of_filled(token_vectors, input_ids, lengths[filled])
        return found

    def _of_filled(self, token_vectors: Floats, input_ids: Ids, lengths: Ids) -> Floats:
        begins = np.cumsum(lengths) - lengths
        if self.mode == "cls":
            return np.asarray(token_vectors[begins])
        if self.mode == "max":
            return np.asarray(np.maximum.reduceat(token_vectors, begins), np.float32)
        if self.mode == "attention":
            return self._attended(token_vectors, begins, lengths)
        weights = self._weights(input_ids)
        vectors = token_vectors if weights is None else token_vectors * weights[:, None]
        totals = np.add.reduceat(vectors, begins)
        if self.mode == "tfidf" and weights is not None:
            return np.asarray(totals / np.maximum(np.add.reduceat(weights, begins), MIN_LENGTH)[:, None], np.float32)
        means = np.asarray(totals / lengths[:, None], np.float32)
        component = self.arrays.get("common_component", ())
        return means - (means @ component)[:, None] * component if len(component) else means

    def _weights(self, input_ids: Ids) -> Floats | None:
        if self.mode not in ("tfidf", "sif"):
            return None
        table = self.arrays["token_weights"]
        return table[np.where(input_ids < len(table), input_ids, 0)]

    def _attended(self, token_vectors: Floats, begins: Ids, lengths: Ids) -> Floats:
        scores = token_vectors @ self.arrays["query"] / np.float32(token_vectors.shape[1] ** 0.5)
        shares = np.exp(scores - np.repeat(np.maximum.reduceat(scores, begins), lengths))
        shares /= np.repeat(np.add.reduceat(shares, begins), lengths)
        return np.asarray(np.add.reduceat(token_vectors * shares[:, None], begins), np.float32)


@dataclass(frozen=True)
class ArrayProjection:
    """y = f_n(W_n ... f_1(W_1 x + b_1) ... + b_n), with W (outputs, inputs)."""

    maps: tuple[tuple[Floats, Floats | None, str], ...]

    @classmethod
    def of(cls, activations: Sequence[str], arrays: Mapping[str, Floats]) -> ArrayProjection:
        """Build the projection of a file. Raises ValueError if an array is missing or does not fit."""
        maps = tuple(
            (arrays[f"weight_{place}"], arrays.get(f"bias_{place}"), activation)
            for place, activation in enumerate(activations)
            if f"weight_{place}" in arrays
        )
        widths = [weight.shape for weight, _, _ in maps]
        if len(maps) < len(activations) or any(a[0] != b[1] for a, b in itertools.pairwise(widths)):
            raise ValueError("a weight of a projection is missing or does not fit the one before")
        return cls(maps)

    @property
    def inputs(self) -> int:
        """Width of the vectors that it takes."""
        return int(self.maps[0][0].shape[1])

    @property
    def dim(self) -> int:
        """Width of the vectors that it gives."""
        return int(self.maps[-1][0].shape[0])

    def __call__(self, vectors: Floats) -> Floats:
        """Return projected vectors."""
        for weight, bias, activation in self.maps:
            vectors = vectors @ weight.T + (0 if bias is None else bias)
            vectors = np.tanh(vectors) if activation == "tanh" else vectors
        return vectors


def scaled(vectors: Floats) -> Floats:
    """Return vectors of length 1; zero stays zero."""
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return np.asarray(vectors / np.maximum(lengths, MIN_LENGTH), np.float32)
