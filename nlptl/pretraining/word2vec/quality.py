"""Quality of word vectors: loss on a fixed sample of pairs, nearest neighbours."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlptl.pretraining.word2vec.corpus import Corpus
from nlptl.pretraining.word2vec.sampling import noise_weights

FloatArray = NDArray[np.float32]
Ids = NDArray[np.int32]
Rows = NDArray[np.integer[Any]]
BLOCK_ROWS = 200  # words compared with all others at once: 200 rows of a million cosines are 0.8 GB
SHOWN_WORDS, SHOWN_NEIGHBOURS = 3, 3


class SampledLoss:
    """Skip-gram loss on pairs drawn once, so that epochs and engines compare.

    loss = mean over pairs (c, o) of  -log s(v_c . u_o) - sum over n of log s(-v_c . u_n)

    s is the logistic function, n are noise words drawn by counts ** 0.75 (Mikolov et al. 2013b, eq. 4).
    """

    def __init__(self, corpus: Corpus, *, window: int, negatives: int, seed: int, pairs: int = 4_000) -> None:
        generator = np.random.default_rng(seed)
        self._centres, self._contexts = _draw_pairs(corpus, window, pairs, generator)
        weights = noise_weights(corpus.counts)
        self._negatives = generator.choice(len(weights), (len(self._centres), negatives), p=weights / weights.sum())

    def __call__(self, vectors: FloatArray, contexts: FloatArray) -> float | None:
        """Return the loss of input vectors (V, D) and output vectors (V, D); None for a corpus without pairs."""
        if not len(self._centres):
            return None
        centre = vectors[self._centres]
        positive = np.einsum("pd,pd->p", centre, contexts[self._contexts])
        negative = np.einsum("pd,pnd->pn", centre, contexts[self._negatives])
        return float(np.mean(np.logaddexp(0, -positive) + np.logaddexp(0, negative).sum(axis=1)))


@dataclasses.dataclass(frozen=True)
class NeighbourhoodChange:
    """Difference of nearest neighbours between two tables of vectors."""

    words: int  # compared
    count: int  # of neighbours of each
    kept: float  # share of neighbours that stayed, from 0 to 1; the mean over words
    most_changed: dict[str, tuple[list[str], list[str]]]  # words that kept fewest, with neighbours before and after

    def sentence(self) -> str:
        """Return the difference as a sentence."""
        lists = {word: [", ".join(near) for near in both] for word, both in self.most_changed.items()}
        told = "; ".join(f"{word}: {before} became {after}" for word, (before, after) in lists.items())
        stayed = f"Of {self.words} frequent old words' {self.count} nearest neighbours {self.kept:.0%} stayed"
        return f"{stayed}. Most changed: {told}." if told else f"{stayed}."


def neighbourhood_change(
    words: Sequence[str], before: FloatArray, after: FloatArray, rows: Rows, *, count: int = 10
) -> NeighbourhoodChange:
    """Compare nearest neighbours, by cosine, of the words `rows` before and after a training.

    Neighbours are words of both tables (V, D). A row of NaN in `before` is a new word.
    """
    known = np.flatnonzero(~np.isnan(before[:, 0]))
    known = known[known > 0]
    count = min(count, len(known) - 1)
    old, new = (_nearest_rows(table, rows, known, count=count) for table in (before, after))
    kept = np.array([len(set(a) & set(b)) / max(1, count) for a, b in zip(old.tolist(), new.tolist(), strict=True)])
    changed = [i for i in np.argsort(kept, kind="stable")[:SHOWN_WORDS].tolist() if kept[i] < 1]

    def shown(neighbours: Rows) -> list[str]:
        return [words[j] for j in neighbours[:SHOWN_NEIGHBOURS]]

    most_changed = {words[rows[i]]: (shown(old[i]), shown(new[i])) for i in changed}
    return NeighbourhoodChange(len(rows), count, round(float(kept.mean()), 4), most_changed)


def _nearest_rows(vectors: FloatArray, rows: Rows, among: Rows, *, count: int) -> Rows:
    """Return the `count` nearest other words of `among` for each of `rows` (rows, count), nearest first."""
    unit = vectors[among] / np.maximum(np.linalg.norm(vectors[among], axis=1, keepdims=True), 1e-12)
    place = {int(word): i for i, word in enumerate(among)}
    found = []
    for begin in range(0, len(rows), BLOCK_ROWS):
        own = np.array([place[int(row)] for row in rows[begin : begin + BLOCK_ROWS]], np.int64)
        cosines = unit[own] @ unit.T
        cosines[np.arange(len(own)), own] = -np.inf
        best = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(cosines, best, axis=1), axis=1, kind="stable")
        found.append(among[np.take_along_axis(best, order, axis=1)])
    return np.concatenate(found)


def frequent_words(words: Sequence[str], counts: NDArray[np.int64], *, count: int) -> list[int]:
    """Return ids of the most frequent content words: no function words, no short words."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    order = np.argsort(-counts, kind="stable")
    telling = (int(i) for i in order if i and len(words[i]) > 3 and words[i] not in ENGLISH_STOP_WORDS and counts[i])
    return [index for index, _ in zip(telling, range(count), strict=False)]


def _draw_pairs(corpus: Corpus, window: int, pairs: int, generator: np.random.Generator) -> tuple[Ids, Ids]:
    """Draw pairs of words of one text, at most `window` apart."""
    places = generator.integers(0, len(corpus.ids), pairs * 2)
    shifts = generator.integers(1, window + 1, pairs * 2) * generator.choice([-1, 1], pairs * 2)
    text = np.searchsorted(corpus.offsets, places, side="right") - 1
    other = places + shifts
    inside = (other >= corpus.offsets[text]) & (other < corpus.offsets[text + 1])
    places, other = places[inside][:pairs], other[inside][:pairs]
    return np.asarray(corpus.ids[places]), np.asarray(corpus.ids[other])
