"""Pooling of token vectors into one sentence vector: cls, mean, max, tf-idf weighted, SIF, attention-weighted.

Shapes: B texts, N packed tokens, V words, D dimension.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from nlptl.models.packing import Batch

PoolingMode = Literal["mean", "max", "tfidf", "sif", "cls", "attention"]


class Pooling(nn.Module):
    """Pool the tokens w of each text s into one vector. A text without tokens becomes zero.

    mean       (1/|s|) sum v(w)
    max        elementwise maximum of v(w)
    cls        v of the first token, which encoders train to represent the text
    attention  sum a(w) v(w) with a = softmax over s of q . v(w) / sqrt(D)   (Yang et al. 2016, eq. 5-7, without
               their hidden layer); `query` q (D,) begins at zero, which gives the mean, and is trained with the labels
    tfidf      sum idf(w) v(w) / sum idf(w), repeated words counted each time
    sif        x = (1/|s|) sum a / (a + p(w)) v(w), then x - u u^T x   (Arora et al. 2017, algorithm 1)

    `token_weights` (V,) holds idf(w) or a / (a + p(w)). Ids of V and more, words that the unlabelled texts lack, take
    the weight of word 0. `common_component` (D,) is u, of unit length, or zero.
    """

    token_weights: Tensor
    common_component: Tensor

    def __init__(
        self,
        mode: PoolingMode,
        *,
        token_weights: Tensor | None = None,
        common_component: Tensor | None = None,
        query: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        if self.is_fitted and token_weights is None:
            raise ValueError(f"{mode} pooling needs token_weights; fit them with the sentence_vectors stage")
        if mode == "attention" and query is None:
            raise ValueError("attention pooling needs a query (D,); zeros make it the mean")
        self.register_buffer("token_weights", torch.zeros(0) if token_weights is None else token_weights)
        self.register_buffer("common_component", torch.zeros(0) if common_component is None else common_component)
        self.query = None if query is None else nn.Parameter(query)

    @property
    def is_fitted(self) -> bool:
        """Whether it was fitted to texts, tokenised as they were then."""
        return self.mode in ("tfidf", "sif")

    @property
    def is_linear(self) -> bool:
        """Whether the vector is a sum over the tokens, each times a number that depends on the tokens' ids alone."""
        return self.mode in ("mean", "tfidf", "sif")

    def summands(self, token_vectors: Tensor, input_ids: Tensor) -> Tensor:
        """Return what each token of one text adds to its vector (N, D), if the pooling is linear; `forward` is their sum."""
        weights = token_vectors.new_ones(len(input_ids))
        if self.is_fitted:
            weights = self.token_weights.to(weights)[input_ids.where(input_ids < len(self.token_weights), 0)]
        total = weights.sum().clamp(min=1e-12) if self.mode == "tfidf" else max(1, len(input_ids))
        found = token_vectors * (weights / total)[:, None]
        component = self.common_component.to(found)
        return remove_component(found, component) if self.mode != "tfidf" and len(component) else found

    def check_width(self, dim: int) -> None:
        """Raise ValueError if it does not fit token vectors of width `dim`."""
        fits = (
            self.token_weights.ndim == 1
            and len(self.token_weights) >= int(self.is_fitted)
            and tuple(self.common_component.shape) in ((0,), (dim,))
        )
        if not fits or (self.query is not None and tuple(self.query.shape) != (dim,)):
            raise ValueError(f"pooling does not fit vectors of {dim} numbers")

    def forward(self, token_vectors: Tensor, batch: Batch) -> Tensor:
        """Return sentence vectors (B, D) of token vectors (N, D)."""
        lengths = batch.lengths.to(token_vectors.device)
        pooled = token_vectors.new_zeros(len(lengths), token_vectors.shape[1])
        if self.mode == "cls":
            filled = lengths > 0
            return pooled.index_put((filled,), token_vectors[(lengths.cumsum(0) - lengths)[filled]])
        text = batch.text_of_token()
        if self.mode == "max":
            index = text[:, None].expand_as(token_vectors)
            return pooled.scatter_reduce(0, index, token_vectors, "amax", include_self=False)
        if self.query is not None:
            scores = token_vectors @ self.query / token_vectors.shape[1] ** 0.5
            highest = scores.new_full((len(lengths),), float("-inf")).scatter_reduce(0, text, scores.detach(), "amax")
            shares = torch.exp(scores - highest[text])
            weights = shares / shares.new_zeros(len(lengths)).index_add(0, text, shares)[text]
            return pooled.index_add(0, text, token_vectors * weights[:, None])
        if self.is_fitted:
            known = batch.input_ids < len(self.token_weights)
            weights = self.token_weights[batch.input_ids.where(known, 0)]
            token_vectors = token_vectors * weights[:, None]
        pooled = pooled.index_add(0, text, token_vectors)
        if self.mode == "tfidf":
            total = weights.new_zeros(len(lengths)).index_add(0, text, weights)
            return pooled / total.clamp(min=1e-12)[:, None]
        pooled = pooled / lengths.clamp(min=1)[:, None]
        return remove_component(pooled, self.common_component) if len(self.common_component) else pooled


def remove_component(vectors: Tensor, component: Tensor) -> Tensor:
    """Return vectors (B, D) minus their projection on the unit vector `component` (D,)."""
    return vectors - (vectors @ component)[:, None] * component


def sif_weights(counts: Tensor, a: float) -> Tensor:
    """Return a / (a + p(w)) for word counts (V,), where p(w) is the word's relative frequency."""
    probability = counts.double() / counts[1:].sum().clamp(min=1)
    return (a / (a + probability)).float()


def idf_weights(text_frequency: Tensor, texts: int) -> Tensor:
    """Return ln((1 + texts) / (1 + df(w))) + 1 for document frequencies (V,), smoothed as in scikit-learn."""
    return (torch.log((1 + texts) / (1 + text_frequency.double())) + 1).float()


def first_component(second_moment: Tensor) -> Tensor:
    """Return the unit eigenvector (D,) of the largest eigenvalue of X^T X (D, D). Its largest entry is positive."""
    component: Tensor = torch.linalg.eigh(second_moment.double()).eigenvectors[:, -1]
    return (component * torch.sign(component[component.abs().argmax()])).float()
