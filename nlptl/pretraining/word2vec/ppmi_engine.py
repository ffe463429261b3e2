"""PPMI engine: counted pairs of words, factorised; for piles of up to about a million words.

With n(w, c) the weighted count of a pair, λ the smoothing and V the number of words (Jungmaier et al. 2020):

    n'(w, c) = n(w, c) + λ for pairs that occur,   n'(w) = sum over c of n(w, c) + λ V,   N' = sum over w of n'(w)
    PPMI(w, c) = max(0, log(n'(w, c) N' / (n'(w) n'(c))))  ≈  U Σ Uᵀ,   vectors = U |Σ|^0.5

Shapes: V words, N words of the corpus, D dimension.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError
from nlptl.pretraining.word2vec.corpus import Corpus
from nlptl.pretraining.word2vec.engines import Callbacks, FloatArray, SkipGramTask, TrainedVectors
from nlptl.pretraining.word2vec.sampling import keep_probability

MAX_WORDS = 200_000  # of the vocabulary: at dim 100 the factorisation holds 0.3 GB for them
MAX_PAIRS = 40_000_000  # distinct pairs, which take about 1.5 GB
BLOCK_PAIRS = 2_000_000  # pairs that are counted at once: about 100 MB
DENSE_WORDS = 1_000  # vocabularies up to this size are factorised whole
EXPONENT = 0.5  # of the singular values (Levy et al. 2015)


def train(corpus: Corpus, task: SkipGramTask, *, start: FloatArray | None, callbacks: Callbacks) -> TrainedVectors:
    """Count and factorise; see Engine. One pass, the same bits on every run, whatever the seed; `start` must be None.

    A pair at distance d counts (window - d + 1) / window times the share of its words that subsampling keeps: what
    skip-gram draws at random, in expectation. Raises DataError for more words or pairs than memory is planned for.
    """
    begin = time.monotonic()
    if len(corpus.counts) - 1 > MAX_WORDS:
        raise _too_many(
            task, f"a vocabulary of {len(corpus.counts) - 1:,} words", f"{MAX_WORDS:,}", "or raise min_count"
        )
    weights = positive_information(pair_counts(corpus, task, callbacks), task.smoothing)
    vectors = factors(weights, task.dim)
    return TrainedVectors(vectors, kept_words=0, train_seconds=time.monotonic() - begin)


def pair_counts(corpus: Corpus, task: SkipGramTask, callbacks: Callbacks) -> Any:
    """Return weighted counts of pairs within a text, as a symmetric sparse matrix (V, V)."""
    from scipy.sparse import coo_array, csr_array

    keep = keep_probability(corpus.counts, task.subsample)
    shape = (len(corpus.counts), len(corpus.counts))
    counts = csr_array(shape)
    step = max(1, BLOCK_PAIRS // task.window)
    for begin in range(0, len(corpus.ids), step):
        rows, columns, shares = _pairs(corpus, begin, min(begin + step, len(corpus.ids)), task.window)
        counts = counts + coo_array((shares * keep[rows] * keep[columns], (rows, columns)), shape).tocsr()
        if counts.nnz > MAX_PAIRS:
            raise _too_many(
                task, f"more than {MAX_PAIRS:,} pairs of words", "that many", "lower window, or raise min_count"
            )
        callbacks.advance(min(step, len(corpus.ids) - begin))
    if not counts.nnz:
        raise DataError(
            f"{task.where}.engine: found no two words together in a text; engine ppmi expects pairs of words. "
            "Give longer texts, or choose engine: cpu."
        )
    return (counts + counts.T).tocsr()


def positive_information(counts: Any, smoothing: float) -> Any:
    """Return the smoothed PPMI of the pairs in `counts` (V, V). Pairs that never occur stay 0, so that it is sparse."""
    sums = counts.sum(axis=1) + smoothing * (counts.shape[0] - 1)
    pairs = counts.tocoo()
    rows, columns = pairs.coords
    ratio = (pairs.data + smoothing) * sums[1:].sum() / (sums[rows] * sums[columns])
    pairs.data = np.maximum(0.0, np.log(ratio))
    found = pairs.tocsr()
    found.eliminate_zeros()
    return found


def factors(matrix: Any, dim: int) -> FloatArray:
    """Return U |Σ|^0.5 (V, D) of a symmetric matrix (V, V), largest singular values first; zero behind the last."""
    from scipy.sparse.linalg import eigsh

    size = matrix.shape[0]
    if size <= max(DENSE_WORDS, 2 * dim):
        values, columns = np.linalg.eigh(matrix.toarray())
    else:
        values, columns = eigsh(matrix, k=dim, v0=np.random.default_rng(0).random(size))
    order = np.argsort(-np.abs(values), kind="stable")[:dim]
    columns = columns[:, order] * np.abs(values[order]) ** EXPONENT
    largest = columns[np.abs(columns).argmax(axis=0), np.arange(len(order))]
    vectors = np.zeros((size, dim), np.float32)
    vectors[:, : len(order)] = columns * np.where(largest < 0, -1.0, 1.0)
    return vectors


def _pairs(
    corpus: Corpus, begin: int, end: int, window: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Return the pairs whose first word stands in begin..end: ids of both, and the share that their distance counts."""
    ids = np.asarray(corpus.ids[begin : end + window])
    texts = np.searchsorted(corpus.offsets, np.arange(begin, begin + len(ids)), side="right")
    rows, columns, shares = [], [], []
    for distance in range(1, min(window, len(ids) - 1) + 1):
        first = np.flatnonzero(texts[:-distance] == texts[distance:])
        first = first[first < end - begin]
        rows.append(ids[first])
        columns.append(ids[first + distance])
        shares.append(np.full(len(first), (window - distance + 1) / window))
    if not rows:
        return ids[:0], ids[:0], np.zeros(0)
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(shares)


def _too_many(task: SkipGramTask, found: str, expected: str, remedy: str) -> DataError:
    return DataError(
        f"{task.where}.engine: found {found}; engine ppmi holds them in memory and expects at most {expected}. "
        f"Choose engine: cpu, {remedy}."
    )
