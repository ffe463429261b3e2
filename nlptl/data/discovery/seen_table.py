"""A table whose columns nobody has named: opened, its columns looked at, and its header told from data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nlptl.data.columns import Column, Columns, names_shown
from nlptl.data.csv_layouts import SEPARATORS, LayoutSettings
from nlptl.data.data_settings import FileSource
from nlptl.data.discovery.column_looks import ColumnLook, ColumnTally, as_written
from nlptl.data.readers import FileFormat, ReadingSettings, file_kind, find_format, read_file
from nlptl.data.row_checks import no_rows
from nlptl.data.text_format import ENCODING_NAMES
from nlptl.errors import DataError

_FIRST = Columns(text=1)  # whatever its name
_NONE = Columns(text=())  # of JSON lines, whose columns have no numbers
_MAX_ROWS = 1_000_000  # that are looked at, and more while a column has no value, as where few rows are labelled
_MAX_PAIRS = 2_000  # rows by which two columns are compared
_LONG_NAME = 60  # characters; a header's cell is hardly longer, and a text often


@dataclass(frozen=True)
class SeenTable:
    """Table in a file, and what its columns look like."""

    path: Path
    form: FileFormat
    has_header: bool
    rows: int  # that were looked at
    names: tuple[str, ...]  # of the columns; numbers where there is no header
    tallies: tuple[ColumnTally, ...] = field(repr=False)
    first_rows: tuple[tuple[str, ...], ...] = field(repr=False)  # their values, in the order of the columns

    @cached_property
    def columns(self) -> list[ColumnLook]:
        """What each column looks like."""
        return [
            tally.look(
                name, number, rows=self.rows, has_header=self.has_header,
                is_named=self.names.count(name) == 1 and bool(name.strip()),
            )
            for number, (name, tally) in enumerate(zip(self.names, self.tallies, strict=True), 1)
        ]  # fmt: skip

    def column(self, wanted: Column) -> ColumnLook | None:
        """Return a column by its name, also in other case, or by its number; None if there is none."""
        columns, plain = self.columns, str(wanted).strip().casefold()
        same = [one for one in columns if wanted in (one.key, one.name)]
        like = [one for one in columns if one.name.strip().casefold() == plain]
        numbered = [one for one in columns if str(one.number) == plain]
        return next(iter([*same, *like, *numbered]), None)

    def source(self, **columns: Any) -> str | FileSource:
        """Return the file as a source in settings, with `columns` and all that is not the plain default."""
        given = dict[str, Any](columns)
        layout, text, book = self.form.layout, self.form.text, self.form.workbook
        if layout is not None:
            given |= {} if layout.delimiter == self._usual_delimiter() else {"delimiter": layout.delimiter}
            given |= {"quoting": "none"} if layout.quoting == "none" else {}
        given |= {"encoding": text.encoding} if text is not None and text.encoding != "utf-8" else {}
        given |= {"sheet": book.sheet} if book is not None and book.other_sheets else {}
        given |= {} if self.has_header else {"header": False}
        return FileSource(file=str(self.path), **given) if given else str(self.path)

    def described(self) -> list[str]:
        """Return how the file is written, in a few words each; nothing for the plain default."""
        layout, text, book = self.form.layout, self.form.text, self.form.workbook
        parts = list[str]()
        if layout is not None and layout.delimiter != self._usual_delimiter():
            parts.append(f"{SEPARATORS.get(layout.delimiter, repr(layout.delimiter))} between fields")
        if layout is not None and layout.quoting == "none":
            parts.append("quotes as plain characters")
        if text is not None and text.encoding != "utf-8":
            parts.append(f"encoding {ENCODING_NAMES[text.encoding]}")
        if book is not None and book.other_sheets:
            parts.append(f"sheet {book.sheet!r}")
        return parts if self.has_header else [*parts, "no header, so columns have numbers"]

    def _usual_delimiter(self) -> str:
        return "\t" if self.form.kind == ".tsv" else ","


def look_at(path: Path) -> SeenTable:
    """Open a table and look at its columns. Raises DataError for a file that cannot be read, or has no rows.

    Of a workbook, the first visible sheet that has a column of texts is taken, else the first one.
    """
    first = _with_or_without_header(path, None)
    others = () if first.form.workbook is None or _has_texts(first) else first.form.workbook.other_sheets
    for sheet in others:
        try:
            found = _with_or_without_header(path, sheet)
        except DataError:  # an empty sheet
            continue
        if _has_texts(found):
            return found
    return first


def joined_tables(tables: Sequence[SeenTable]) -> SeenTable:
    """Return several tables as one, by which columns are chosen. Raises DataError where their columns differ."""
    first, *others = tables
    wanted = {_plain(name): place for place, name in enumerate(first.names)}
    for table in others:
        if table.has_header != first.has_header or {*map(_plain, table.names)} != wanted.keys():
            raise DataError(
                f"{table.path}: found the columns {_columns_told(table)}; expected those of {first.path}, {_columns_told(first)}. "
                "Rename the columns, or give texts without labels as `--unlabelled` and a test as `--test`."
            )
        places = {_plain(name): place for place, name in enumerate(table.names)}
        order = [places[name] for name in wanted]
        tallies = tuple(tally.plus(table.tallies[at]) for tally, at in zip(first.tallies, order, strict=True))
        rows = tuple(tuple(row[at] for at in order) for row in table.first_rows)
        first = replace(first, rows=first.rows + table.rows, tallies=tallies, first_rows=first.first_rows + rows)
    return first


def _with_or_without_header(path: Path, sheet: str | None) -> SeenTable:
    seen = _seen(path, sheet, header=True)
    if seen.form.workbook is not None:
        _check_nothing_above(seen)
    can_lack_header = seen.form.layout is not None or seen.form.workbook is not None
    return _seen(path, sheet, header=False) if can_lack_header and _header_is_data(seen.columns) else seen


def _seen(path: Path, sheet: str | None, *, header: bool) -> SeenTable:
    settings = ReadingSettings(LayoutSettings(header=header), sheet=sheet)
    if file_kind(path) == ".jsonl":
        form = replace(find_format(path, columns=Columns(), settings=settings), columns=_NONE)
    else:
        form = find_format(path, columns=_FIRST, settings=settings)
    tallies: dict[str | int, ColumnTally] = {place: ColumnTally() for place in range(len(form.names))}
    count, first = 0, list[tuple[str, ...]]()
    for records in _records(form):
        for name in {name: None for record in records if isinstance(record, Mapping) for name in record}:
            tallies.setdefault(name, ColumnTally())
        values = [_values(record, tallies) for record in records]
        for tally, column in zip(tallies.values(), zip(*values, strict=True), strict=True):
            tally.add(column)
        first += [tuple(map(as_written, row)) for row in values[: _MAX_PAIRS - len(first)]]
        count += len(records)
        if count >= _MAX_ROWS and all(tally.filled for tally in tallies.values()):
            break
    if not count:
        raise no_rows(str(path))
    rows = tuple(row + ("",) * (len(tallies) - len(row)) for row in first)
    return SeenTable(path, form, header, count, form.names or tuple(map(str, tallies)), tuple(tallies.values()), rows)


def _records(form: FileFormat) -> Iterator[Sequence[Sequence[object] | Mapping[str, object]]]:
    for raw in read_file(form, whole=True):
        if raw.records:
            yield raw.records


def _values(record: Sequence[object] | Mapping[str, object], keys: Mapping[Any, object]) -> Sequence[object]:
    return [record.get(key) for key in keys] if isinstance(record, Mapping) else record


def _check_nothing_above(seen: SeenTable) -> None:
    """Raise DataError where other lines stand above the header of a sheet, as in a printed report."""
    named = sum(bool(name.strip()) for name in seen.names)
    for number, row in enumerate(seen.first_rows[:10], 2):
        filled = sum(map(bool, row))
        if 2 * named < filled:
            raise DataError(
                f"{seen.path}: the first row has {named} cell{'s' * (named != 1)}, row {number} has {filled}; expected the names "
                "of the columns in the first row. Remove the rows above the header."
            )


def _has_texts(seen: SeenTable) -> bool:
    return any(column.look == "texts" for column in seen.columns)


def _header_is_data(columns: Sequence[ColumnLook]) -> bool:
    """Return whether the names of the columns are rather the values of a first row."""
    repeated = [one for one in columns if one.look in ("labels", "few numbers", "constant") and not one.hint]
    if any(column.name.strip() in column.counts for column in repeated):
        return True
    return not any(column.hint for column in columns) and any(map(_name_is_a_value, columns))


def _name_is_a_value(column: ColumnLook) -> bool:
    """Return whether the name of a column is a value like those below it."""
    name = column.name.strip()
    if column.look in ("labels", "few numbers", "words", "constant"):
        return name in column.counts or (column.look == "few numbers" and column.is_written_alike(name))
    if column.look == "texts":
        return len(name) > _LONG_NAME or name in column.counts
    return column.look != "empty" and column.is_written_alike(name)


def _columns_told(table: SeenTable) -> str:
    return names_shown(table.names) if table.has_header else f"{len(table.names)} without a header"


def _plain(name: str) -> str:
    return name.strip().casefold()
