"""Logits of a linear head over pooled word vectors, as sums of what each word adds: no vector of a text is made.

Shapes: B texts, C chunks, N words, V words of the vocabulary, D dimension, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlptl.inference.chunk_sums import ChunkSums
from nlptl.inference.word_rules import reads_chunks_alone
from nlptl.models.pooling import remove_component
from nlptl.models.word_vectors import WordVectors

if TYPE_CHECKING:
    from nlptl.models.encoder import Encoder
    from nlptl.models.heads import Head

Floats = NDArray[np.float64]
State = tuple[Any, ...]

TEXTS_AT_ONCE = 4_000  # between two calls of `after_batch`
CHUNKS_AT_ONCE = 1_000  # split into words in one call, which costs a quarter of as many calls
FENCE = "\n\ue000\n"  # between them: no rule reaches across, and it holds no word


class StaticLogits:
    """Logits of texts by an encoder and a head that may still change: what is remembered of words goes when they do.

    Exact where `applies`; rounding is that of float64.
    """

    def __init__(self) -> None:
        self._state: State = ()
        self._sums: ChunkSums | None = None
        self._bias: Floats = np.zeros(0)

    def __deepcopy__(self, memo: dict[int, Any]) -> StaticLogits:
        return StaticLogits()

    def __reduce__(self) -> tuple[type[StaticLogits], tuple[()]]:
        return StaticLogits, ()

    def logits(
        self, encoder: Encoder, head: Head, texts: Sequence[str], after_batch: Callable[[int], None] | None
    ) -> Tensor | None:
        """Return logits (B, K), float64; None where the classifier is not of this kind, or a text is no UTF-8."""
        if not applies(encoder, head):
            return None
        state = _state(encoder, head)
        if self._sums is None or state != self._state:
            self._sums, self._bias, self._state = _sums_of(encoder, head), _constant(head), state
        sums, bias, parts = self._sums, self._bias, list[Floats]()
        for begin in range(0, max(1, len(texts)), TEXTS_AT_ONCE):
            part = texts[begin : begin + TEXTS_AT_ONCE]
            try:
                found = sums(part)
            except UnicodeEncodeError:
                return None
            parts.append(found[:, :-1] / _divisor(found[:, -1], encoder)[:, None] + bias)
            if after_batch and part:
                after_batch(len(part))
        return torch.from_numpy(np.concatenate(parts))


def applies(encoder: Encoder, head: Head) -> bool:
    """Return whether the logits are sums over words that are read one by one: word vectors, a linear pooling, a linear head."""
    table = encoder.token_model
    return (
        isinstance(table, WordVectors)
        and table.phrases is None
        and encoder.pooling.is_linear
        and not (encoder.normalized or encoder.views or head.hidden or encoder.projection is not None)
        and encoder.kept_dim is None
        and table.device.type == "cpu"
        and head.centre.device.type == "cpu"
        and reads_chunks_alone(encoder.tokenizer)
    )


def _divisor(weights: Floats, encoder: Encoder) -> Floats:
    """Return what the sums of texts (B,) are divided by: the pooling's, as `Pooling` has them."""
    return np.maximum(weights, 1e-12 if encoder.pooling.mode == "tfidf" else 1.0)


def _constant(head: Head) -> Floats:
    """Return the logits (K,) of a text without a known word."""
    weights = head.last_linear.weight.detach().double()
    centre = head.centre.double() / head.scale.double()
    found: Floats = (head.last_linear.bias.detach().double() - weights @ centre).numpy()
    return found


def _sums_of(encoder: Encoder, head: Head) -> ChunkSums:
    """Return sums (B, K + 1) of what words add to the logits, before they are divided by the sum in the last column."""
    weights = (head.last_linear.weight.detach().double() / head.scale.double()).T  # (D, K)
    pooling, table, tokenizer = encoder.pooling, encoder.token_model, encoder.tokenizer
    assert isinstance(table, WordVectors)
    if pooling.mode != "tfidf" and len(pooling.common_component):
        weights = remove_component(weights.T, pooling.common_component.double()).T
    width = weights.shape[1]

    @torch.inference_mode()
    def read(chunks: list[str]) -> Floats:
        found = torch.zeros(len(chunks), width + 1, dtype=torch.float64)
        for begin in range(0, len(chunks), CHUNKS_AT_ONCE):
            part = chunks[begin : begin + CHUNKS_AT_ONCE]
            with table.reading():
                ids, spans = table.placed(tokenizer, FENCE.join(part))
                flat = torch.tensor(ids, dtype=torch.int64)
                vectors = table.rows(flat).double()
            ends = np.cumsum([len(chunk) + len(FENCE) for chunk in part])
            of_chunk = begin + np.searchsorted(ends, [first for first, _ in spans], side="right")
            rows = torch.cat([vectors @ weights, vectors.new_ones(len(flat), 1)], dim=1)
            if pooling.is_fitted:
                known = flat.where(flat < len(pooling.token_weights), 0)
                own = pooling.token_weights[known].double()[:, None]
                rows[:, :-1] *= own
                rows[:, -1:] = own if pooling.mode == "tfidf" else 1.0
            found.index_add_(0, torch.from_numpy(of_chunk), rows)
        numbers: Floats = found.numpy()
        return numbers

    return ChunkSums(read, width + 1)


def _state(encoder: Encoder, head: Head) -> State:
    """Return what differs after a change of any number: tensors, how often they were changed in place, and some sums."""
    table = encoder.token_model
    assert isinstance(table, WordVectors)
    small = [head.centre, head.scale, head.last_linear.weight, head.last_linear.bias]
    large = [encoder.pooling.token_weights, encoder.pooling.common_component, table.vectors]
    large += [] if table.subwords is None else [table.subwords.buckets]
    versions = [(tensor.data_ptr(), _version(tensor), tuple(tensor.shape)) for tensor in (*small, *large)]
    sums = [float(tensor.detach().double().sum()) for tensor in small]  # a change through `.data` counts no version
    return (id(encoder.tokenizer), encoder.tokenizer.get_vocab_size(), encoder.pooling.mode, *versions, *sums)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
