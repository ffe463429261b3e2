"""Token vectors to one sentence vector: mean, max, tf-idf weighted, SIF.

Shapes: B texts, N packed tokens, V words, D dimension.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from nlptl.batching import Batch

PoolingMode = Literal["mean", "max", "tfidf", "sif"]


class Pooling(nn.Module):
    """Pool the tokens w of each text s into one vector; a text without tokens becomes zero.

    mean   (1/|s|) sum v(w)
    max    elementwise maximum of v(w)
    tfidf  sum idf(w) v(w) / sum idf(w): with repeats counted, the tf-idf weighted mean
    sif    x = (1/|s|) sum a / (a + p(w)) v(w), then x - u u^T x   (Arora et al. 2017, algorithm 1)

    `token_weights` (V,) holds idf(w) or a / (a + p(w)); `common_component` (D,) is u, of unit length, or zero.
    """

    token_weights: Tensor
    common_component: Tensor

    def __init__(
        self, mode: PoolingMode, *, token_weights: Tensor | None = None, common_component: Tensor | None = None
    ) -> None:
        super().__init__()
        if mode in ("tfidf", "sif") and token_weights is None:
            raise ValueError(f"{mode} pooling needs token_weights; fit them with the sentence_vectors stage")
        self.mode = mode
        self.register_buffer("token_weights", torch.zeros(0) if token_weights is None else token_weights)
        self.register_buffer("common_component", torch.zeros(0) if common_component is None else common_component)

    def forward(self, token_vectors: Tensor, batch: Batch) -> Tensor:
        """Return sentence vectors (B, D) of token vectors (N, D)."""
        text = torch.repeat_interleave(torch.arange(len(batch.lengths), device=token_vectors.device), batch.lengths)
        pooled = token_vectors.new_zeros(len(batch.lengths), token_vectors.shape[1])
        if self.mode == "max":
            index = text[:, None].expand_as(token_vectors)
            return pooled.scatter_reduce(0, index, token_vectors, "amax", include_self=False)
        if self.mode in ("tfidf", "sif"):
            weights = self.token_weights[batch.input_ids]
            pooled = pooled.index_add(0, text, token_vectors * weights[:, None])
        else:
            pooled = pooled.index_add(0, text, token_vectors)
        if self.mode == "tfidf":
            total = weights.new_zeros(len(batch.lengths)).index_add(0, text, weights)
            return pooled / total.clamp(min=1e-12)[:, None]
        pooled = pooled / batch.lengths.clamp(min=1)[:, None]
        return remove_component(pooled, self.common_component) if len(self.common_component) else pooled


def remove_component(vectors: Tensor, component: Tensor) -> Tensor:
    """Return vectors (B, D) without their share along the unit vector `component` (D,)."""
    return vectors - (vectors @ component)[:, None] * component


def sif_weights(counts: Tensor, a: float) -> Tensor:
    """Return a / (a + p(w)) for each word of counts (V,), with p(w) its share of all counted words."""
    probability = counts.double() / counts[1:].sum().clamp(min=1)
    return (a / (a + probability)).float()


def idf_weights(text_frequency: Tensor, texts: int) -> Tensor:
    """Return ln((1 + texts) / (1 + df(w))) + 1 for document frequencies (V,), as scikit-learn smooths it."""
    return (torch.log((1 + texts) / (1 + text_frequency.double())) + 1).float()


def first_component(second_moment: Tensor) -> Tensor:
    """Return the unit eigenvector (D,) of the largest eigenvalue of X^T X (D, D), its sign fixed."""
    component = torch.linalg.eigh(second_moment.double()).eigenvectors[:, -1]
    largest = component[component.abs().argmax()]
    signed: Tensor = component * torch.sign(largest)
    return signed.float()
