"""Rows of a CSV or TSV file, each with the line on which it begins."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nlptl.data.columns import ColumnPositions, Columns, joined_text
from nlptl.data.csv_layouts import SEPARATORS, CsvLayout, wide_fields
from nlptl.data.limits import text_too_long
from nlptl.data.row_checks import RawRows, no_rows
from nlptl.data.text_blocks import read_blocks
from nlptl.data.text_format import TextFormat
from nlptl.errors import DataError

_BATCH_ROWS = 2_000  # they fit into the processor's cache, which makes CSV about a fifth faster than 10,000
_BATCH_CHARACTERS = 4 << 20
_MAX_KNOWN_LABELS = 1_000
_MAX_ABOVE_HEADER = 10  # rows among which a header is looked for
_MAX_SUSPECTS = 100


def find_columns(path: Path, form: TextFormat, layout: CsvLayout, columns: Columns) -> ColumnPositions:
    """Return the places of the columns in the header, or in the first row. Raises DataError if one is missing."""
    line, first = next(_batches(path, form, layout, limit=form.max_line, rows=1), [(1, list[str]())])[0]
    at = f"{path}:{line}"
    if not first:
        raise no_rows(str(path))
    if not layout.header:
        return columns.number(first, at)
    if columns.are_in(first):
        return columns.match(first, at)
    is_one = len(first) == 1 and len(columns.wanted()) > 1
    instead = _separator_meant(first, layout, columns) or _header_meant(path, form, layout, columns)
    return columns.match(
        first, at, remedy=columns.door.delimiter if is_one else columns.door.no_header, instead=instead
    )


def _separator_meant(first: list[str], layout: CsvLayout, columns: Columns) -> str:
    """Return what to do where another separator would give the columns; empty if none does."""
    header = layout.delimiter.join(first)
    for sign, name in SEPARATORS.items():
        if sign != layout.delimiter and columns.are_in(header.split(sign)):
            value = "tab" if sign == "\t" else f'"{sign}"'
            return f"The header is separated by {name}. Remove `delimiter:`, or set `delimiter: {value}`."
    return ""


def _header_meant(path: Path, form: TextFormat, layout: CsvLayout, columns: Columns) -> str:
    """Return what to do where the header stands below other lines; empty if it does not."""
    for line, record in next(_batches(path, form, layout, limit=form.max_line, rows=_MAX_ABOVE_HEADER), []):
        if columns.are_in(record):
            return f"The header seems to stand in line {line}. Remove the lines above it."
    return ""


def read_csv(
    path: Path, form: TextFormat, layout: CsvLayout, positions: ColumnPositions, *, limit: int
) -> Iterator[RawRows]:
    """Stream the rows. Raises DataError for one with more or fewer fields than the header, or a field over `limit` characters."""
    label, texts = positions.label, positions.texts
    width, header, merged = 0, list[str](), _MergedRows(path, layout, label)
    for found in _batches(path, form, layout, limit=limit):
        batch = found if width or not layout.header else found[1:]
        if not width:
            width, header = len(found[0][1]), found[0][1] if layout.header else []
        if any(len(record) != width for _, record in batch):
            batch = _without_blank_lines(batch, width, path, layout)
        if not batch:
            continue
        _check_repeats(batch, header, path)
        merged.check(batch)
        yield RawRows(
            [line for line, _ in batch],
            [record[texts[0]] for _, record in batch]
            if len(texts) == 1
            else [joined_text([record[place] for place in texts]) for _, record in batch],
            None if label is None else [record[label] for _, record in batch],
            [record for _, record in batch],
        )


def spreadsheet_rows(
    path: Path, form: TextFormat, layout: CsvLayout, lines: Collection[int], *, limit: int
) -> dict[int, int]:
    """Return the row in which a spreadsheet shows the record that begins on each of `lines`, both from 1.

    A record with line ends inside quotes is one row, and the line `sep=;` is none.
    """
    before, found, last = layout.first_line - 1, dict[int, int](), max(lines, default=0)
    blocks = itertools.chain.from_iterable(io.StringIO(block, newline="\n") for _, block in read_blocks(path, form))
    reader: Any = layout.reader(itertools.islice(blocks, before, None))
    with wide_fields(limit):
        start, wanted = before + 1, set(lines)
        for row, _ in enumerate(reader, 1):
            if start in wanted:
                found[start] = row
            start = before + reader.line_num + 1
            if start > last:
                break
    return found


def _batches(
    path: Path, form: TextFormat, layout: CsvLayout, *, limit: int, rows: int = _BATCH_ROWS
) -> Iterator[list[tuple[int, list[str]]]]:
    """Yield records, each with the line on which it begins, in batches. Blank lines are skipped."""
    characters, before = 0, layout.first_line - 1

    def lines() -> Iterator[str]:
        nonlocal characters
        for _, block in read_blocks(path, form):
            characters += len(block)
            # A record may hold other line ends inside quotes, at which str.splitlines would cut.
            yield from io.StringIO(block, newline="\n")

    reader: Any = layout.reader(itertools.islice(lines(), before, None))
    start, is_over = before + 1, False
    while not is_over:
        batch, characters = list[tuple[int, list[str]]](), 0
        try:
            with wide_fields(limit):  # not around the yield: the limit is that of the whole process
                while len(batch) < rows and characters < _BATCH_CHARACTERS:
                    record = next(reader, None)
                    if record is None:
                        is_over = True
                        break
                    if record:
                        batch.append((start, record))
                    start = before + reader.line_num + 1
        except csv.Error as error:
            raise _not_csv(path, start, layout, error, limit) from None
        if batch:
            yield batch


@dataclass
class _MergedRows:
    """Check for quotes that make one row of several, although they are plain characters."""

    path: Path
    layout: CsvLayout
    label: int | None
    known: set[str] = field(default_factory=set)  # labels found
    suspects: list[tuple[int, list[str]]] = field(
        default_factory=list
    )  # rows with the labels that their lines would have

    def check(self, batch: list[tuple[int, list[str]]]) -> None:
        """Raise DataError for a row each of whose lines would be a row with a label of other rows."""
        if self.label is None or self.layout.quoting == "none":
            return
        for line, record in batch:
            if any("\n" in value for value in record):
                self._suspect(line, record, self.label)
            if len(self.known) < _MAX_KNOWN_LABELS:
                self.known.add(record[self.label])
        for line, labels in self.suspects:
            if self.known.issuperset(labels):
                raise DataError(
                    f"{self.path}:{line}: quotes make one row of {len(labels)} lines, each of which would be a row with a label. "
                    "Set `quoting: none` if quotes are plain characters, or double the quotes inside a field in quotes."
                )

    def _suspect(self, line: int, record: list[str], label: int) -> None:
        delimiter = self.layout.delimiter
        lines = [one.split(delimiter) for one in delimiter.join(record).split("\n")]
        if len(self.suspects) < _MAX_SUSPECTS and all(len(fields) == len(record) for fields in lines):
            self.suspects.append((line, [fields[label].strip("\r") for fields in lines]))


def _check_repeats(batch: list[tuple[int, list[str]]], header: list[str], path: Path) -> None:
    """Raise DataError for a row that is the header once more. With one column, it may be a text."""
    last = header[1:]
    for line, record in batch if last else ():
        if record[1:] == last and record[0].lstrip("\ufeff") == header[0].lstrip("\ufeff"):
            raise DataError(
                f"{path}:{line}: the row repeats the header, as where two files were joined. Remove the row."
            )


def _without_blank_lines(
    batch: list[tuple[int, list[str]]], width: int, path: Path, layout: CsvLayout
) -> list[tuple[int, list[str]]]:
    kept = [(line, record) for line, record in batch if len(record) > 1 or record[0].strip() or width == 1]
    for line, record in kept:
        if (found := len(record)) != width:
            first = "header" if layout.header else "first row"
            raise DataError(
                f"{path}:{line}: the row has {found} field{'s' * (found != 1)}, the {first} {width}. "
                f"{_remedy_of_width(record, width, layout)}"
            )
    return kept


def _remedy_of_width(record: list[str], width: int, layout: CsvLayout) -> str:
    if layout.quoting == "none" and any(field.lstrip().startswith('"') for field in record):
        return "Remove `quoting: none` if quotes enclose its fields."
    if len(record) > width:
        return 'Put a field that contains the separator in "quotes".'
    return "A field is missing, or a line end breaks the row in two. Add the field, or join the lines."


def _not_csv(path: Path, line: int, layout: CsvLayout, error: csv.Error, limit: int) -> DataError:
    if "field larger than field limit" in str(error):
        told = text_too_long(f"{path}:{line}", limit)
        return told if layout.quoting == "none" else DataError(f"{told} If a quote is not closed, close it.")
    reason = str(error).partition(" - do you need")[0]
    is_of_quotes = layout.quoting == "csv" and not reason.startswith("new-line")
    plain = "" if not is_of_quotes else " Set `quoting: none` if quotes are plain characters."
    return DataError(
        f"{path}:{line}: this is not valid CSV ({reason}). Separate fields by {layout.delimiter!r}. Put a field with quotes or "
        f'line ends in "quotes", and double the quotes inside it.{plain}'
    )
