"""Nearest neighbours of a word in an encoder's table of word vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from nlptl.config import did_you_mean
from nlptl.errors import ConfigError
from nlptl.faults import shown
from nlptl.inference.segmenting import cut_texts, segmenter_of, without_segmenter
from nlptl.models.encoder import Encoder
from nlptl.models.word_vector_files.vector_text import FloatArray
from nlptl.models.word_vectors import WordVectors

COMPARED_WORDS = 50_000  # frequent words that a misspelt one is compared with: a tenth of a second


def nearest_words(folder: Path, word: str, *, count: int) -> list[tuple[str, float]]:
    """Return the `count` nearest words and their cosines, nearest first. Raises ConfigError for a word without a vector."""
    encoder, table = Encoder.read_word_vectors(folder)
    return _nearest_words(encoder, table, word, count=count, where=str(folder))


def neighbours(encoder: Encoder, word: str, *, count: int = 10) -> list[tuple[str, float]]:
    """Return the `count` words of an encoder nearest to a word, and their cosines, as `nearest_words` does for a folder.

    A segmenter brings the word into the form of the vocabulary first. Raises ConfigError for a word without a vector, for a
    `count` below 1, and for a transformer or n-grams, which have no vector for a word alone.
    """
    table = encoder.token_model
    if not (isinstance(table, WordVectors) and encoder.own_dim):
        raise ConfigError(
            "neighbours: found an encoder without a vector for a word alone; expected word vectors. Give the encoder that "
            "SkipGram returns."
        )
    return _nearest_words(encoder, table, word, count=count, where="the encoder")


def nearest(words: Sequence[str], vectors: FloatArray, index: int, *, count: int) -> list[tuple[str, float]]:
    """Return the `count` words whose vectors (V, D) have the highest cosine with row `index`. Row 0 is left out."""
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = vectors @ vectors[index] / np.maximum(lengths * lengths[index], 1e-12)
    cosines[[0, index]] = -np.inf
    best = np.argsort(-cosines, kind="stable")[: min(count, len(words) - 2)]
    return [(words[i], round(float(cosines[i]), 4)) for i in best]


def _nearest_words(
    encoder: Encoder, table: WordVectors, word: str, *, count: int, where: str
) -> list[tuple[str, float]]:
    _check(word, count)
    words, segmenter = encoder.words(), segmenter_of(encoder.tokenizer)
    read = word  # as the vocabulary has it
    if segmenter is not None and without_segmenter(encoder.tokenizer).token_to_id(word) is None:
        (cut,) = cut_texts([word], segmenter)
        read = cut if len(cut.split()) == 1 else word
    (ids,) = table.read(without_segmenter(encoder.tokenizer), [read])
    if len(ids) != 1:
        (ids,) = encoder.token_ids([word])
    if len(ids) != 1:
        (cut,) = cut_texts([word], segmenter)
        found = "no vector for this word" if len(cut.split()) < 2 else f"{len(cut.split())} words"
        raise ConfigError(
            f"{word if word.strip() and word.isprintable() else repr(word)}: found {found}; expected one of the "
            f"{len(words) - 1} words of {where}.{_near(word, words)}"
        )
    vectors = table.vectors.detach()
    if ids[0] < len(vectors):
        return nearest(words, vectors.numpy(), ids[0], count=count)
    asked = table.rows(torch.tensor(ids)).detach()  # an unseen word, as one more row
    return nearest([*words, read], torch.cat([vectors, asked]).numpy(), len(words), count=count)


def _check(word: object, count: object) -> None:
    if not isinstance(word, str):
        raise ConfigError(f"neighbours: found the word {shown(word)}; expected a text. Give one word as a str.")
    if any("\ud800" <= character <= "\udfff" for character in word):
        raise ConfigError(
            f"neighbours: found the word {shown(word)}, which holds half of a surrogate pair; expected whole characters. Read "
            "the word from its file again, as UTF-8."
        )
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise ConfigError(
            f"neighbours: found {shown(count)} for `count`; expected a whole number of at least 1. Give how many words you want."
        )


def _near(word: str, words: Sequence[str]) -> str:
    """Return a question that names a word of other case or similar spelling, if there is one."""
    folded = word.casefold()
    same = next((known for known in words[1:] if known.casefold() == folded), None)
    return did_you_mean(folded, words[1:COMPARED_WORDS] if same is None else [same])
