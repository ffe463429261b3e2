"""A table whose columns nobody has named: opened, its columns looked at, and its header told from data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlptl.data.columns import Column, Columns
from nlptl.data.csv_layouts import SEPARATORS, LayoutSettings
from nlptl.data.data_settings import FileSource
from nlptl.data.discovery.column_looks import ColumnLook, ColumnTally, as_written
from nlptl.data.readers import FileFormat, ReadingSettings, find_format, read_file
from nlptl.data.row_checks import no_rows

_FIRST = Columns(text=1)  # whatever its name
_MAX_ROWS = 1_000_000  # that are looked at
_MAX_PAIRS = 2_000  # rows by which two columns are compared
_LONG_NAME = 60  # characters; a header's cell is hardly longer, and a text often
_ENCODINGS = {"cp1252": "Windows-1252", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}


@dataclass(frozen=True)
class SeenTable:
    """Table in a file, and what its columns look like."""

    path: Path
    form: FileFormat
    has_header: bool
    rows: int  # that were looked at
    columns: tuple[ColumnLook, ...]
    first_rows: tuple[tuple[str, ...], ...]  # their values, in the order of the columns

    def column(self, wanted: Column) -> ColumnLook | None:
        """Return a column by its name, also in other case, or by its number; None if there is none."""
        same = [one for one in self.columns if wanted in (one.key, one.name)]
        like = [one for one in self.columns if one.name.strip().casefold() == str(wanted).strip().casefold()]
        numbered = [one for one in self.columns if str(one.number) == str(wanted)]
        return next(iter([*same, *like, *numbered]), None)

    def source(self, **columns: Any) -> str | FileSource:
        """Return the file as a source in settings, with `columns` and all that is not the plain default."""
        given = dict[str, Any](columns)
        layout, text, book = self.form.layout, self.form.text, self.form.workbook
        if layout is not None:
            given |= {} if layout.delimiter == self._usual_delimiter() else {"delimiter": layout.delimiter}
            given |= {"quoting": "none"} if layout.quoting == "none" else {}
        given |= {"encoding": text.encoding} if text is not None and text.encoding != "utf-8" else {}
        given |= {"sheet": book.sheet} if book is not None and book.remarks else {}
        given |= {} if self.has_header else {"header": False}
        return FileSource(file=str(self.path), **given) if given else str(self.path)

    def described(self) -> list[str]:
        """Return how the file is written, in a few words each; nothing for the plain default."""
        layout, text, book = self.form.layout, self.form.text, self.form.workbook
        parts = list[str]()
        if layout is not None and layout.delimiter != self._usual_delimiter():
            parts.append(f"{SEPARATORS.get(layout.delimiter, repr(layout.delimiter))} between fields")
        if text is not None and text.encoding != "utf-8":
            parts.append(f"encoding {_ENCODINGS.get(text.encoding, text.encoding)}")
        if book is not None and book.remarks:
            parts.append(f"sheet {book.sheet!r}")
        return parts if self.has_header else [*parts, "no header"]

    def _usual_delimiter(self) -> str:
        return "\t" if self.form.kind == ".tsv" else ","


def look_at(path: Path) -> SeenTable:
    """Open a table and look at its columns. Raises DataError for a file that cannot be read, or has no rows."""
    seen = _seen(path, header=True)
    can_lack_header = seen.form.layout is not None or seen.form.workbook is not None
    return _seen(path, header=False) if can_lack_header and _header_is_data(seen.columns) else seen


def _seen(path: Path, *, header: bool) -> SeenTable:
    form = find_format(path, columns=_FIRST, settings=ReadingSettings(LayoutSettings(header=header)))
    tallies = {name: ColumnTally() for name in _keys(form.names)}
    count, first = 0, list[tuple[str, ...]]()
    for records in _records(form):
        for name in {name: None for record in records if isinstance(record, Mapping) for name in record}:
            tallies.setdefault(name, ColumnTally())
        values = [_values(record, tallies) for record in records]
        for tally, column in zip(tallies.values(), zip(*values, strict=True), strict=True):
            tally.add(column)
        first += [tuple(map(as_written, row)) for row in values[: _MAX_PAIRS - len(first)]]
        count += len(records)
        if count >= _MAX_ROWS:
            break
    if not count:
        raise no_rows(str(path))
    names = form.names or tuple(map(str, tallies))
    looks = [
        tally.look(name, number, rows=count, has_header=header, is_named=names.count(name) == 1 and bool(name.strip()))
        for number, (name, tally) in enumerate(zip(names, tallies.values(), strict=True), 1)
    ]
    return SeenTable(path, form, header, count, tuple(looks), tuple(first))


def _keys(names: Sequence[str]) -> list[str | int]:
    """Return a key for each column of a table, whose names may be equal."""
    return [*range(len(names))]


def _records(form: FileFormat) -> Iterator[Sequence[Sequence[object] | Mapping[str, object]]]:
    for raw in read_file(form, whole=True):
        if raw.records:
            yield raw.records


def _values(record: Sequence[object] | Mapping[str, object], keys: Mapping[Any, object]) -> Sequence[object]:
    return [record.get(key) for key in keys] if isinstance(record, Mapping) else record


def _header_is_data(columns: Sequence[ColumnLook]) -> bool:
    """Return whether the names of the columns are rather the values of a first row."""
    if any(column.hint for column in columns):
        return False
    return any(_is_value(column) for column in columns)


def _is_value(column: ColumnLook) -> bool:
    """Return whether the name of a column is a value like those below it."""
    name = column.name.strip()
    if column.look in ("labels", "few numbers") or (column.look == "words" and column.different * 2 < column.filled):
        return name in column.counts
    if column.look == "texts":
        return len(name) > _LONG_NAME or name in column.counts
    return column.look in ("dates", "numbers", "ids", "addresses") and column.is_written_alike(name)
