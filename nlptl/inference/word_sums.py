"""Logits of a linear head over pooled word vectors, as sums of what each word adds: no vector of a text is made.

Shapes: B texts, C chunks, N words of all chunks, V words of the vocabulary, D dimension, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlptl.inference.chunk_sums import ChunkSums
from nlptl.inference.pooling import MIN_LENGTH, PoolingMode

LINEAR_POOLINGS: tuple[PoolingMode, ...] = ("mean", "tfidf", "sif")
TEXTS_AT_ONCE = 4_000  # between two calls of `after_batch`
CHUNKS_AT_ONCE = 1_000  # split into words in one call, which costs a quarter of as many calls
FENCE = "\n\ue000\n"  # between them: no rule reaches across, and it holds no word

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class WordsOfChunks:
    """The known words of chunks."""

    ids: Ids  # (N,)
    of_chunk: Ids  # (N,) the place of each word's chunk
    vectors: NDArray[Any]  # (N, D)


@dataclass(frozen=True)
class LinearParts:
    """A linear pooling under a linear head; `Pooling` and `Head` give the formulas."""

    mode: PoolingMode
    token_weights: NDArray[Any]  # (V,) of tfidf and sif, else empty
    common_component: NDArray[Any]  # (D,), or empty
    weights: NDArray[Any]  # (K, D)
    bias: NDArray[Any]  # (K,)
    centre: NDArray[Any]  # (D,)
    scale: float


class WordSums:
    """logits(text) = sum of w(word) v(word) W over its words / their number + b, or / the sum of w under tfidf.

    It equals the way through vectors but for rounding: numbers are added in float64.
    """

    def __init__(self, read: Callable[[list[str]], WordsOfChunks], parts: LinearParts) -> None:
        """`read` returns the words of chunks of `word_rules`."""
        weights = parts.weights.astype(np.float64).T / parts.scale
        self._bias: Floats = parts.bias.astype(np.float64) - parts.centre.astype(np.float64) @ weights
        if parts.mode != "tfidf" and len(parts.common_component):
            common = parts.common_component.astype(np.float64)
            weights = weights - np.outer(common, common @ weights)
        self._read, self._mode, self._weights = read, parts.mode, weights
        self._token_weights = np.array(parts.token_weights, np.float64)
        self._sums = ChunkSums(self._rows, weights.shape[1] + 1)

    def logits(self, texts: Sequence[str], after_batch: Callable[[int], None] | None = None) -> Floats:
        """Return logits (B, K). Raises UnicodeEncodeError for half of a surrogate pair."""
        found = np.empty((len(texts), len(self._bias)))
        for begin in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[begin : begin + TEXTS_AT_ONCE]
            sums = self._sums(part)
            divisor = np.maximum(sums[:, -1], MIN_LENGTH if self._mode == "tfidf" else 1.0)
            found[begin : begin + len(part)] = sums[:, :-1] / divisor[:, None] + self._bias
            if after_batch:
                after_batch(len(part))
        return found

    def _rows(self, chunks: list[str]) -> Floats:
        """Return what the words of each chunk add to the logits before division, and to the divisor (C, K + 1)."""
        found = np.zeros((len(chunks), len(self._bias) + 1))
        for begin in range(0, len(chunks), CHUNKS_AT_ONCE):
            words = self._read(chunks[begin : begin + CHUNKS_AT_ONCE])
            rows = np.concatenate(
                [words.vectors.astype(np.float64) @ self._weights, np.ones((len(words.ids), 1))], axis=1
            )
            if self._mode != "mean":
                known = np.where(words.ids < len(self._token_weights), words.ids, 0)
                weights = self._token_weights[known][:, None]
                rows[:, :-1] *= weights
                rows[:, -1:] = weights if self._mode == "tfidf" else 1.0
            np.add.at(found, begin + words.of_chunk, rows)
        return found


def chunk_of_place(chunks: Sequence[str], places: Sequence[int]) -> Ids:
    """Return in which chunk each place (N,) of the chunks joined by `FENCE` lies."""
    ends = np.cumsum([len(chunk) + len(FENCE) for chunk in chunks])
    return np.searchsorted(ends, np.array(places, np.int64), side="right")
