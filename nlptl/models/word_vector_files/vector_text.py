"""Lines of a word and its numbers: word2vec's text and GloVe's.

Blanks and tabs, also several, stand between the numbers. A word may hold blanks.
Shapes: V words, D dimension.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Blocks = Iterator[tuple[list[bytes], FloatArray]]  # words and their vectors
BLOCK = 1 << 22  # bytes parsed at once
MAX_WIDTH = 1 << 16  # numbers of a vector
MAX_NUMBER_BYTES = 64  # of a line, for each number
MAX_WORD_BYTES = 10_000
BOM = b"\xef\xbb\xbf"
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
COMMA_NUMBER = re.compile(rb"[+-]?\d*,\d+([eE][+-]?\d+)?")
_POINTS = "Write 0.5 and not 0,5"
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f]")


class RecordError(ValueError):
    """Fault of one record, and what to do."""

    def __init__(self, fault: str, remedy: str = "Remove the word or export the vectors again") -> None:
        super().__init__(fault)
        self.remedy = remedy


def first_lines(head: bytes, *, whole: bool) -> list[bytes]:
    """Return the lines of a file's first bytes, without blank ones, a byte-order mark, or a last one that is not `whole`."""
    lines = head.removeprefix(BOM).split(b"\n")
    return [line for line in (lines if whole or len(lines) == 1 else lines[:-1]) if line.strip()]


def looks_like_text(head: bytes) -> bool:
    """Return whether first bytes are UTF-8 without control characters."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return _CONTROLS.search(head) is None


def is_line_of(line: bytes, width: int) -> bool:
    """Return whether a line ends in `width` numbers behind a word."""
    fields = line.split()
    return len(fields) > width and all(map(NUMBER.fullmatch, fields[-width:]))


def headless_width(lines: list[bytes]) -> int | None:
    """Return the width of lines without a header, or None if the first is not a word and its numbers.

    A first word may hold blanks if the second line has one word and as many numbers, and end in a number if all others have
    fewer numbers.
    """
    first = lines[0].split()
    if len(first) > 2 and all(map(NUMBER.fullmatch, first[1:])):
        others = widths_without_blanks(lines[1:])
        return min(others) if len(lines) > 2 and len(others) == 1 and 1 < min(others) < len(first) else len(first) - 1
    second = lines[1].split() if len(lines) > 1 else []
    width = len(second) - 1
    if width > 1 and all(map(NUMBER.fullmatch, second[1:])) and is_line_of(lines[0], width):
        return width
    return None


def fault_of_first_line(line: bytes) -> str | None:
    """Return what is wrong with a first line and what to do, if it is of a known kind."""
    fields = line.split()
    if len(fields) > 2 and any(map(COMMA_NUMBER.fullmatch, fields[1:])):
        return f"found {line[:40]!r}, numbers with a decimal comma; expected decimal points. {_POINTS}."
    for mark, name in ((b",", "commas"), (b";", "semicolons"), (b"|", "bars")):
        parts = [part.strip() for part in line.split(mark)]
        if len(parts) > 2 and all(map(NUMBER.fullmatch, parts[1:])):
            return f"found {line[:40]!r}, {name} between the numbers; expected blanks or tabs. Replace them by blanks."
    return None


def widths_without_blanks(lines: list[bytes]) -> set[int]:
    """Return how many numbers stand behind each word, if words hold no blank; 0 for a line that is none."""
    fields = [line.split()[1:] for line in lines]
    return {len(numbers) if all(map(NUMBER.fullmatch, numbers)) else 0 for numbers in fields}


def text_blocks(file: IO[bytes], width: int, *, begins: bool) -> Blocks:
    """Yield words and vectors of many lines at a time. `begins` says that the file begins here. Raises RecordError."""
    longest = MAX_WORD_BYTES + MAX_NUMBER_BYTES * width
    while block := file.read(BLOCK):
        rest = file.readline(longest + 1)
        if len(rest) > longest:
            raise RecordError(f"found a line of more than {longest:,} bytes; expected a word and {width} numbers")
        block = (block.removeprefix(BOM) if begins else block) + rest
        begins = False
        found = _parsed(_with_single_blanks(block), width)
        if found is None:
            yield from _one_by_one(block.split(b"\n"), width)
        else:
            yield found


def _with_single_blanks(block: bytes) -> bytes:
    block = block.replace(b"\t", b" ").replace(b"\r\n", b"\n")
    while b"  " in block:
        block = block.replace(b"  ", b" ")
    return block.replace(b" \n", b"\n")


def _parsed(block: bytes, width: int) -> tuple[list[bytes], FloatArray] | None:
    """Parse lines of a word and `width` numbers together, or return None if one needs a closer look."""
    import pyarrow as pa
    from pyarrow import csv

    if b"\r" in block or block.startswith(BOM):  # Arrow would end a line at the one and drop the other
        return None
    names = [str(column) for column in range(width + 1)]
    types = {name: pa.float32() for name in names} | {names[0]: pa.binary()}
    try:
        table = csv.read_csv(
            pa.BufferReader(block),
            read_options=csv.ReadOptions(column_names=names, use_threads=False),
            parse_options=csv.ParseOptions(delimiter=" ", quote_char=False),
            convert_options=csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False),
        )
    except pa.ArrowInvalid:
        return None
    rows = np.column_stack([table.column(column + 1).to_numpy() for column in range(width)])
    return table.column(0).to_pylist(), rows


def _one_by_one(lines: list[bytes], width: int) -> Blocks:
    """Yield the records of lines. A fault is raised after the records before it, and a word may hold blanks."""
    words: list[bytes] = []
    rows: list[list[bytes]] = []
    fault: RecordError | None = None
    for line in filter(bytes.strip, lines):
        try:
            word, numbers = _record(line, width)
        except RecordError as error:
            fault = error
            break
        words.append(word)
        rows.append(numbers)
    with np.errstate(over="ignore"):  # infinity is told
        yield words, np.array(rows, dtype=np.float32).reshape(len(words), width)
    if fault is not None:
        raise fault


def _record(line: bytes, width: int) -> tuple[bytes, list[bytes]]:
    """Return the word of a line and its numbers. Raises RecordError."""
    fields = line.rsplit(None, width)
    if len(fields) == width and line[:1].isspace():
        fields.insert(0, b"")
    if len(fields) != width + 1:
        raise RecordError(f"found {len(line.split()) - 1} numbers; expected {width} like in the first line")
    word, *numbers = fields
    if not all(map(NUMBER.fullmatch, numbers)):
        raise _no_numbers(line, numbers, width)
    return word.strip(), numbers


def _no_numbers(line: bytes, numbers: list[bytes], width: int) -> RecordError:
    if any(map(COMMA_NUMBER.fullmatch, numbers)):
        return RecordError(f"found {line[:40]!r}, numbers with a decimal comma; expected decimal points", _POINTS)
    return RecordError(f"found {line[:40]!r}; expected a word in UTF-8 and {width} numbers")
