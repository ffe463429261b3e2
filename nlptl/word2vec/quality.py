"""What a set of word vectors is worth: the skip-gram loss on a fixed sample of pairs, nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.word2vec.corpus import Corpus

FloatArray = NDArray[np.float32]


class SampledLoss:
    """Skip-gram loss with negative sampling on pairs drawn once, so that epochs and engines compare.

    loss = mean over pairs (c, o) of  -log s(v_c . u_o) - sum over n of log s(-v_c . u_n)

    with s the logistic function and the negatives n drawn from counts ** 0.75 (Mikolov et al. 2013b, eq. 4).
    """

    def __init__(self, corpus: Corpus, *, window: int, negatives: int, seed: int, pairs: int = 4_000) -> None:
        generator = np.random.default_rng(seed)
        self._centres, self._contexts = _draw_pairs(corpus, window, pairs, generator)
        weights = corpus.counts.astype(np.float64) ** 0.75
        weights[0] = 0.0
        self._negatives = generator.choice(len(weights), (len(self._centres), negatives), p=weights / weights.sum())

    def __call__(self, vectors: FloatArray, contexts: FloatArray) -> float | None:
        """Return the loss of input vectors (V, D) and output vectors (V, D), both indexed by the corpus's ids.

        None for a corpus without pairs, such as texts of one word each.
        """
        if not len(self._centres):
            return None
        centre = vectors[self._centres]
        positive = np.einsum("pd,pd->p", centre, contexts[self._contexts])
        negative = np.einsum("pd,pnd->pn", centre, contexts[self._negatives])
        return float(np.mean(np.logaddexp(0, -positive) + np.logaddexp(0, negative).sum(axis=1)))


def nearest(words: Sequence[str], vectors: FloatArray, index: int, *, count: int) -> list[tuple[str, float]]:
    """Return the `count` words whose vectors (V, D) have the highest cosine with row `index`, without row 0."""
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = vectors @ vectors[index] / np.maximum(lengths * lengths[index], 1e-12)
    cosines[[0, index]] = -np.inf
    best = np.argsort(-cosines, kind="stable")[: min(count, len(words) - 2)]
    return [(words[i], round(float(cosines[i]), 4)) for i in best]


def _draw_pairs(
    corpus: Corpus, window: int, pairs: int, generator: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Draw pairs of words at most `window` apart inside one text; texts of one word have none."""
    places = generator.integers(0, len(corpus.ids), pairs * 2)
    shifts = generator.integers(1, window + 1, pairs * 2) * generator.choice([-1, 1], pairs * 2)
    text = np.searchsorted(corpus.offsets, places, side="right") - 1
    other = places + shifts
    inside = (other >= corpus.offsets[text]) & (other < corpus.offsets[text + 1])
    places, other = places[inside][:pairs], other[inside][:pairs]
    return np.asarray(corpus.ids[places]), np.asarray(corpus.ids[other])
