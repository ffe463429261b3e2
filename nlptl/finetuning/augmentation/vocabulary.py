"""Where words come from that replace others: the unigram words of a pile, or given neighbours of words.

Shapes: V words of a vocabulary, W words of a text.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError
from nlptl.finetuning.augmentation.words import Words, core, is_letters, is_protected


class WordSource(Protocol):
    """Says which words of a text may be replaced, and by what."""

    def odds(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Return weights (W,) at least 0 with which words of a text, in lower case, are chosen to be replaced."""

    def draw(self, word: str, generator: np.random.Generator) -> str:
        """Return a word for the place of, or beside, `word`, whose odds are above 0."""


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The words of a pile; uninformative words are replaced more often, and by uninformative ones (Xie et al. 2020).

    A word of a text is chosen with weight C - tfidf (app. A.2), C the text's largest tf-idf, and a word w of the pile
    takes its place with weight max S - S(w), S = count times idf. Words that the pile lacks count as the most informative.
    """

    words: tuple[str, ...]
    """V words in lower case, the most frequent first."""
    idf: Mapping[str, float]
    """Of each word: log of texts over texts with it."""
    chances: NDArray[np.float64]
    """(V,) with which each word is drawn, summed up to 1."""
    texts: int
    """Texts of the pile."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> Vocabulary:
        """Count the words of a pile, numbers, mentions and links left out; DataError for less than two words."""
        counts: Counter[str] = Counter()
        texts_with: Counter[str] = Counter()
        total = 0
        for text in texts:
            words = [word for word in map(plain, Words.of(text).words) if word]
            counts.update(words)
            texts_with.update(set(words))
            total += 1
        if len(counts) < 2:
            raise DataError(
                f"augmentation: found {len(counts)} words in the {total} texts that words are to be drawn from; expected at "
                "least 2. Give other texts, or choose edits without replace and insert."
            )
        words = sorted(counts, key=lambda word: (-counts[word], word))
        idf = {word: math.log(total / texts_with[word]) for word in words}
        score = np.array([counts[word] * idf[word] for word in words])
        return cls(tuple(words), idf, _cumulative(score.max() - score), total)

    def odds(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Return the weight (W,) of each word: the largest tf-idf of the text less its own, alike where all are equal."""
        unknown = math.log(max(2, self.texts))
        counts = Counter(words)
        tfidf = np.array([counts[word] / len(words) * self.idf.get(word, unknown) for word in words])
        weights: NDArray[np.float64] = tfidf.max(initial=0.0) - tfidf
        return weights if weights.any() else np.ones(len(words))

    def draw(self, word: str, generator: np.random.Generator) -> str:
        """Return any word of the pile; `word` plays no part."""
        del word
        return self.words[int(np.searchsorted(self.chances, generator.random(), side="right"))]


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """Words that may stand for a word, such as synonyms or the nearest word vectors; others are left alone."""

    by_word: Mapping[str, Sequence[str]]
    """Words in lower case and at least one neighbour of each."""

    def odds(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Return 1 for words that have neighbours and 0 for others (W,)."""
        return np.array([float(bool(self.by_word.get(word))) for word in words])

    def draw(self, word: str, generator: np.random.Generator) -> str:
        """Return one of the neighbours of `word`."""
        found = self.by_word[word]
        return found[int(generator.integers(len(found)))]


def plain(word: str) -> str:
    """Return a word in lower case without the punctuation around it; empty where it is not made of letters."""
    begin, end = core(word)
    letters = word[begin:end]
    fits = not is_protected(word) and is_letters(letters.replace("'", "").replace("’", "").replace("-", ""))
    return letters.lower() if fits else ""


def _cumulative(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = weights if weights.any() else np.ones(len(weights))
    summed: NDArray[np.float64] = np.cumsum(weights) / weights.sum()
    summed[np.flatnonzero(weights)[-1] :] = 1.0  # rounding must not leave a gap below 1
    return summed
