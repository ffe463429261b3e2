"""Ageing of a vocabulary: words that new texts have and earlier ones lack, and words that a tokenizer cuts to pieces.

Words are casefolded and without punctuation; Japanese and Chinese are split by a segmenter, or where the
script changes. Shapes: n texts.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.inference.segmenting import words_in_forms
from nlptl.models.words import core, is_protected, placed_words

if TYPE_CHECKING:
    from nlptl.inference.segmenter import WordCutter

MIN_TEXTS = 3  # new texts that hold a new word
LEVEL = 0.05  # probability of naming a word that is new by chance alone, for all words together
TEXTS_OF_A_WORD = 5
MAX_WORDS = 20  # that are kept of each kind

Counts = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class AgedWord:
    """Word that counts among the new texts for the first time, or that a tokenizer cuts to pieces."""

    word: str
    texts: int  # new texts that hold it
    share: float  # of all words of the new texts
    share_before: float
    places: tuple[int, ...]  # of up to five new texts that hold it


@dataclasses.dataclass(frozen=True)
class NewWords:
    """Words that are frequent among new texts and that no text of before holds."""

    words: tuple[AgedWord, ...]  # the most frequent of them
    count: int
    p_value: float  # that the most telling of all is new by chance, corrected for their number


@dataclasses.dataclass(frozen=True)
class Words:
    """Words of some texts, counted text by text."""

    of_texts: tuple[Counter[str], ...]

    @classmethod
    def of(cls, texts: Sequence[str], segmenter: WordCutter | None = None) -> Words:
        """Count the words of texts but for mentions, links and numbers. A segmenter tells those of Japanese, in its forms."""
        return cls(tuple(Counter(_words(text, segmenter)) for text in texts))

    def holders(self) -> Counter[str]:
        """Return how many texts hold each word."""
        return Counter(word for found in self.of_texts for word in found)

    def counts(self) -> Counter[str]:
        """Return how often each word occurs."""
        total: Counter[str] = Counter()
        for found in self.of_texts:
            total.update(found)
        return total

    def rates(self, is_counted: Callable[[str], bool]) -> Counts:
        """Return how many words of each text (n, 2) are of a kind, and how many it has."""
        rows = [
            (sum(count for word, count in found.items() if is_counted(word)), found.total()) for found in self.of_texts
        ]
        return np.array(rows, dtype=np.int64).reshape(-1, 2)

    def places(self, word: str) -> tuple[int, ...]:
        """Return the places of the first five texts that hold a word."""
        found = (place for place, words in enumerate(self.of_texts) if word in words)
        return tuple(place for place, _ in zip(found, range(TEXTS_OF_A_WORD), strict=False))


def unseen_rates(before: Words, new: Words, known: Collection[str] = ()) -> tuple[Counts, Counts]:
    """Return the words of each text (n, 2) that no other text of before holds, and all its words: of before, then of the new.

    Words of `known`, such as those of a pile, are seen on both sides. A text of before is compared with the others alone, so that
    both sides have the same share where nothing has changed (Good 1953).
    """
    holders = before.holders()
    alone = before.rates(lambda word: holders[word] < 2 and word not in known)
    return alone, new.rates(lambda word: word not in holders and word not in known)


def new_words(before: Words, new: Words, known: Mapping[str, int] | None = None, *, others: int = 0) -> NewWords:
    """Return words that new texts hold more often than chance allows and that no text of before holds, the most frequent first.

    `known` counts the words of `others` further texts of before. All texts that hold a word are new with a probability that is
    told by counting draws; Bonferroni's correction is over all words of three new texts.
    """
    holders, seen = new.holders(), before.holders()
    frequent = [word for word, count in holders.items() if count >= MIN_TEXTS]
    size, rest = len(new.of_texts), len(before.of_texts) + others
    chances = {
        word: min(1.0, len(frequent) * math.exp(_log_all_new(holders[word], size, rest)))
        for word in frequent
        if word not in seen and word not in (known or {})
    }
    shown = [word for word, chance in chances.items() if chance <= LEVEL]
    shown.sort(key=lambda word: (-holders[word], word))
    return NewWords(tuple(aged_words(shown[:MAX_WORDS], before, new)), len(shown), min(chances.values(), default=1.0))


def frequent_of(words: Collection[str], new: Words) -> list[str]:
    """Return the words that several new texts hold, the most frequent first."""
    holders = new.holders()
    found = [word for word in words if holders[word] >= MIN_TEXTS]
    return sorted(found, key=lambda word: (-holders[word], word))[:MAX_WORDS]


def aged_words(words: Sequence[str], before: Words, new: Words) -> list[AgedWord]:
    """Return words with their shares and some of the new texts that hold them."""
    holders, counts, earlier = new.holders(), new.counts(), before.counts()
    total, total_before = max(1, counts.total()), max(1, earlier.total())
    return [
        AgedWord(word, holders[word], counts[word] / total, earlier[word] / total_before, new.places(word))
        for word in words
    ]  # fmt: skip


def _words(text: str, segmenter: WordCutter | None) -> list[str]:
    found = []
    for word in [word for _, word in placed_words(text)] if segmenter is None else words_in_forms(text, segmenter):
        begin, end = core(word)
        if begin < end and not is_protected(word):
            found.append(word[begin:end].casefold())
    return found


def _log_all_new(count: int, new: int, before: int) -> float:
    """Return the logarithm of the probability that `count` texts, drawn from new and earlier ones, are all new."""
    if count > new:
        return -math.inf
    return sum(math.log(new - place) - math.log(new + before - place) for place in range(count))
