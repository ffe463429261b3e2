"""Preview of a table from its first bytes: columns, rows, and which column seems to hold the texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nlptl.errors import DataError

MAX_BYTES = 1 << 20  # of a file's beginning
ROWS = 5
CELL = 200  # characters
MAX_COLUMNS = 200
_WIDE = (b"\xff\xfe", b"\xfe\xff")  # marks of UTF-16, in which a line end has two bytes


@dataclass(frozen=True)
class FilePreview:
    """What the beginning of a table shows."""

    columns: list[str]
    """Names of the columns; numbers where there is no header."""
    header: bool
    """Whether the first row names the columns."""
    rows: list[list[str]]
    """First rows, with cells of at most 200 characters."""
    text_column: int
    """Number from 1 of the column that seems to hold the texts."""
    delimiter: str
    """What separates the fields."""
    remarks: list[str]
    """How the file is written, in a few words each, where that is not the plain default."""


def preview_of(path: Path, *, whole: bool) -> FilePreview:
    """Return the preview of a file; unless it is the `whole` one, what follows its last whole row is cut off.

    Raises DataError for what is no table.
    """
    from nlptl.data.discovery.seen_table import look_at

    if not whole:
        path.write_bytes(whole_rows(path.read_bytes()))
    table = look_at(path)
    layout = table.form.layout
    assert layout is not None  # of a .csv or .tsv file
    if len(table.names) > MAX_COLUMNS:
        raise DataError(
            f"{path}: has {len(table.names):,} columns; expected {MAX_COLUMNS} at most. Check what separates them."
        )
    lengths = [one.characters for one in table.columns]
    texts = [place for place, one in enumerate(table.columns) if one.look == "texts"]
    named = [place for place in texts if table.columns[place].hint == "text"] or [
        place for place, one in enumerate(table.columns) if one.hint == "text"
    ]
    best = max(named or texts or range(len(lengths)), key=lengths.__getitem__)
    rows = [[cell if len(cell) <= CELL else cell[: CELL - 1] + "…" for cell in row] for row in table.first_rows[:ROWS]]
    return FilePreview([*table.names], table.has_header, rows, best + 1, layout.delimiter, table.described())


def whole_rows(beginning: bytes) -> bytes:
    """Return what of a file's beginning ends with a row: at a line end behind which no quote is open."""
    wide = beginning[:2] in _WIDE
    line_end = b"\n\0" if beginning.startswith(_WIDE[0]) else b"\0\n" if wide else b"\n"
    end, last = len(beginning), -1
    quotes = beginning.count(b'"')
    while (found := beginning.rfind(line_end, 0, end)) >= 0:
        quotes -= beginning.count(b'"', found, end)
        end, place = found, found + len(line_end)
        if wide and found % 2:
            continue
        last = max(last, place)
        if quotes % 2 == 0:
            return beginning[:place]
    return beginning[:last] if last > 0 else beginning
