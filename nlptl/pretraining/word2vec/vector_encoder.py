"""Encoder of word vectors, learnt or read from a file.

Shapes: V words, D dimension, P phrases.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from nlptl.context import Record
from nlptl.inference.spelling import Spelling
from nlptl.models.encoder import Encoder
from nlptl.models.pooling import Pooling
from nlptl.models.subwords import Subwords
from nlptl.models.word_vector_files.packaged import PACKAGES
from nlptl.models.word_vector_files.reading import VectorFile, read_counts
from nlptl.models.word_vectors import WordVectors
from nlptl.pretraining.word2vec.engines import Buckets, FloatArray
from nlptl.pretraining.word2vec.given_vectors import given_vectors
from nlptl.pretraining.word2vec.tokenizer import UNKNOWN, TextSettings, set_vocabulary, untrained_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ZIPF_COUNT = 10_000_000  # count of the most frequent word in a file without counts


@dataclasses.dataclass(frozen=True)
class VocabularyVectors:
    """Vectors of a vocabulary, with counts, n-grams and phrases."""

    tokenizer: Tokenizer
    vectors: FloatArray  # (V, D)
    counts: NDArray[np.int64]  # (V,)
    buckets: Buckets | None = None
    spelling: Spelling | None = None
    phrases: NDArray[np.int32] | None = None  # (P, 3) ids of two words and their phrase

    def encoder(self) -> Encoder:
        """Return an encoder with mean pooling."""
        subwords = None
        if self.buckets is not None and self.spelling is not None:
            ids, vectors = torch.from_numpy(self.buckets.ids), torch.from_numpy(self.buckets.vectors)
            subwords = Subwords(self.spelling, ids, vectors)
        table = WordVectors(
            torch.from_numpy(np.ascontiguousarray(self.vectors)), torch.from_numpy(np.array(self.counts)),
            subwords=subwords, phrases=None if self.phrases is None else torch.from_numpy(self.phrases),
        )  # fmt: skip
        return Encoder(self.tokenizer, table, Pooling("mean")).eval()


def vectors_from_file(path: str, settings: TextSettings, record: Record) -> VocabularyVectors:
    """Return the vectors of a file or a package. If nothing states counts, Zipf's law gives them: files are sorted by frequency."""
    file = given_vectors(path, settings, record)
    known = [index for index, word in enumerate(file.words) if word != UNKNOWN]
    words = [UNKNOWN, *(file.words[index] for index in known)]
    tokenizer = untrained_tokenizer(settings)
    set_vocabulary(tokenizer, words)
    table = np.vstack([np.zeros((1, file.vectors.shape[1]), np.float32), file.vectors[known]])
    counted = None if path in PACKAGES else read_counts(Path(path))
    if counted is not None:
        counts = np.array([counted.get(word, 0) for word in words], np.int64)
    elif file.counts is not None:
        counts = np.concatenate([np.zeros(1, np.int64), file.counts[known]])
    else:
        zipf = np.maximum(1, ZIPF_COUNT // np.arange(1, len(table)))
        counts = np.concatenate([[0], zipf]).astype(np.int64)
    return VocabularyVectors(tokenizer, table, counts, _buckets_in_use(file), file.spelling)


def _buckets_in_use(file: VectorFile) -> Buckets | None:
    """Return the buckets of n-grams that are not zero: zeros never occurred in training."""
    if file.buckets is None:
        return None
    used = np.flatnonzero(file.buckets.any(axis=1)).astype(np.int32)
    return Buckets(used, file.buckets if len(used) == len(file.buckets) else file.buckets[used])
