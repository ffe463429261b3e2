"""Views of a text by its words or n-grams, without torch and scikit-learn.

Shapes: B texts, T terms, R width of a view, P terms of one text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from nlptl.artifact import read_arrays
from nlptl.errors import ArtifactError
from nlptl.inference.file_names import VIEW_TABLES, VIEW_TERMS
from nlptl.inference.segmenter import Segmenter, checked_segmenter
from nlptl.inference.segmenting import cut_texts, segmenting
from nlptl.inference.settings_files import NgramVocabulary, ViewSettings, read_settings
from nlptl.inference.static_words import UNKNOWN_ID
from nlptl.inference.tokenizer_files import highest_id, read_tokenizer
from nlptl.inference.tokenizing import TokenRule, tokenize

WORD = r"\w+|[^\w\s]"  # signs count as words: "!" and "?" tell much of a short text

NgramUnit = Literal["words", "characters"]
Floats = NDArray[np.float32]
WeightedTerms = tuple[NDArray[np.int64], Floats]  # (P,) distinct terms of a text, ascending, and the weight of each


class StaticTerms(Protocol):
    """What weighs the terms of a text."""

    def __len__(self) -> int:
        """Return the number T of terms."""

    def of_texts(self, texts: Sequence[str]) -> Iterator[WeightedTerms]:
        """Yield the known terms of each text."""


@dataclass(frozen=True)
class StaticWordTerms:
    """Words of a text, each counted once: weight(w) = 1 / number of distinct known words."""

    tokenizer: Tokenizer

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def of_texts(self, texts: Sequence[str]) -> Iterator[WeightedTerms]:
        """Yield the known words of each text."""
        for ids in tokenize(self.tokenizer, texts, TokenRule(drop=UNKNOWN_ID)):
            terms = np.array(sorted(set(ids)), np.int64)
            yield terms, np.full(len(terms), 1 / max(1, len(terms)), np.float32)


@dataclass(frozen=True)
class StaticNgrams:
    """N-grams of one unit: weight(g) = (1 + ln count) idf(g), scaled to length 1."""

    unit: NgramUnit
    lengths: tuple[int, int]  # least and most
    numbers: Mapping[str, int]
    idf: Floats

    def of_text(self, text: str) -> WeightedTerms:
        """Return the known n-grams of a text."""
        every = word_ngrams(text, self.lengths) if self.unit == "words" else character_ngrams(text, self.lengths)
        counts = Counter(number for ngram in every if (number := self.numbers.get(ngram)) is not None)
        terms = np.array(sorted(counts), np.int64)
        weights = np.log(np.array([counts[term] for term in terms.tolist()], np.float32)) + np.float32(1)
        weights *= self.idf[terms]
        length = np.sqrt(np.square(weights, dtype=np.float64).sum())
        return terms, (weights / (length or 1)).astype(np.float32)


@dataclass(frozen=True)
class StaticNgramTerms:
    """Word and character n-grams of a text, of all units side by side, scaled to length 1 in all."""

    parts: tuple[StaticNgrams, ...]
    segmenter: Segmenter | None = None

    def __len__(self) -> int:
        return sum(len(part.numbers) for part in self.parts)

    def of_texts(self, texts: Sequence[str]) -> Iterator[WeightedTerms]:
        """Yield the known n-grams of each text."""
        share, firsts = np.float32(len(self.parts) ** 0.5), np.cumsum([0, *(len(part.numbers) for part in self.parts)])
        for text in cut_texts(texts, self.segmenter):
            found = [part.of_text(text) for part in self.parts]
            terms = [numbers + first for (numbers, _), first in zip(found, firsts.tolist(), strict=False)]
            weights = (np.concatenate([part for _, part in found]) / share).astype(np.float32)
            yield np.concatenate(terms), weights


@dataclass(frozen=True)
class StaticView:
    """vector(text) = weights(text) @ table - centre. A text without known terms has the vector zero."""

    terms: StaticTerms
    table: Floats  # (T, R)
    centre: Floats  # (R,)

    @property
    def dim(self) -> int:
        """Width R of the vectors."""
        return int(self.table.shape[1])

    def vectors(self, texts: Sequence[str]) -> Floats:
        """Return vectors (B, R) of texts."""
        found = np.zeros((len(texts), self.dim), np.float32)
        for row, (terms, weights) in enumerate(self.terms.of_texts(texts)):
            if len(terms):
                found[row] = weights @ self.table[terms] - self.centre
        return found


def word_ngrams(text: str, lengths: tuple[int, int]) -> Iterator[str]:
    """Yield the n-grams of the words of a text, as scikit-learn's analyzer "word" counts them."""
    words = re.findall(WORD, text.lower())
    for size in range(lengths[0], lengths[1] + 1):
        if size == 1:
            yield from words
        else:
            yield from (" ".join(words[begin : begin + size]) for begin in range(len(words) - size + 1))


def character_ngrams(text: str, lengths: tuple[int, int]) -> Iterator[str]:
    """Yield the n-grams of characters inside words, as scikit-learn's analyzer "char_wb" counts them."""
    for word in text.lower().split():
        padded = f" {word} "
        for size in range(lengths[0], lengths[1] + 1):
            yield from (padded[begin : begin + size] for begin in range(max(1, len(padded) - size + 1)))
            if len(padded) <= size:  # a shorter word counts once
                break


def read_static_views(folder: Path, settings: Sequence[ViewSettings]) -> tuple[StaticView, ...]:
    """Read the views of a classifier's folder. Raises ArtifactError if one is missing or damaged."""
    return tuple(_read_view(folder, *given) for given in zip(settings, VIEW_TABLES, VIEW_TERMS, strict=False))


def _read_view(folder: Path, settings: ViewSettings, table: str, terms: str) -> StaticView:
    arrays = read_arrays(folder / table)
    try:
        found = StaticView(_read_terms(folder / terms, settings, arrays), arrays["table"], arrays["centre"])
        if found.table.ndim != 2 or len(found.table) != len(found.terms) or found.table.shape[1:] != found.centre.shape:
            raise ValueError("table")
        return found
    except (KeyError, ValueError, IndexError):
        raise ArtifactError(
            f"{folder / table}: does not fit the view that encoder.json describes; the folder is damaged. Run the stage again."
        ) from None


def counted_lengths(words: Sequence[int] | None, characters: Sequence[int] | None) -> dict[NgramUnit, list[int]]:
    """Return the least and most units of an n-gram, for each unit that is counted."""
    units: dict[NgramUnit, Sequence[int] | None] = {"words": words, "characters": characters}
    return {unit: [*lengths] for unit, lengths in units.items() if lengths}


def _read_terms(path: Path, settings: ViewSettings, arrays: Mapping[str, NDArray[Any]]) -> StaticTerms:
    segmenter = checked_segmenter(settings.segmenter, path.parent)
    if settings.terms == "words":
        words = StaticWordTerms(segmenting(read_tokenizer(path), segmenter))
        if highest_id(words.tokenizer) >= len(words):
            raise ValueError("ids")
        return words
    vocabulary = read_settings(path, NgramVocabulary)
    parts = []
    for unit, lengths in counted_lengths(settings.words, settings.characters).items():
        ngrams: list[str] = getattr(vocabulary, unit)
        numbers, idf = {ngram: number for number, ngram in enumerate(ngrams)}, arrays[f"idf_{unit}"]
        if not ngrams or len(numbers) < len(ngrams) or idf.shape != (len(ngrams),):
            raise ValueError(unit)
        parts.append(StaticNgrams(unit, (lengths[0], lengths[1]), numbers, idf))
    return StaticNgramTerms(tuple(parts), segmenter)
