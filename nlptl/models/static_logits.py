"""Logits of classifiers over word vectors by `word_sums`, while their numbers may still change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nlptl.inference.word_rules import reads_chunks_alone
from nlptl.inference.word_sums import FENCE, LinearParts, WordsOfChunks, WordSums, chunk_of_place
from nlptl.models.word_vectors import WordVectors

if TYPE_CHECKING:
    from nlptl.models.encoder import Encoder
    from nlptl.models.heads import Head

State = tuple[Any, ...]


class StaticLogits:
    """Logits of texts by an encoder and a head; what is remembered of words goes when a number changes."""

    def __init__(self) -> None:
        self._state: State = ()
        self._sums: WordSums | None = None

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
        state, sums = _state(encoder, head), self._sums
        if sums is None or state != self._state:
            sums = _sums_of(encoder, head)
            self._sums, self._state = sums, state
        try:
            return torch.from_numpy(sums.logits(texts, after_batch))
        except UnicodeEncodeError:
            return None


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


def _sums_of(encoder: Encoder, head: Head) -> WordSums:
    table, tokenizer, pooling, last = encoder.token_model, encoder.tokenizer, encoder.pooling, head.last_linear
    assert isinstance(table, WordVectors)

    @torch.inference_mode()
    def read(chunks: list[str]) -> WordsOfChunks:
        with table.reading():
            ids, spans = table.placed(tokenizer, FENCE.join(chunks))
            vectors = table.rows(torch.tensor(ids, dtype=torch.int64))
        return WordsOfChunks(
            np.array(ids, np.int64), chunk_of_place(chunks, [begin for begin, _ in spans]), vectors.numpy()
        )

    parts = LinearParts(
        pooling.mode, token_weights=pooling.token_weights.numpy(), common_component=pooling.common_component.numpy(),
        weights=last.weight.detach().numpy(), bias=last.bias.detach().numpy(), centre=head.centre.numpy(),
        scale=float(head.scale),
    )  # fmt: skip
    return WordSums(read, parts)


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
