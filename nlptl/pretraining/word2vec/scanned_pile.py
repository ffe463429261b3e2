"""Pile of text, read once, then encoded as word ids when its vocabulary is known.

A compiled scanner cuts texts at ASCII whitespace and writes chunk numbers to disk. The tokenizer sees each distinct chunk
once, which gives the words and their counts. A second pass turns chunks into word ids. That is exact: of the tokenizer's
rules only the one for <br /> looks across ASCII whitespace, and the scanner knows it.

Memory holds the distinct words, a block of text, and distinct chunks up to TABLE_BYTES; beyond, they are turned into words
and forgotten. Disk holds four bytes a chunk, replaced by four bytes a word.

Shapes: C chunks, W words of all chunks, V words of the vocabulary.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlptl.data.table import arrow_strings
from nlptl.errors import DataError
from nlptl.pretraining.word2vec import scanner
from nlptl.pretraining.word2vec.chunks import Chunks, Utf8Texts, words_of_chunks
from nlptl.pretraining.word2vec.scanner import Ids, Longs
from nlptl.pretraining.word2vec.tokenizer import UNKNOWN, UNKNOWN_ID

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BLOCK_BYTES = 1 << 23  # text of one thread's scan
TABLE_BYTES = 1 << 28  # chunk tables of all threads
ROWS = 1_000  # texts encoded in UTF-8 at once
ALONE_BYTES = 1 << 16  # less text is scanned by one thread as fast as by two


class WordCounts:
    """Counts of a pile's words, numbered in order of appearance."""

    def __init__(self) -> None:
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__
        self._counts = np.zeros(1 << 10, np.int64)

    def number(self, words: Sequence[str], counts: Longs) -> Ids:
        """Return the numbers of words (W,) and add their counts (W,)."""
        found = np.fromiter(map(self._numbers.__getitem__, words), np.int32, len(words))
        missing = len(self._numbers) - len(self._counts)
        if missing > 0:
            self._counts = np.concatenate([self._counts, np.zeros(max(missing, len(self._counts)), np.int64)])
        np.add.at(self._counts, found, counts)
        return found

    def vocabulary(self, min_count: int, known_words: Sequence[str]) -> tuple[list[str], Longs]:
        """Return the vocabulary by id and its counts (V,)."""
        counts = self._counts[: len(self._numbers)]
        spelt = list(self._numbers)
        by_spelling = sorted(spelt[number] for number in np.flatnonzero(counts >= min_count).tolist())
        numbers = np.fromiter(map(self._numbers.__getitem__, by_spelling), np.int64, len(by_spelling))
        order = np.argsort(-counts[numbers], kind="stable")
        learnt, kept = [by_spelling[place] for place in order.tolist()], numbers[order]
        seen = {UNKNOWN, *learnt}
        extra = [word for word in dict.fromkeys(known_words) if word not in seen]
        of_extra = [int(counts[self._numbers[word]]) if word in self._numbers else 0 for word in extra]
        known = np.array([*counts[kept].tolist(), *of_extra], np.int64)
        unknown = counts.sum() - known.sum()
        return [UNKNOWN, *learnt, *extra], np.concatenate([[unknown], known]).astype(np.int64)

    def ids(self, vocabulary: Sequence[str]) -> Ids:
        """Return the id of each word number; UNKNOWN_ID if the vocabulary lacks the word."""
        ids = np.full(len(self._numbers), UNKNOWN_ID, np.int32)
        for index, word in enumerate(vocabulary):
            if word in self._numbers:
                ids[self._numbers[word]] = index
        return ids


class ScannedPile:
    """Utf8Texts as files of chunk numbers in a folder, and the words of the chunks."""

    def __init__(self, folder: Path, tokenizer: Tokenizer, pool: ThreadPoolExecutor, threads: int) -> None:
        self.words = WordCounts()
        self._folder, self._tokenizer, self._pool = folder, tokenizer, pool
        self._tables = [Chunks() for _ in range(threads)]
        self._generations: list[list[list[tuple[int, int]]]] = [[]]
        """Of each set of tables, the blocks scanned with it; of each block, the chunks and texts of its parts."""

    def read(self, batches: Iterable[Sequence[str] | Any]) -> None:
        """Scan all texts and count their words."""
        for block in _blocks(batches, BLOCK_BYTES * len(self._tables)):
            parts = _parts(block, len(self._tables))
            found = list(self._pool.map(Chunks.scan, self._tables, parts))
            blocks = self._generations[-1]
            self._write(f"{len(self._generations)}-{len(blocks)}", found)
            blocks.append([(len(chunks), len(part[1]) - 1) for chunks, part in zip(found, parts, strict=True)])
            if sum(table.size for table in self._tables) > TABLE_BYTES:
                self._turn_into_words()
        self._turn_into_words()

    def encode(self, vocabulary: Sequence[str], path: Path) -> list[Longs]:
        """Write the ids of all known words to `path` and delete the chunks. Return the lengths of texts in parts."""
        ids = self.words.ids(vocabulary)
        lengths: list[Longs] = []
        with disk_errors_in(self._folder), path.open("wb") as file:
            for name, blocks in enumerate(self._generations[:-1], start=1):
                spans, words = self._spelling(name, ids)
                for number, sizes in enumerate(blocks):
                    block = self._folder / f"{name}-{number}"
                    chunks = np.split(np.fromfile(block, np.int32), np.cumsum([size for size, _ in sizes])[:-1])
                    block.unlink()
                    spelt = self._pool.map(_spelt, chunks, [texts for _, texts in sizes], spans, [words] * len(sizes))
                    for part, of_texts in spelt:
                        file.write(part.data)
                        lengths.append(of_texts)
        return lengths

    def _turn_into_words(self) -> None:
        """Split all chunks into words, write each chunk's words to disk, and start new tables."""
        name = len(self._generations)
        merged, *others = self._tables
        places = [np.arange(len(merged)), *(merged.absorb(other) for other in others)]
        counts, first = merged.counts(), 1
        lengths, words = [np.zeros(1, np.int64)], [np.zeros(0, np.int32)]
        for of_chunks, found in words_of_chunks(self._tokenizer, merged):
            last = first + len(of_chunks)
            lengths.append(of_chunks)
            words.append(self.words.number(found, np.repeat(counts[first:last], of_chunks)))
            first = last
        ends = np.cumsum(np.concatenate(lengths))
        begins = ends - np.concatenate(lengths)
        for number, of_table in enumerate(places):
            self._write(f"{name}-spans-{number}", [begins[of_table], ends[of_table]])
        self._write(f"{name}-words", words)
        self._generations.append([])
        self._tables = [Chunks() for _ in self._tables]

    def _spelling(self, name: int, ids: Ids) -> tuple[list[Longs], Ids]:
        """Return the spans (2, C) of each table's chunks in the known words, and the ids of these."""
        words = ids[np.fromfile(self._folder / f"{name}-words", np.int32)]
        known = words != UNKNOWN_ID
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(known)])
        paths = [self._folder / f"{name}-spans-{number}" for number in range(len(self._tables))]
        return [before[np.fromfile(path, np.int64).reshape(2, -1)] for path in paths], words[known]

    def _write(self, name: str, arrays: Iterable[NDArray[Any]]) -> None:
        with disk_errors_in(self._folder), (self._folder / name).open("wb") as file:
            for array in arrays:
                file.write(array.data)


@contextlib.contextmanager
def disk_errors_in(folder: Path) -> Iterator[None]:
    """Turn an OSError of writing to `folder` into a DataError."""
    try:
        yield
    except OSError as error:
        reason = f"cannot write the encoded corpus ({error.strerror}); it needs four bytes a word."
        raise DataError(f"{folder}: {reason} Free space or set TMPDIR to another disk.") from None


def _spelt(chunks: Ids, texts: int, spans: Longs, words: Ids) -> tuple[Ids, Longs]:
    """Return the word ids of chunks and the word count of each text."""
    out, lengths = np.empty(np.diff(spans, axis=0)[0, chunks].sum(), np.int32), np.zeros(texts, np.int64)
    scanner.spell(chunks, spans, words, out, lengths)
    return out, lengths


def _blocks(batches: Iterable[Sequence[str] | Any], size: int) -> Iterator[Utf8Texts]:
    """Join batches into blocks of `size` bytes."""
    pending: list[Utf8Texts] = []
    for texts in _texts(batches):
        pending.append(texts)
        if sum(len(content) for content, _ in pending) >= size:
            yield _joined(pending)
            pending = []
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
