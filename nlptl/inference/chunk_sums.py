"""Sums over the words of texts, for which each distinct chunk of text is read once.

A chunk is text between ASCII whitespace. Most chunks of a text were met in earlier texts, so that looking them up costs a tenth
of splitting them into words.

Shapes: B texts, C chunks, S numbers of a chunk.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TEXTS_AT_ONCE = 4_000  # whose chunks are in memory together
MAX_CHUNKS, MAX_BYTES = 500_000, 64 << 20  # that are remembered from call to call
_END = b"\xff"  # after each text; no byte of UTF-8
_INVISIBLE = rb"(?:\xc2\xad|\xef\xb8[\x80-\x8f]|\xf3\xa0(?:[\x84-\x86][\x80-\xbf]|\x87[\x80-\xaf]))*"
_BREAK = re.compile(
    rb"<" + _INVISIBLE + rb"[bB]" + _INVISIBLE + rb"[rR](?:" + _INVISIBLE + rb"[ \t\r\n\f\v])*" + _INVISIBLE + rb"/?"
    + _INVISIBLE + rb">"
)  # fmt: skip
"""Line break of HTML, at which `word_rules` split a text although it may hold whitespace."""


class ChunkSums:
    """sum(text) = sum of read(chunk) over the chunks of the text, repeated ones each time.

    For tokenizers of which `reads_chunks_alone` is true. Threads may call at once.
    """

    def __init__(self, read: Callable[[list[str]], Floats], width: int) -> None:
        """`read` returns the numbers (C, S) of chunks; `width` is S."""
        self._read, self._width = read, width
        self._lock = threading.Lock()
        self._numbers, self._bytes = _Numbers({_END: 0}), 0
        self._rows: Floats = np.zeros((1, width))

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return the sums (B, S) of texts. Raises UnicodeEncodeError for half of a surrogate pair."""
        found = np.empty((len(texts), self._width))
        for begin in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[begin : begin + TEXTS_AT_ONCE]
            found[begin : begin + len(part)] = self._sums(part)
        return found

    def _sums(self, texts: Sequence[str]) -> Floats:
        joined = b" \xff ".join([text.encode() for text in texts]) + b" \xff"
        chunks = (_BREAK.sub(b" ", joined) if b"<" in joined else joined).split()
        with self._lock:
            if len(self._numbers) > MAX_CHUNKS or self._bytes > MAX_BYTES:
                self._forget()
            places = np.fromiter(map(self._numbers.__getitem__, chunks), np.int64, len(chunks))
            self._learn_new()
            rows = self._rows[places]
        ends = np.flatnonzero(places == 0)
        begins = np.concatenate([[0], ends[:-1] + 1])
        sums: Floats = np.add.reduceat(rows, begins, axis=0)  # the row of the text's end is zero
        return sums

    def _learn_new(self) -> None:
        """Read the chunks that were numbered since the last call."""
        if not (new := self._numbers.new):
            return
        needed = len(self._numbers)
        if needed > len(self._rows):
            longer = np.zeros((2 * needed, self._width))
            longer[: len(self._rows)] = self._rows
            self._rows = longer
        try:
            self._rows[needed - len(new) : needed] = self._read([chunk.decode() for chunk in new])
        except BaseException:
            self._forget()  # rather than numbers without a row
            raise
        self._bytes += sum(map(len, new))
        self._numbers.new = []

    def _forget(self) -> None:
        self._numbers, self._bytes = _Numbers({_END: 0}), 0
        self._rows = np.zeros((1, self._width))


class _Numbers(dict[bytes, int]):
    """Numbers of chunks, in the order in which they are first asked for."""

    def __init__(self, known: dict[bytes, int]) -> None:
        super().__init__(known)
        self.new: list[bytes] = []

    def __missing__(self, chunk: bytes) -> int:
        self[chunk] = number = len(self)
        self.new.append(chunk)
        return number
