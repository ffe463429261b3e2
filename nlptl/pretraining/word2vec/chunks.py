"""Distinct chunks of text between ASCII whitespace, counted and split into words once each.

Shapes: C chunks; chunk 0 is the end of a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlptl.pretraining.word2vec import scanner
from nlptl.pretraining.word2vec.scanner import CHUNK, COUNT, NEEDED, SEPARATOR, USED, WRITTEN, Bytes, Ids, Longs, Table

if TYPE_CHECKING:
    from tokenizers import Tokenizer

GROUP = 1_000  # chunks tokenised at once
FENCE = "\n\ue000\n"  # between them: no rule of the tokenizers here reaches across

Utf8Texts = tuple[Bytes, Longs]  # texts in UTF-8, and the start of each (texts + 1,)


class Chunks:
    """Growing table of distinct chunks."""

    def __init__(self) -> None:
        slots, ends = np.zeros((1 << 12, 4), np.uint64), np.zeros(1 << 11, np.int64)
        self._table = Table(slots, ends, np.full(1 << 14, SEPARATOR, np.uint8), np.array([1, 0], np.int64))
        self._out = np.empty(0, np.int32)

    def __len__(self) -> int:
        return int(self._table.sizes[USED])

    @property
    def size(self) -> int:
        """Bytes of the table."""
        return sum(array.nbytes for array in self._table)

    def scan(self, texts: Utf8Texts) -> Ids:
        """Return the chunks of all texts, 0 after each text. The next call overwrites the array."""
        content, offsets = texts
        max_chunks = int(offsets[-1] - offsets[0]) // 2 + 2 * len(offsets)
        if max_chunks > len(self._out):
            self._out = np.empty(max_chunks, np.int32)
        state = np.array([offsets[0], 0, 0], np.int64)
        while not scanner.scan(self._table, content, offsets, state, self._out):
            self._grow()
        return self._out[: state[WRITTEN]]

    def counts(self) -> Longs:
        """Return the count (C,) of each chunk, 0 for chunk 0."""
        counts, slots = np.zeros(len(self), np.int64), self._table.slots
        counts[slots[:, CHUNK].astype(np.uint32)] = slots[:, COUNT]  # an empty slot writes 0 for chunk 0
        return counts

    def absorb(self, other: Chunks) -> Longs:
        """Add all chunks of another table. Return their numbers here, by their numbers there."""
        places = np.zeros(len(other), np.int64)
        counts, done = other.counts(), 1
        while (done := scanner.absorb(self._table, other._table, counts, done, places)) < len(other):
            self._grow()
        return places

    def freeze(self) -> None:
        """Free the hash table. Only `groups` can be read afterwards."""
        self._table = self._table._replace(slots=np.zeros((0, 4), np.uint64))
        self._out = np.empty(0, np.int32)

    def groups(self) -> Iterator[bytes]:
        """Yield the chunks from 1 on in groups, joined by SEPARATOR."""
        ends, arena = self._table.ends, self._table.arena
        for first in range(1, len(self), GROUP):
            last = min(first + GROUP, len(self)) - 1
            yield arena[ends[first - 1] + 1 : ends[last]].tobytes()

    def _grow(self) -> None:
        """Double what is full."""
        slots, ends, arena, sizes = self._table
        used, needed = int(sizes[USED]), int(sizes[NEEDED])
        if used == len(ends) or 2 * used >= len(slots):
            ends = _longer(ends, 2 * len(ends))
            old, slots = slots, np.zeros((2 * len(slots), 4), np.uint64)
            scanner.rehash(old, slots)
        if int(ends[used - 1]) + needed >= len(arena):
            arena = _longer(arena, 2 * len(arena) + needed)
        self._table = Table(slots, ends, arena, sizes)


def words_of_chunks(tokenizer: Tokenizer, chunks: Chunks) -> Iterator[tuple[Longs, list[str]]]:
    """Yield for each group of chunks the number of words of each, and all words.

    A chunk's words do not depend on its neighbours, so a group is tokenised as one string.
    """
    for group in chunks.groups():
        if FENCE[1].encode() in group:
            spelt = [_split(tokenizer, [chunk.decode()]) for chunk in group.split(bytes([SEPARATOR]))]
            yield np.concatenate([lengths for lengths, _ in spelt]), [word for _, words in spelt for word in words]
        else:
            yield _split(tokenizer, group.replace(bytes([SEPARATOR]), FENCE.encode()).decode().split(FENCE))


def _split(tokenizer: Tokenizer, chunks: Sequence[str]) -> tuple[Longs, list[str]]:
    joined = FENCE.join(chunks)
    normal: Any = tokenizer.normalizer.normalize_str(joined) if tokenizer.normalizer else joined
    parts = normal.split(FENCE) if len(chunks) > 1 else [normal]
    # A run of letters and digits is one word. Only the others need the regex, at 3 µs a word.
    lengths = np.ones(len(parts), np.int64)
    rest = [place for place, plain in enumerate(map(str.isalnum, parts)) if not plain or not parts[place].isascii()]
    if not rest:
        return lengths, parts
    found = _pre_tokenized(tokenizer, [parts[place] for place in rest])
    lengths[rest] = [len(words) for words in found]
    spelt: list[list[str]] = [[part] for part in parts]
    for place, words in zip(rest, found, strict=True):
        spelt[place] = words
    return lengths, [word for words in spelt for word in words]


def _pre_tokenized(tokenizer: Tokenizer, parts: Sequence[str]) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in parts]
    ends = np.cumsum([len(part) + 1 for part in parts])
    spans = tokenizer.pre_tokenizer.pre_tokenize_str("\n".join(parts))
    places = np.searchsorted(ends, [begin for _, (begin, _) in spans], side="right")
    for place, (word, _) in zip(places.tolist(), spans, strict=True):
        found[place].append(word)
    return found


def _longer(array: NDArray[Any], length: int) -> NDArray[Any]:
    longer = np.empty(length, array.dtype)
    longer[: len(array)] = array
    return longer
