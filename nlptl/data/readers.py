"""Readers of data files as streams of numbered rows: text files and tables, some of them packed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from nlptl.config import did_you_mean
from nlptl.data.columns import ColumnPositions, Columns, joined_text
from nlptl.data.compressed_files import Packing, bare_name, packing_of
from nlptl.data.csv_layouts import CsvLayout, LayoutSettings, find_layout
from nlptl.data.csv_rows import find_columns, read_csv, spreadsheet_rows
from nlptl.data.limits import MAX_TEXT_LENGTH, check_lengths
from nlptl.data.parquet_rows import parquet_columns, read_parquet
from nlptl.data.row_checks import Origin, RawRows
from nlptl.data.text_blocks import read_blocks
from nlptl.data.text_format import TextFormat, survey
from nlptl.data.workbooks import WORKBOOK_SUFFIXES, WorkbookTable, open_workbook
from nlptl.errors import DataError
from nlptl.faults import shown

SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".parquet", *WORKBOOK_SUFFIXES)

_COUNTED_IN_ROWS = (".parquet", *WORKBOOK_SUFFIXES)


@dataclass(frozen=True)
class ReadingSettings:
    """Settings of how one file is read; None is detected."""

    layout: LayoutSettings = field(default_factory=LayoutSettings)
    encoding: str | None = None
    sheet: str | int | None = None
    max_text_length: int = MAX_TEXT_LENGTH
    label_may_lack: bool = False  # in rows of a .jsonl file, which then have no label


@dataclass(frozen=True)
class FileFormat:
    """Format of a data file, as its name, its settings and its content say."""

    path: Path
    kind: str  # ending, such as ".csv"
    packing: Packing | None
    columns: Columns
    max_text_length: int
    text: TextFormat | None = None
    layout: CsvLayout | None = None
    positions: ColumnPositions | None = None
    workbook: WorkbookTable | None = None
    remarks: tuple[str, ...] = ()  # what a person should know of how the file is read
    label_may_lack: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns of a table. A .jsonl file names them in each row."""
        positions = self.positions if self.workbook is None else self.workbook.positions
        return () if positions is None else positions.names

    def shown_rows(self, lines: Collection[int]) -> dict[int, int]:
        """Return the row in which a spreadsheet shows the record on each of `lines`; nothing where it is the same number."""
        if self.layout is None or self.text is None or not (self.text.has_quotes or self.layout.first_line > 1):
            return {}
        return spreadsheet_rows(self.path, self.text, self.layout, lines, limit=self.text.max_line)

    @property
    def origin(self) -> Origin:
        """The file as the origin of its rows."""
        return Origin(str(self.path), "rows" if self.kind in _COUNTED_IN_ROWS else "lines")


def file_kind(path: Path) -> str:
    """Return the ending of `path` without .gz, such as ".csv". Raises DataError if it is not supported."""
    kind = Path(bare_name(path)).suffix
    if kind == ".json":
        raise DataError(
            f"{path}: files that end in '.json' are not supported. Write one JSON object on each line of a .jsonl file, for "
            "example with `jq -c '.[]'`."
        )
    if kind in (".xz", ".zip", ".zst", ".7z", ".rar", ".tar"):
        raise DataError(f"{path}: files that end in {kind!r} are not supported. Unpack it, or pack it as .gz or .bz2.")
    if kind not in SUFFIXES:
        raise DataError(
            f"{path}: files that end in {kind!r} are not supported.{did_you_mean(kind, SUFFIXES)} Use .txt, .csv, .tsv, "
            ".jsonl or .parquet, each with or without .gz, or .xlsx."
        )
    return kind


def find_format(path: Path, *, columns: Columns, settings: ReadingSettings) -> FileFormat:
    """Return how `path` is to be read. Raises DataError for a format or a column that does not fit."""
    kind, limit = file_kind(path), settings.max_text_length
    columns.check_once(str(path))
    packing, _ = packing_of(path)
    if kind in WORKBOOK_SUFFIXES:
        if packing is not None:
            raise DataError(f"{path}: the workbook is packed by {packing}. Unpack it.")
        book = open_workbook(path, sheet=settings.sheet, header=settings.layout.header, columns=columns)
        told = (*book.remarks, *book.positions.remarks)
        return FileFormat(path, kind, None, columns, limit, workbook=book, remarks=told)
    if kind == ".parquet":
        positions = parquet_columns(path, packing, columns)
        return FileFormat(path, kind, packing, columns, limit, positions=positions, remarks=positions.remarks)
    found = survey(path, encoding=settings.encoding, max_text_length=limit)
    if kind in (".txt", ".jsonl"):
        mixed = f"line {found.lone_return} holds a CR, which ends no line where others end in LF"
        told = (*found.remarks, mixed) if kind == ".txt" and found.lone_return else found.remarks
        lacks = settings.label_may_lack and kind == ".jsonl"
        return FileFormat(path, kind, packing, columns, limit, text=found.format, remarks=told, label_may_lack=lacks)
    usual = "\t" if kind == ".tsv" else ","
    layout, told = find_layout(path, found.format, usual=usual, columns=columns, settings=settings.layout)
    positions = find_columns(path, found.format, layout, columns)
    remarks = (*found.remarks, *told, *positions.remarks)
    return FileFormat(path, kind, packing, columns, limit, found.format, layout, positions, remarks=remarks)


def read_file(form: FileFormat, *, whole: bool = False) -> Iterator[RawRows]:
    """Stream the rows of a file, a few megabytes at a time, `whole` with all their values.

    Raises DataError with file and line for a wrong format.
    """
    return check_lengths(_rows(form, whole=whole), origin=form.origin, limit=form.max_text_length)


def _rows(form: FileFormat, *, whole: bool) -> Iterator[RawRows]:
    if form.workbook is not None:
        return form.workbook.rows(whole=whole)
    if form.text is None and form.positions is not None:
        return read_parquet(form.path, form.packing, form.positions, whole=whole)
    text = form.text or TextFormat()
    if form.layout is not None and form.positions is not None:
        return read_csv(form.path, text, form.layout, form.positions, limit=form.max_text_length)
    if form.kind == ".txt":
        return _read_txt(form.path, text)
    rows = _read_jsonl(form.path, text, form.columns, label_may_lack=form.label_may_lack)
    return rows if not form.label_may_lack else _with_a_label(rows, form.path, form.columns)


def _read_txt(path: Path, form: TextFormat) -> Iterator[RawRows]:
    for line, block in read_blocks(path, form):
        unix = block.replace("\r\n", "\n") if "\r" in block else block
        texts = unix.removesuffix("\n").split("\n")
        yield RawRows(range(line, line + len(texts)), texts, None)


def _with_a_label(rows: Iterator[RawRows], path: Path, columns: Columns) -> Iterator[RawRows]:
    """Pass rows on. Raises DataError at the end if none of them has the label's name."""
    first, found = None, columns.label is None
    for raw in rows:
        first = first or raw
        found = found or any(Columns(text=columns.label or "").are_in([*record]) for record in _mappings(raw))
        yield raw
    if first is not None and not found:
        columns.match([*next(iter(_mappings(first)))], f"{path}:{first.lines[0]}")


def _mappings(raw: RawRows) -> Iterator[Mapping[str, object]]:
    yield from (record for record in raw.records or () if isinstance(record, Mapping))


def _read_jsonl(path: Path, form: TextFormat, columns: Columns, *, label_may_lack: bool = False) -> Iterator[RawRows]:
    wanted = set(columns.wanted())
    for first, block in read_blocks(path, form):
        lines: list[int] = []
        texts: list[object] = []
        labels: list[object] = []
        records: list[Mapping[str, object]] = []
        for line, source in enumerate(block.split("\n"), first):
            if not source or source.isspace():
                continue
            record = _json_object(source, f"{path}:{line}")
            records.append(record)
            row = cast("Mapping[str | int, object]", record)
            if not wanted <= row.keys():
                row = _under_wanted_names(row, columns, f"{path}:{line}", label_may_lack=label_may_lack)
            lines.append(line)
            parts = [row[column] for column in columns.texts]
            texts.append(parts[0] if len(parts) == 1 else joined_text(parts))
            if columns.label is not None:
                labels.append(row[columns.label])
        if lines:
            yield RawRows(lines, texts, None if columns.label is None else labels, records)


def _under_wanted_names(
    row: Mapping[str | int, object], columns: Columns, at: str, *, label_may_lack: bool
) -> Mapping[str | int, object]:
    """Return the wanted values of a row whose names have another case or outer blanks. Raises DataError if one is missing."""
    names = [str(name) for name in row]
    if label_may_lack and columns.label is not None and not Columns(text=columns.label).are_in(names):
        found = _under_wanted_names(row, Columns(columns.text, door=columns.door), at, label_may_lack=False)
        return {**found, columns.label: None}
    if any(isinstance(column, int) for column in columns.wanted()):
        columns.check(names, at)
    places, values = columns.match(names, at).wanted(), list(row.values())
    return {column: values[place] for column, place in zip(columns.wanted(), places, strict=True)}


def _json_object(source: str, at: str) -> Mapping[str, object]:
    try:
        row = json.loads(source)
    except (ValueError, RecursionError) as error:
        if source.strip() == "[" or source.lstrip().startswith(("[{", "{\n")):
            raise _json_array(at) from None
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise DataError(
            f"{at}: this is not valid JSON ({reason}). Each line must be one JSON object. Correct this line."
        ) from None
    if isinstance(row, list) and row and isinstance(row[0], dict):
        raise _json_array(at)
    if not isinstance(row, dict):
        raise DataError(
            f"{at}: the row is {shown(row)} ({type(row).__name__}), but must be a JSON object such as "
            '{"text": ..., "label": ...}.'
        )
    return row


def _json_array(at: str) -> DataError:
    return DataError(
        f"{at}: the file is one JSON array, but each line must be a JSON object. Write its objects on lines of their own, for "
        "example with `jq -c '.[]'`."
    )
