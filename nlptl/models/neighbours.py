"""Nearest neighbours of a word in a saved encoder's table of word vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from nlptl.config import did_you_mean
from nlptl.errors import ConfigError
from nlptl.models.encoder import Encoder
from nlptl.models.word_vector_files.vector_text import FloatArray

COMPARED_WORDS = 50_000  # frequent words that a misspelt one is compared with: a tenth of a second


def nearest_words(folder: Path, word: str, *, count: int) -> list[tuple[str, float]]:
    """Return the `count` nearest words and their cosines, nearest first. Raises ConfigError for a word without a vector."""
    encoder, table = Encoder.read_word_vectors(folder)
    words = encoder.words()
    (ids,) = encoder.token_ids([word])
    if len(ids) != 1:
        found = "no vector for this word" if len(word.split()) < 2 else f"{len(word.split())} words"
        raise ConfigError(
            f"{word if word.strip() and word.isprintable() else repr(word)}: found {found}; expected one of the "
            f"{len(words) - 1} words of {folder}.{_near(word, words)}"
        )
    vectors = table.vectors.detach()
    if ids[0] < len(vectors):
        return nearest(words, vectors.numpy(), ids[0], count=count)
    asked = table.rows(torch.tensor(ids)).detach()  # an unseen word, as one more row
    return nearest([*words, word], torch.cat([vectors, asked]).numpy(), len(words), count=count)


def nearest(words: Sequence[str], vectors: FloatArray, index: int, *, count: int) -> list[tuple[str, float]]:
    """Return the `count` words whose vectors (V, D) have the highest cosine with row `index`. Row 0 is left out."""
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = vectors @ vectors[index] / np.maximum(lengths * lengths[index], 1e-12)
    cosines[[0, index]] = -np.inf
    best = np.argsort(-cosines, kind="stable")[: min(count, len(words) - 2)]
    return [(words[i], round(float(cosines[i]), 4)) for i in best]


def _near(word: str, words: Sequence[str]) -> str:
    """Return a question that names a word of other case or similar spelling, if there is one."""
    folded = word.casefold()
    same = next((known for known in words[1:] if known.casefold() == folded), None)
    return did_you_mean(folded, words[1:COMPARED_WORDS] if same is None else [same])
