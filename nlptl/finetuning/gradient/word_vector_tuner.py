"""Tuner for word vectors together with the head.

Shapes: B texts, D dimension, K labels, V words, U words that occur in the labelled texts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nlptl.finetuning.gradient.tuner import Fit
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.heads import Head
from nlptl.models.packing import TokenizedTexts
from nlptl.models.pooling import Pooling
from nlptl.models.word_vectors import WordVectors
from nlptl.training.loop import ParameterGroup


class WordVectorTuner:
    """Head and word vectors move together, from a head that was fitted first; each word is pulled back to its start.

    A random head would tear up the pretrained vectors (Kumar et al. 2022). Only words of the labelled texts get a gradient, so
    training the table of those U words alone is exact. Words with a vector by their spelling alone have no row to move.
    """

    costly = False

    def __init__(
        self,
        given: TextClassifier,
        texts: Sequence[str],
        *,
        fitted_head: Callable[[Tensor], Head],
        rates: tuple[float, float],
        l2_to_start: float,
    ) -> None:
        """`fitted_head` gives the head for examples (B,); `rates` are those of head and word vectors."""
        self._given, self._fitted_head, self._rates, self._l2_to_start = given, fitted_head, rates, l2_to_start
        table = _table_of(given.encoder)
        with table.reading():
            ids = given.encoder.token_ids(texts)
            self._words = torch.tensor(_by_row(ids, len(table.vectors)), dtype=torch.int64)
            self._start = table.rows(self._words.to(table.device)).detach()
        new_id = {int(word): index for index, word in enumerate(self._words)}
        views = given.encoder.view_vectors(texts)
        self._texts = TokenizedTexts.of([[new_id[word] for word in text] for text in ids], views=views)

    def start(self, rows: Tensor) -> _WordVectorFit:
        """Return a copy of the table (U, D) under the head that was fitted to the examples `rows`."""
        encoder = _sub_encoder(self._given.encoder, self._start, self._words)
        head = copy.deepcopy(self._fitted_head(rows))
        return _WordVectorFit(encoder, head, self._texts, self._rates, self._l2_to_start)

    def finish(self, fit: Fit) -> TextClassifier:
        """Return a copy of the given encoder with the moved words, under the trained head."""
        assert isinstance(fit, _WordVectorFit)
        encoder = copy.deepcopy(self._given.encoder)
        with torch.no_grad():
            vectors, moved = _table_of(encoder).vectors, fit.table.vectors
            known = self._words[self._words < len(vectors)]
            vectors[known.to(moved.device)] = moved[: len(known)]
        return TextClassifier(encoder, fit.head, self._given.labels).eval()


class _WordVectorFit(Fit):
    def __init__(
        self, encoder: Encoder, head: Head, texts: TokenizedTexts, rates: tuple[float, float], l2_to_start: float
    ) -> None:
        self.module = nn.ModuleList([encoder, head])
        self.encoder, self.head, self.table = encoder, head, _table_of(encoder)
        self._texts, self._rates, self._l2_to_start = texts, rates, l2_to_start
        self._start = self.table.vectors.detach().clone()

    def groups(self) -> list[ParameterGroup]:
        table = ParameterGroup([self.table.vectors], self._rates[1] * float(self.head.scale))
        return [ParameterGroup(list(self.head.parameters()), self._rates[0]), table]

    def logits(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(self._texts.batch(rows).to(self.encoder.device)))
        return logits

    def penalty(self, l2: float) -> Tensor:
        moved = (self.table.vectors - self._start) / self.head.scale
        return super().penalty(l2) + self._l2_to_start * moved.pow(2).sum()


def _table_of(encoder: Encoder) -> WordVectors:
    assert isinstance(encoder.token_model, WordVectors)
    return encoder.token_model


def _by_row(ids: Sequence[Sequence[int]], known: int) -> list[int]:
    """Return 0 and each word of the texts once: known ones by id, then unseen ones as they occur.

    Processes that train together may have met unseen words in another order, but have the same texts.
    """
    words = dict.fromkeys([0, *(word for text in ids for word in text)])
    return [*sorted(word for word in words if word < known), *(word for word in words if word >= known)]


def _sub_encoder(encoder: Encoder, start: Tensor, words: Tensor) -> Encoder:
    """Return the encoder over a table of these words (U,) alone, whose vectors are `start` (U, D)."""
    table = _table_of(encoder)
    unseen = words >= len(table.vectors)
    rows = words.masked_fill(unseen, 0).to(encoder.device)
    old = encoder.pooling
    weights = old.token_weights[rows] if len(old.token_weights) else old.token_weights
    pooling = Pooling(old.mode, token_weights=weights, common_component=old.common_component)
    sub_table = WordVectors(start.clone(), table.counts[rows])
    if unseen.any():
        moves = ~unseen[:, None]
        sub_table.vectors.register_hook(lambda gradient: gradient * moves.to(gradient.device))  # type: ignore[no-untyped-call]  # torch has no types here
    return encoder.with_parts(token_model=sub_table, pooling=pooling)
