"""Interface between the skip-gram stage and the engines, which are functions of one signature.

Shapes: V words, D dimension, S buckets of n-grams in use.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from nlptl.inference.spelling import Spelling
    from nlptl.pretraining.word2vec.corpus import Corpus
    from nlptl.training.checkpoints import Checkpoints

FloatArray = NDArray[np.float32]
Tensors = Callable[[], "dict[str, Tensor]"]  # called when a checkpoint is read or due: it loads torch
MIN_LEARNING_RATE = 1e-4  # rate at the end, as in word2vec.c and gensim
MIN_THREADED_WORDS = 1_000_000  # smaller corpora train on one thread: threads gain little, and one repeats exactly


@dataclasses.dataclass(frozen=True)
class SkipGramTask:
    """Hyperparameters of one training."""

    dim: int
    window: int  # maximum distance of context words; drawn from 1..window for each centre word
    negatives: int  # noise words of a pair
    subsample: float  # share above which a frequent word is dropped at random; 0 keeps all
    epochs: int
    learning_rate: float  # at the start; it falls linearly to MIN_LEARNING_RATE
    seed: int
    deterministic: bool = False  # same bits on every run on the same machine: one thread, fixed order
    threads: int | None = None  # of a CPU engine; None takes all cores
    spelling: Spelling | None = None  # n-grams that have vectors too (Bojanowski et al. 2017)
    smoothing: float = 1e-4  # count that the PPMI engine adds to every pair
    where: str = "skipgram"  # the settings, in errors


@dataclasses.dataclass(frozen=True)
class Callbacks:
    """Callbacks of an engine, and its checkpoints."""

    advance: Callable[[int], None] = lambda words: None
    """Called with a number of corpus words (before subsampling) that have been passed."""
    after_epoch: Callable[[int, FloatArray, FloatArray], None] | None = None
    """Called with the epochs done, input vectors (V, D) and output vectors (V, D) by corpus id, which cost a copy."""
    checkpoints: Checkpoints | None = None  # to write; the engine resumes from the newest one of its own
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)  # state of `after_epoch` (JSON), in checkpoints

    def resume(self, engine: str, tensors: Tensors) -> dict[str, Any]:
        """Load the newest checkpoint of `engine` into `tensors`. Return its counters, none without a checkpoint."""
        found = None if self.checkpoints is None else self.checkpoints.newest()
        if found is None or found[1].get("engine") != engine:
            return {}
        for name, tensor in tensors().items():
            tensor.copy_(found[0][name])
        self.notes.update(found[1]["notes"])
        return found[1]

    def keep(self, step: int, tensors: Tensors, counters: Callable[[], dict[str, Any]], *, last: bool = False) -> None:
        """Write a checkpoint after `step` steps of the engine if one is due, or after the last.

        Only then are `tensors` called, which may first let running work end, and after them `counters`.
        """
        if self.checkpoints is not None:
            self.checkpoints.keep(step, lambda: (tensors(), {**counters(), "notes": self.notes}), last=last)


@dataclasses.dataclass(frozen=True)
class Buckets:
    """Vectors of the n-grams in the vocabulary; all others are zero."""

    ids: NDArray[np.int32]  # (S,) bucket numbers, ascending
    vectors: FloatArray  # (S, D)


@dataclasses.dataclass(frozen=True)
class TrainedVectors:
    """Result of an engine."""

    vectors: FloatArray
    """(V, D) input vectors by corpus id; row 0, the unknown word, is zero. With n-grams: the mean of a word's own vector
    and theirs."""
    kept_words: int
    """Words kept by subsampling, over all epochs, including those before a resume. 0 if the engine does not count."""
    buckets: Buckets | None = None
    compile_seconds: float = 0.0
    train_seconds: float = 0.0  # of the passes over the corpus alone; 0 if the engine does not measure


class Engine(Protocol):
    """Function that learns word vectors: skip-gram with negative sampling (Mikolov et al. 2013b), or PPMI."""

    def __call__(
        self, corpus: Corpus, task: SkipGramTask, *, start: FloatArray | None, callbacks: Callbacks
    ) -> TrainedVectors:
        """Train. Rows of `start` (V, D) that are not NaN are first vectors. Inputs stay unchanged."""


def initial_vectors(words: int, task: SkipGramTask, start: FloatArray | None = None) -> FloatArray:
    """Return first input vectors (V, D): uniform in ±0.5 / D as in word2vec, row 0 zero, or rows of `start`."""
    generator = np.random.default_rng(task.seed)
    vectors = ((generator.random((words, task.dim)) - 0.5) / task.dim).astype(np.float32)
    vectors[0] = 0.0
    return vectors if start is None else np.where(np.isnan(start), vectors, start).astype(np.float32)
