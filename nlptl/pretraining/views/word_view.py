"""View of a text by its words: the mean of word vectors that are learnt on the pile.

Shapes: P texts of the pile, V words, D dimension of the word vectors, R width of the view.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from nlptl.context import RunContext
from nlptl.errors import DataError
from nlptl.models.pooling import sif_weights
from nlptl.models.view_terms import WordTerms, word_weights
from nlptl.models.views import View
from nlptl.pretraining.views.space import SPACE_TEXTS, Space
from nlptl.pretraining.views.view_settings import AUTO_WORDS, Batches, WordVectorView
from nlptl.pretraining.word2vec.corpus import Corpus, corpus_of
from nlptl.pretraining.word2vec.engine_choice import choose_engine
from nlptl.pretraining.word2vec.engines import Callbacks, FloatArray, SkipGramTask
from nlptl.pretraining.word2vec.tokenizer import untrained_tokenizer

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclasses.dataclass(frozen=True)
class LearntWords:
    """Words of a pile, their vectors, and the view over them."""

    view: View
    words: list[str]  # V words by id; the first stands for unknown ones
    vectors: FloatArray  # (V, D) as they were learnt; row 0 is zero
    counts: NDArray[np.int64]  # (V,) in the pile; counts[0] is that of all unknown words


def learn_word_view(
    batches: Batches,
    settings: WordVectorView,
    context: RunContext,
    *,
    length: float = 1.0,
    where: str = "sentence_vectors.views",
) -> LearntWords:
    """Learn word vectors on a pile, and its view of texts by them, whose vectors have the mean `length` over the pile.

    vector(text) = mean over its distinct known words w of a / (a + p(w)) v(w), in the leading directions of the pile, where
    p(w) is the word's share of the pile. Raises DataError, which names `where`, for a pile without two frequent words.
    """
    tokenizer = untrained_tokenizer(settings.text)
    with corpus_of(tokenizer, batches, min_count=settings.min_count) as corpus:
        corpus.check_words(min_count=settings.min_count, what="a view of word vectors", where=where)
        vectors = _trained(corpus, settings, context, where)
        weights = _weights_of(corpus, np.random.default_rng(context.seed))
    table = vectors * sif_weights(torch.from_numpy(corpus.counts), settings.a).numpy()[:, None]
    try:
        space = Space.of(torch.from_numpy(np.asarray(weights @ table)), directions=settings.dim, length=length)
    except ValueError:
        raise DataError(
            f"{where}: found no two texts of the pile that differ in their words; a view of word vectors needs some. Add text."
        ) from None
    axes = space.axes.float()
    turned, centre = torch.from_numpy(table) @ axes, space.centre.float() @ axes
    return LearntWords(View(WordTerms(tokenizer), turned, centre), list(corpus.words), vectors, corpus.counts)


def _trained(corpus: Corpus, settings: WordVectorView, context: RunContext, where: str) -> FloatArray:
    """Return the word vectors (V, D) of skip-gram, or of counted pairs."""
    words = len(corpus.ids)
    auto = 1 if settings.engine == "ppmi" else max(5, min(100, -(-AUTO_WORDS // max(1, words))))
    epochs = auto if settings.epochs == "auto" else settings.epochs
    task = SkipGramTask(
        dim=settings.dim, window=settings.window, negatives=5, subsample=1e-3, epochs=epochs, learning_rate=0.025,
        seed=context.seed, where=where,
    )  # fmt: skip
    _, engine = choose_engine(settings.engine, device=context.device)
    with context.progress.task("word vectors of the pile", total=epochs * words, unit="words") as watched:
        vectors = engine(corpus, task, start=None, callbacks=Callbacks(watched.advance)).vectors
    vectors[0] = 0.0
    return vectors


def _weights_of(corpus: Corpus, generator: np.random.Generator) -> csr_matrix:
    """Return the weights (P, V) of words in the texts of the pile, or in as many as its space is taken from."""
    lengths = np.diff(corpus.offsets)
    rows = np.flatnonzero(lengths)
    if len(rows) > SPACE_TEXTS:
        rows = np.sort(generator.choice(rows, SPACE_TEXTS, replace=False))
    ids = np.concatenate([corpus.ids[corpus.offsets[row] : corpus.offsets[row + 1]] for row in rows])
    return word_weights(ids.astype(np.int64), lengths[rows], words=len(corpus.counts))
