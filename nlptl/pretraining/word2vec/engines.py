"""The seam between the skip-gram stage and whatever trains it: one signature, one function an engine.

Shapes: V words, D dimension, S buckets of subwords in use.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nlptl.pretraining.word2vec.corpus import Corpus

if TYPE_CHECKING:
    from nlptl.models.spelling import Spelling
    from nlptl.training.checkpoints import Checkpoints

FloatArray = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class SkipGramTask:
    """What an engine is asked to train."""

    dim: int
    """Width D of the vectors."""
    window: int
    """Words to either side that count as context; drawn anew from 1..window for every centre."""
    negatives: int
    """Noise words a pair."""
    subsample: float
    """Threshold above which a frequent word's occurrences are dropped at random; 0 keeps all."""
    epochs: int
    """Passes over the corpus."""
    learning_rate: float
    """Rate at the start; falls linearly to nearly 0."""
    seed: int
    """Seed of initial vectors and of sampling."""
    deterministic: bool = False
    """Give the same bits every time on the same machine: one thread, fixed order."""
    threads: int | None = None
    """Threads of an engine on the CPU; None takes all cores."""
    spelling: Spelling | None = None
    """Character n-grams of each word that have vectors too (Bojanowski et al. 2017); None: words alone."""


def _no_words(words: int) -> None:
    del words


def _no_epoch(epoch: int, vectors: FloatArray, contexts: FloatArray) -> None:
    del epoch, vectors, contexts


@dataclasses.dataclass(frozen=True)
class Watch:
    """Who hears how a training goes, and where it keeps what a kill must not lose."""

    advance: Callable[[int], None] = _no_words
    """Told how many more words of the corpus (before subsampling) have been passed."""
    after_epoch: Callable[[int, FloatArray, FloatArray], None] = _no_epoch
    """Told the epochs done, input vectors (V, D) and output vectors (V, D), both by corpus id."""
    checkpoints: Checkpoints | None = None
    """Where checkpoints go; an engine that finds one of its own goes on after it."""
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What `after_epoch` wants to remember (JSON); it is kept in checkpoints and comes back with them."""

    @property
    def listens(self) -> bool:
        """Whether `after_epoch` wants the vectors, which cost a copy."""
        return self.after_epoch is not _no_epoch


@dataclasses.dataclass(frozen=True)
class Buckets:
    """Vectors of those n-grams that the vocabulary has; all others are zero."""

    ids: NDArray[np.int32]
    """(S,) numbers of their buckets, ascending."""
    vectors: FloatArray
    """(S, D)."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """What an engine has made."""

    vectors: FloatArray
    """(V, D) input vectors by corpus id; row 0, the unknown word, is zero. With subwords: the mean of a word's own
    vector and those of its n-grams."""
    kept_words: int
    """Words that were left after subsampling, over all epochs, those before a kill among them; 0 where nobody counts."""
    buckets: Buckets | None = None
    """Vectors of n-grams; None without subwords."""
    compile_seconds: float = 0.0
    """Seconds in which kernels were made ready before anything was trained."""
    train_seconds: float = 0.0
    """Seconds of the passes over the corpus, without tables, checkpoints and what `watch` did; 0 where nobody measures."""


class Engine(Protocol):
    """Trains skip-gram with negative sampling (Mikolov et al. 2013b)."""

    def __call__(self, corpus: Corpus, task: SkipGramTask, *, start: FloatArray | None, watch: Watch) -> Trained:
        """Train; `start` (V, D) gives initial vectors for rows that are not NaN. The corpus and `start` stay as they are."""


def initial_vectors(words: int, task: SkipGramTask, start: FloatArray | None = None) -> FloatArray:
    """Return first input vectors (V, D): uniform in ±0.5 / D, as word2vec's, row 0 zero; rows of `start` where not NaN."""
    generator = np.random.default_rng(task.seed)
    vectors = ((generator.random((words, task.dim)) - 0.5) / task.dim).astype(np.float32)
    vectors[0] = 0.0
    return vectors if start is None else np.where(np.isnan(start), vectors, start).astype(np.float32)
