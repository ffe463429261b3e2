"""Lines of stdin as batches of texts, which come as soon as the input pauses."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from nlptl.errors import DataError

BATCH_LINES = 256  # lines in one batch: few, so that results appear while the input still flows
PAUSE = 0.05  # seconds without a new line after which the lines so far are a batch
MAX_BYTES = 4  # of a character in UTF-8
_CHUNK_BYTES = 1 << 16
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Lines:
    """Batch of lines, the first of which has the number `first`, counted from 1."""

    first: int
    texts: list[str]


def lines_in_batches(stream: TextIO, *, max_length: int) -> Iterator[Lines]:
    """Yield the lines of a stream, of at most `max_length` characters, in batches that end where the stream pauses.

    Raises DataError, after all lines before, for a line that is not UTF-8 or is too long.
    """
    found = _Waiting(max_length)
    for chunk in _chunks(stream):
        if chunk is not None:
            found.add(chunk)
        is_too_long = len(found.rest) > MAX_BYTES * max_length
        if is_too_long:
            found.end_of_line()
        while len(found.lines) >= BATCH_LINES or (found.lines and (chunk is None or is_too_long)):
            yield from found.batch()
    found.end_of_line()
    while found.lines:
        yield from found.batch()


class _Waiting:
    """Lines that have been read and are in no batch yet."""

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self.lines: list[bytes] = []
        self.rest = bytearray()  # of a line whose end has not come
        self._given = 0

    def add(self, chunk: bytes) -> None:
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self.rest += part
            self.lines.append(bytes(self.rest))
            self.rest.clear()
        self.rest += rest

    def end_of_line(self) -> None:
        if self.rest:
            self.lines.append(bytes(self.rest))
            self.rest.clear()

    def batch(self) -> Iterator[Lines]:
        """Yield the next lines, up to one that is refused. Raises DataError for that once it comes first."""
        taken, self.lines = self.lines[:BATCH_LINES], self.lines[BATCH_LINES:]
        first, texts = self._given + 1, []
        self._given += len(taken)
        try:
            for number, line in enumerate(taken, first):
                texts.append(_text(line.removeprefix(_BOM) if number == 1 else line, number, self._max_length))
        except DataError:
            if texts:
                yield Lines(first, texts)
            raise
        yield Lines(first, texts)


def _text(line: bytes, number: int, max_length: int) -> str:
    from nlptl.data.limits import text_too_long

    if len(line) > MAX_BYTES * max_length:
        raise text_too_long(f"stdin:{number}", max_length)
    try:
        text = line.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"stdin:{number}: found bytes that are not UTF-8 ({error.reason}); expected UTF-8. Convert the input first."
        ) from None
    if len(text) > max_length:
        raise text_too_long(f"stdin:{number}", max_length)
    return text


def _chunks(stream: TextIO) -> Iterator[bytes | None]:
    """Yield what the stream holds as it comes, and None wherever it pauses."""
    try:
        number = stream.fileno()
    except (io.UnsupportedOperation, AttributeError):  # no file, as in a test or a notebook
        yield stream.read().encode("utf-8", "surrogateescape")
        return
    while chunk := _read(number):
        yield chunk
        if sys.platform != "win32" and not select.select([number], [], [], PAUSE)[0]:
            yield None


def _read(number: int) -> bytes:
    try:
        return os.read(number, _CHUNK_BYTES)
    except OSError as error:  # of a folder, or of a terminal that has gone
        raise DataError(f"stdin: cannot be read ({error.strerror}). Give a file, a pipe, or --file.") from None
