"""Pile of text, read once, then encoded as word ids when its vocabulary is known.

A compiled scanner cuts texts at ASCII whitespace and writes chunk numbers to disk. The tokenizer sees each distinct chunk
once, which gives the words and their counts. A second pass turns chunks into word ids. That is exact: of the tokenizer's
rules only the one for <br /> looks across ASCII whitespace, and the scanner knows it.

Memory holds a block of text, the distinct chunks up to TABLE_BYTES and their words; beyond, they are turned into words,
whose counts go to disk, and forgotten. It also holds the vocabulary, but no rare words. Disk holds four bytes a chunk,
replaced by four bytes a word.

Shapes: C chunks, W words of all chunks, V words of the vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nlptl.data.table import arrow_strings
from nlptl.pretraining.word2vec import scanner
from nlptl.pretraining.word2vec.chunks import Chunks, Utf8Texts, words_of_chunks
from nlptl.pretraining.word2vec.scanner import Ids, Longs
from nlptl.pretraining.word2vec.spool import Part, Spool, disk_errors, write_whole
from nlptl.pretraining.word2vec.tokenizer import UNKNOWN_ID
from nlptl.pretraining.word2vec.word_counts import WordCounts

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BLOCK_BYTES = 1 << 23  # text of one thread's scan
TABLE_BYTES = 1 << 28  # chunk tables of all threads
ROWS = 1_000  # texts encoded in UTF-8 at once
ALONE_BYTES = 1 << 16  # less text is scanned by one thread as fast as by two
_Block = tuple[Part, list[tuple[int, int]]]  # numbers of chunks; of each thread's part, how many chunks and texts


class _Generation(NamedTuple):
    """What was scanned with one set of tables."""

    blocks: list[_Block]
    spans: list[Part]  # of each table, where the words of each chunk begin and end in `words`
    words: Part  # numbers of the words of all chunks


class ScannedPile:
    """Texts as chunk numbers on disk, and the words of the chunks."""

    def __init__(self, spool: Spool, tokenizer: Tokenizer, pool: ThreadPoolExecutor, threads: int) -> None:
        self.words = WordCounts(spool)
        self._spool, self._tokenizer, self._pool = spool, tokenizer, pool
        self._tables = [Chunks() for _ in range(threads)]
        self._generations: list[_Generation] = []  # one for each set of tables
        self._blocks: list[_Block] = []  # scanned with the present tables

    def read(self, batches: Iterable[Sequence[str] | Any]) -> None:
        """Scan all texts and count their words."""
        for block in _blocks(batches, BLOCK_BYTES * len(self._tables)):
            parts = _parts(block, len(self._tables))
            found = list(self._pool.map(Chunks.scan, self._tables, parts))
            sizes = [(len(chunks), len(part[1]) - 1) for chunks, part in zip(found, parts, strict=True)]
            self._blocks.append((self._spool.write(*found), sizes))
            if sum(table.size for table in self._tables) > TABLE_BYTES:
                self._turn_into_words()
        self._turn_into_words()

    def encode(self, vocabulary: Sequence[str], file: IO[bytes]) -> list[Longs]:
        """Write the ids of all known words to an unbuffered file and drop the chunks. Return the lengths of texts in parts."""
        lengths: list[Longs] = []
        for generation, ids in zip(self._generations, self.words.ids(vocabulary), strict=True):
            spans, words = self._spelling(generation, ids)
            for block, sizes in generation.blocks:
                ends = np.cumsum([size for size, _ in sizes])[:-1]
                chunks = np.split(self._spool.read(block, np.int32, last=True), ends)
                spelt = self._pool.map(_spelt, chunks, [texts for _, texts in sizes], spans, [words] * len(sizes))
                for part, of_texts in spelt:
                    with disk_errors():
                        write_whole(file, part)
                    lengths.append(of_texts)
        return lengths

    def _turn_into_words(self) -> None:
        """Split all chunks into words, write each chunk's words to disk, and start new tables."""
        merged = self._tables.pop(0)
        places = [np.arange(len(merged))]
        while self._tables:  # each is freed at once: all of them are the peak of memory
            places.append(merged.absorb(self._tables.pop(0)))
        counts, first = merged.counts(), 1
        merged.freeze()
        lengths, words = [np.zeros(1, np.int64)], [np.zeros(0, np.int32)]
        for of_chunks, found in words_of_chunks(self._tokenizer, merged):
            last = first + len(of_chunks)
            lengths.append(of_chunks)
            words.append(self.words.number(found, np.repeat(counts[first:last], of_chunks)))
            first = last
        self._tables = [Chunks() for _ in places]
        self.words.end_generation()
        ends = np.cumsum(np.concatenate(lengths))
        begins = ends - np.concatenate(lengths)
        spans = [self._spool.write(begins[of_table], ends[of_table]) for of_table in places]
        self._generations.append(_Generation(self._blocks, spans, self._spool.write(*words)))
        self._blocks = []

    def _spelling(self, generation: _Generation, ids: Ids) -> tuple[list[Longs], Ids]:
        """Return the spans (2, C) of each table's chunks in the known words, and the ids of these."""
        words = ids[self._spool.read(generation.words, np.int32, last=True)]
        known = words != UNKNOWN_ID
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(known)])
        spans = (self._spool.read(part, np.int64, last=True) for part in generation.spans)
        return [before[of_table.reshape(2, -1)] for of_table in spans], words[known]


def _spelt(chunks: Ids, texts: int, spans: Longs, words: Ids) -> tuple[Ids, Longs]:
    """Return the word ids of chunks and the word count of each text."""
    out, lengths = np.empty(np.diff(spans, axis=0)[0, chunks].sum(), np.int32), np.zeros(texts, np.int64)
    scanner.spell(chunks, spans, words, out, lengths)
    return out, lengths


def _blocks(batches: Iterable[Sequence[str] | Any], size: int) -> Iterator[Utf8Texts]:
    """Join batches into blocks of `size` bytes."""
    pending: list[Utf8Texts] = []
    held = 0
    for texts in _texts(batches):
        pending.append(texts)
        held += len(texts[0])
        if held >= size:
            yield _joined(pending)
            pending, held = [], 0
    if pending:
        yield _joined(pending)


def _texts(batches: Iterable[Sequence[str] | Any]) -> Iterator[Utf8Texts]:
    for batch in batches:
        if hasattr(batch, "buffers"):
            yield arrow_strings(batch)
            continue
        for first in range(0, len(batch), ROWS):
            encoded = [text.encode() for text in batch[first : first + ROWS]]
            yield np.frombuffer(b"".join(encoded), np.uint8), np.cumsum([0, *map(len, encoded)], dtype=np.int64)


def _joined(parts: Sequence[Utf8Texts]) -> Utf8Texts:
    if len(parts) == 1:
        return parts[0]
    shifts = np.cumsum([0, *(len(content) for content, _ in parts)])
    offsets = [offsets[1:] + shift for (_, offsets), shift in zip(parts, shifts.tolist(), strict=False)]
    content = np.concatenate([content for content, _ in parts])
    content.flags.writeable = False  # like Arrow's buffers: numba compiles anew for writeable arrays
    return content, np.concatenate([np.zeros(1, np.int64), *offsets])


def _parts(block: Utf8Texts, threads: int) -> list[Utf8Texts]:
    """Split a block between texts into parts of about equal bytes, at most one a thread."""
    content, offsets = block
    wanted = max(1, min(threads, len(content) // ALONE_BYTES))
    cuts = np.searchsorted(offsets, [len(content) * part // wanted for part in range(1, wanted)])
    edges = [0, *cuts.tolist(), len(offsets) - 1]
    return [(content, offsets[a : b + 1]) for a, b in itertools.pairwise(edges)]
