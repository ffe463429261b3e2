"""Unigram vocabulary of a pile: which words of a text are replaced, and by which words.

Shapes: V words of the vocabulary, W words of a text.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError
from nlptl.models.words import SplitText, core, is_letters, is_protected

if TYPE_CHECKING:
    from nlptl.inference.segmenter import WordCutter


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Words of a pile, by which uninformative words are replaced more often (Xie et al. 2020, app. A.2).

    A word of a text is chosen with weight C - tfidf, C the text's largest tf-idf. A word w of the pile replaces it with
    weight max S - S(w), S = count times idf. Words that the pile lacks are the most informative.
    """

    words: tuple[str, ...]  # V words in lower case, the most frequent first
    idf: Mapping[str, float]  # inverse document frequency of each word: log of texts over texts with the word
    cumulative: NDArray[np.float64]  # (V,) summed probability of drawing this or an earlier word
    texts: int  # number of texts in the pile

    @classmethod
    def of(cls, texts: Iterable[str], cutter: WordCutter | None = None) -> Vocabulary:
        """Count the words of a pile, without numbers, mentions and links; a cutter tells those of Japanese.

        Raises DataError for fewer than two words.
        """
        counts: Counter[str] = Counter()
        texts_with: Counter[str] = Counter()
        total = 0
        for text in texts:
            words = [word for word in map(plain, SplitText.of(text, cutter).words) if word]
            counts.update(words)
            texts_with.update(set(words))
            total += 1
        if len(counts) < 2:
            raise DataError(
                f"augmentation: found {len(counts)} words in the {total} texts to draw words from; expected at least 2. Give "
                "other texts, or choose edits without replace and insert."
            )
        words = sorted(counts, key=lambda word: (-counts[word], word))
        idf = {word: math.log(total / texts_with[word]) for word in words}
        score = np.array([counts[word] * idf[word] for word in words])
        weights = score.max() - score if np.ptp(score) else np.ones(len(words))
        cumulative = np.cumsum(weights) / weights.sum()
        cumulative[np.flatnonzero(weights)[-1] :] = 1.0  # rounding must not leave a gap below 1
        return cls(tuple(words), idf, cumulative, total)

    def odds(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Return the weight (W,) with which each word is replaced."""
        unknown = math.log(max(2, self.texts))
        counts = Counter(words)
        tfidf = np.array([counts[word] / len(words) * self.idf.get(word, unknown) for word in words])
        weights: NDArray[np.float64] = tfidf.max(initial=0.0) - tfidf
        return weights if weights.any() else np.ones(len(words))

    def draw(self, word: str, generator: np.random.Generator) -> str:
        """Return a word of the pile to replace `word`, which has no influence on it."""
        del word
        return self.words[int(np.searchsorted(self.cumulative, generator.random(), side="right"))]


def plain(word: str) -> str:
    """Return a word in lower case without punctuation; empty unless it is made of letters."""
    begin, end = core(word)
    letters = word[begin:end]
    fits = not is_protected(word) and is_letters(letters.replace("'", "").replace("’", "").replace("-", ""))
    return letters.lower() if fits else ""
