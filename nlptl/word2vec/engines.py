"""The seam between the skip-gram stage and whatever trains it: one signature, one function an engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nlptl.word2vec.corpus import Corpus

FloatArray = NDArray[np.float32]
AfterEpoch = Callable[[int, FloatArray, FloatArray], None]
"""Called with the epochs done, input vectors (V, D) and output vectors (V, D), both by corpus id."""


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


class Engine(Protocol):
    """Trains skip-gram with negative sampling."""

    def __call__(
        self, corpus: Corpus, task: SkipGramTask, *, start: FloatArray | None, after_epoch: AfterEpoch
    ) -> FloatArray:
        """Return input vectors (V, D) by corpus id; row 0, the unknown word, is zero.

        `start` (V, D) gives initial vectors for rows that are not NaN.
        """


def initial_vectors(words: int, task: SkipGramTask) -> FloatArray:
    """Return word2vec's initial vectors (V, D): uniform in ±0.5 / D, row 0 zero; also the "random vectors" baseline."""
    generator = np.random.default_rng(task.seed)
    vectors = ((generator.random((words, task.dim)) - 0.5) / task.dim).astype(np.float32)
    vectors[0] = 0.0
    return vectors
