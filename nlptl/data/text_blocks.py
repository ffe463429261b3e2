"""Blocks of whole lines from text files, decoded, about a megabyte each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nlptl.data.limits import line_too_long
from nlptl.data.text_format import TextFormat, decoded

_END_OF_FILE = "\x1a"  # as DOS wrote it behind the last line


def read_blocks(path: Path, form: TextFormat) -> Iterator[tuple[int, str]]:
    r"""Yield blocks of lines that only "\n" ends, with the first line (from 1). Raises DataError for a line that is too long."""
    line, pending, held = 1, list[str](), 0
    for text in decoded(path, form):
        head, newline, tail = text.rpartition("\n")
        if newline:
            block = "".join([*pending, head, newline])
            yield line, block
            line += block.count("\n")
            pending, held = [], 0
        pending.append(tail)
        held += len(tail)
        if held > form.max_line:
            raise line_too_long(f"{path}:{line}", form.max_line)
    rest = "".join(pending)
    if rest.strip(_END_OF_FILE):
        yield line, rest
