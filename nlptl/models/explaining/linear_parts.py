"""Exact contributions of words, where a linear head reads sums over the words of a text.

The vector of a text is a sum over its words or n-grams, scaled by what the whole text settles: its number of words, its length.
A contribution is a word's share of that sum at the text's own scale. The shares sum to the logits; where the word is deleted
the others grow a little, which no contribution shows.
Shapes: P tokens or n-grams, W words, K labels, D own width of the encoder, R width of a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nlptl.models.at_rest import at_rest
from nlptl.models.encoder import Encoder
from nlptl.models.explaining.word_spans import Floats, Span, spread
from nlptl.models.heads import Head
from nlptl.models.views import View
from nlptl.models.word_vectors import WordVectors

MIN_NORM = 1e-12  # of torch's normalize


@dataclass(frozen=True)
class LinearWeights:
    """Linear head as weights of sentence vectors: logits = vectors @ weights + bias."""

    own: Floats  # (D, K)
    views: tuple[Floats, ...]  # (R, K) each
    bias: Floats  # (K,)

    @classmethod
    def of(cls, head: Head, encoder: Encoder) -> LinearWeights:
        """Return the weights of a head without a hidden layer, with its centre and scale."""
        last = head.last_linear
        weights = (last.weight.detach().double() / head.scale.double()).cpu().numpy().T
        bias = last.bias.detach().double().cpu().numpy() - head.centre.double().cpu().numpy() @ weights
        ends = np.cumsum([encoder.own_dim, *(view.dim for view in encoder.views)])
        parts = np.split(weights, ends[:-1])
        return cls(parts[0], tuple(parts[1:]), bias)

    @property
    def reads_own(self) -> bool:
        """Whether the logits depend on the encoder's own vectors, not on its views alone."""
        return bool(self.own.any())


@dataclass(frozen=True)
class Part:
    """What one part of a sentence vector contributes to the logits."""

    words: Floats  # (W, K)
    base: Floats  # (K,) what no word contributes


def sums_words(encoder: Encoder) -> bool:
    """Return whether an encoder's own vectors are sums of word vectors."""
    return encoder.token_model.kind == "word_vectors" and encoder.pooling.is_linear and encoder.projection is None


@torch.no_grad()
def own_part(encoder: Encoder, weights: Floats, text: str, words: Sequence[Span]) -> Part:
    """Return what the words contribute by their vectors, under `weights` (D, K). The encoder must sum words."""
    model = encoder.token_model
    assert isinstance(model, WordVectors)  # the caller knows
    model = at_rest(model)
    with model.reading():
        ids, spans = model.placed(encoder.tokenizer, text)
        tokens = torch.tensor(ids, dtype=torch.int64, device=model.device)
        summands = at_rest(encoder.pooling).summands(model.rows(tokens).double(), tokens).cpu().numpy()
    if encoder.normalized:
        summands = summands / max(MIN_NORM, float(np.linalg.norm(summands.sum(axis=0))))
    found = summands[:, : encoder.own_dim] @ weights
    return Part(spread(np.array(spans, np.int64).reshape(-1, 2), found, words), np.zeros(weights.shape[1]))


def view_part(view: View, weights: Floats, text: str, words: Sequence[Span]) -> Part:
    """Return what the words contribute by their terms in a view, under `weights` (R, K)."""
    row = view.terms.weights([text])
    if not row.nnz:
        return Part(np.zeros((len(words), weights.shape[1])), np.zeros(weights.shape[1]))
    order = np.argsort(row.indices)
    terms, values = row.indices[order], row.data[order].astype(np.float64)
    logits = values[:, None] * (view.table.numpy()[terms].astype(np.float64) @ weights)
    placed = view.terms.placed(text)
    found = placed.shares[:, None] * logits[np.searchsorted(terms, placed.terms)]
    return Part(spread(placed.spans, found, words), -view.centre.numpy().astype(np.float64) @ weights)
