"""Counts of a pile's words in bounded memory: each generation of words goes to disk, and they are added part by part.

Shapes: W words of a generation, V words of the vocabulary.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.pretraining.word2vec.scanner import Ids, Longs
from nlptl.pretraining.word2vec.spool import Part, Spool
from nlptl.pretraining.word2vec.tokenizer import UNKNOWN, UNKNOWN_ID

COUNTED_AT_ONCE = 1 << 20  # distinct words whose counts are added at once: about 200 MB
BETWEEN = "\n"  # words on disk; none holds it


class WordCounts:
    """Words of a pile, numbered anew in each generation in order of appearance."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._generations: list[tuple[Part, Part]] = []  # words and counts
        self._distinct = 0  # words of all generations; one of several generations counts several times
        self._numbers, self._counts = _none()

    def number(self, words: Sequence[str], counts: Longs) -> Ids:
        """Return the numbers of words in this generation and add their counts."""
        found = np.fromiter(map(self._numbers.__getitem__, words), np.int32, len(words))
        missing = len(self._numbers) - len(self._counts)
        if missing > 0:
            self._counts = np.concatenate([self._counts, np.zeros(max(missing, len(self._counts)), np.int64)])
        np.add.at(self._counts, found, counts)
        return found

    def end_generation(self) -> None:
        """Write words and counts to disk, and forget them."""
        words, counts = _text(self._numbers), self._counts[: len(self._numbers)]
        self._generations.append((self._spool.write(words), self._spool.write(counts)))
        self._distinct += len(counts)
        self._numbers.clear()  # it refers to itself, so that only a later collection would free it
        self._numbers, self._counts = _none()

    def vocabulary(self, min_count: int, known_words: Sequence[str]) -> tuple[list[str], Longs]:
        """Return the vocabulary by id and its counts (V,)."""
        found, total = self._added(min_count, frozenset(known_words))
        by_spelling = sorted(found)
        of_spelling = np.fromiter(map(found.__getitem__, by_spelling), np.int64, len(by_spelling))
        order = np.argsort(-of_spelling, kind="stable")
        learnt = [by_spelling[place] for place in order[of_spelling[order] >= min_count].tolist()]
        seen = {UNKNOWN, *learnt}
        extra = [word for word in dict.fromkeys(known_words) if word not in seen]
        known = np.array([found.get(word, 0) for word in (*learnt, *extra)], np.int64)
        return [UNKNOWN, *learnt, *extra], np.concatenate([[total - known.sum()], known]).astype(np.int64)

    def ids(self, vocabulary: Sequence[str]) -> Iterator[Ids]:
        """Yield for each generation the id of each of its words (W,); UNKNOWN_ID if the vocabulary lacks the word."""
        places = {word: index for index, word in enumerate(vocabulary)}
        for part, _ in self._generations:
            words = self._words(part, last=True)
            yield np.fromiter(map(places.get, words, itertools.repeat(UNKNOWN_ID)), np.int32, len(words))

    def _added(self, min_count: int, known: frozenset[str]) -> tuple[dict[str, int], int]:
        """Return the counts of frequent and of known words over all generations, and the number of all words.

        Words are added in turns by their hash, so that never more than about COUNTED_AT_ONCE are held.
        """
        kept: dict[str, int] = {}
        total, turns = 0, -(-self._distinct // COUNTED_AT_ONCE)
        for parts in [self._generations] if turns < 2 else self._by_hash(turns):
            counts: dict[str, int] = {}
            for of_words, of_counts in parts:
                words, numbers = self._words(of_words), self._spool.read(of_counts, np.int64).tolist()
                if counts:
                    before = map(counts.get, words, itertools.repeat(0))
                    numbers = [count + more for count, more in zip(before, numbers, strict=True)]
                counts.update(zip(words, numbers, strict=True))
            total += sum(counts.values())
            kept |= {word: count for word, count in counts.items() if count >= min_count or word in known}
        return kept, total

    def _by_hash(self, turns: int) -> list[list[tuple[Part, Part]]]:
        """Write all words and counts once more, those of each turn together. Return them by turn and generation."""
        found: list[list[tuple[Part, Part]]] = [[] for _ in range(turns)]
        for of_words, of_counts in self._generations:
            words, counts = self._words(of_words), self._spool.read(of_counts, np.int64)
            turn_of = np.fromiter(map(hash, words), np.int64, len(words)) % turns
            order = np.argsort(turn_of, kind="stable")
            ends = np.searchsorted(turn_of[order], np.arange(1, turns))
            for parts, places in zip(found, np.split(order, ends), strict=True):
                text = _text([words[place] for place in places.tolist()])
                parts.append((self._spool.write(text), self._spool.write(counts[places])))
        return found

    def _words(self, part: Part, *, last: bool = False) -> list[str]:
        text = self._spool.read(part, np.uint8, last=last).tobytes().decode()
        return text.split(BETWEEN) if text else []


def _none() -> tuple[defaultdict[str, int], Longs]:
    """Return numbers of no words, which number a new one when asked, and their counts."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers, np.zeros(1 << 10, np.int64)


def _text(words: Iterable[str]) -> NDArray[np.uint8]:
    return np.frombuffer(BETWEEN.join(words).encode(), np.uint8)
