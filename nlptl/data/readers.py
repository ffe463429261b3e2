"""Readers of data files as streams of numbered rows: txt, csv, tsv, jsonl and parquet, each also gzipped."""

from __future__ import annotations

import csv
import io
import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nlptl.config import did_you_mean
from nlptl.data.row_checks import Columns, RawRows, no_rows
from nlptl.data.text_blocks import read_blocks, read_bytes
from nlptl.drafts import temporary_folder
from nlptl.errors import DataError, first_line
from nlptl.faults import shown

SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".parquet")

_BATCH_ROWS = 2_000  # they fit into the processor's cache, which makes CSV about a fifth faster than 10,000
_MAX_FIELD_CHARACTERS = 1 << 24  # an unclosed quote is reported here, before it swallows the rest of a huge file


def file_kind(path: Path) -> str:
    """Return the ending of `path` without .gz, such as ".csv". Raises DataError if it is not supported."""
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    if kind not in SUFFIXES:
        raise DataError(
            f"{path}: files that end in {kind!r} are not supported.{did_you_mean(kind, SUFFIXES)} Use .txt, .csv, .tsv, "
            ".jsonl or .parquet, each with or without .gz."
        )
    return kind


def read_file(path: Path, *, columns: Columns) -> Iterator[RawRows]:
    """Stream the rows of `path`, a few megabytes at a time. Raises DataError with file and line for a wrong format."""
    kind = file_kind(path)
    if kind == ".txt":
        return _read_txt(path)
    if kind == ".jsonl":
        return _read_jsonl(path, columns)
    if kind == ".parquet":
        return _read_parquet(path, columns)
    return _read_csv(path, columns, delimiter="\t" if kind == ".tsv" else ",")


def _read_txt(path: Path) -> Iterator[RawRows]:
    for line, block in read_blocks(path):
        unix = block.replace("\r\n", "\n") if "\r" in block else block
        texts = unix.removesuffix("\n").split("\n")
        yield RawRows(range(line, line + len(texts)), texts, None)


def _read_csv(path: Path, columns: Columns, *, delimiter: str) -> Iterator[RawRows]:
    # A record may hold other line ends inside quotes, at which str.splitlines would cut.
    lines = itertools.chain.from_iterable(io.StringIO(block, newline="\n") for _, block in read_blocks(path))
    records = _csv_records(lines, path, delimiter)
    header_line, header = next(records, (1, []))
    if not header:
        raise no_rows(str(path))
    text, label = _positions(f"{path}:{header_line}", header, columns)
    while batch := list(itertools.islice(records, _BATCH_ROWS)):
        for line, record in batch:
            if (count := len(record)) != len(header):
                raise DataError(
                    f"{path}:{line}: the row has {count} field{'s' * (count != 1)}, the header {len(header)}. "
                    'Put a field that contains the separator in "quotes".'
                )
        labels = None if label is None else [record[label] for _, record in batch]
        yield RawRows([line for line, _ in batch], [record[text] for _, record in batch], labels)


def _csv_records(lines: Iterator[str], path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line on which it begins. Blank lines are skipped."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    usual_limit = csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    start = 1
    try:
        for record in reader:
            if record:
                yield start, record
            start = reader.line_num + 1
    except csv.Error as error:
        reason = str(error).partition(" - do you need")[0]
        raise DataError(
            f"{path}:{start}: this is not valid CSV ({reason}). Separate fields by {delimiter!r}. Put a field with quotes or "
            'line ends in "quotes", and double the quotes inside it.'
        ) from None
    finally:
        csv.field_size_limit(usual_limit)


def _positions(at: str, header: list[str], columns: Columns) -> tuple[int, int | None]:
    for column in (columns.text, columns.label):
        if header.count(column or "") > 1:
            raise DataError(f"{at}: there are two columns {column!r}. Rename one of them.")
    columns.check(header, at)
    return header.index(columns.text), None if columns.label is None else header.index(columns.label)


def _read_jsonl(path: Path, columns: Columns) -> Iterator[RawRows]:
    wanted = set(columns.wanted())
    for first, block in read_blocks(path):
        lines: list[int] = []
        texts: list[object] = []
        labels: list[object] = []
        for line, source in enumerate(block.split("\n"), first):
            if not source or source.isspace():
                continue
            row = _json_object(source, f"{path}:{line}")
            if not wanted <= row.keys():
                columns.check(row, f"{path}:{line}")
            lines.append(line)
            texts.append(row[columns.text])
            if columns.label is not None:
                labels.append(row[columns.label])
        if lines:
            yield RawRows(lines, texts, None if columns.label is None else labels)


def _json_object(source: str, at: str) -> dict[str, object]:
    try:
        row = json.loads(source)
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise DataError(
            f"{at}: this is not valid JSON ({reason}). Each line must be one JSON object. Correct this line."
        ) from None
    if not isinstance(row, dict):
        raise DataError(
            f"{at}: the row is {shown(row)} ({type(row).__name__}), but must be a JSON object such as "
            '{"text": ..., "label": ...}.'
        )
    return row


def _read_parquet(path: Path, columns: Columns) -> Iterator[RawRows]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _plain(path) as plain:
        try:
            file = pq.ParquetFile(plain, pre_buffer=False, buffer_size=1 << 20)
            _positions(str(path), file.schema_arrow.names, columns)
            batches = file.iter_batches(batch_size=_BATCH_ROWS, columns=columns.wanted())
            yield from arrow_rows(batches, columns, file.schema_arrow)
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{path}: the parquet file is damaged ({first_line(error)}). Write or copy it again."
            ) from None


def arrow_rows(batches: Iterable[Any], columns: Columns, schema: Any) -> Iterator[RawRows]:
    """Yield Arrow batches as rows numbered from 1, with the ids of a ClassLabel replaced by its names in `schema`."""
    names = _label_names(schema, columns.label)
    start = 1
    for batch in batches:
        labels = None if columns.label is None else batch.column(columns.label).to_pylist()
        if labels is not None and names is not None:
            labels = [names[label] if label is not None and 0 <= label < len(names) else None for label in labels]
        yield RawRows(range(start, start + batch.num_rows), batch.column(columns.text).to_pylist(), labels)
        start += batch.num_rows


def _label_names(schema: Any, column: str | None) -> list[str] | None:
    """Return the names of a ClassLabel column, which 🤗 datasets keeps in the schema; None for other columns."""
    if column is None or b"huggingface" not in (schema.metadata or {}):
        return None
    from datasets import Features

    names = getattr(Features.from_arrow_schema(schema).get(column), "names", None)
    return None if names is None else list(names)


@contextmanager
def _plain(path: Path) -> Iterator[Path]:
    """Yield `path`, or a temporary unpacked copy of a .gz, since parquet is read from its end."""
    if not path.name.lower().endswith(".gz"):
        yield path
        return
    with temporary_folder("unpacked") as folder:
        copy = folder / "rows.parquet"
        with copy.open("wb") as file:
            for chunk in read_bytes(path):
                try:
                    file.write(chunk)
                except OSError as error:
                    raise DataError(
                        f"{path}: the file cannot be unpacked into {tempfile.gettempdir()} ({error.strerror}). "
                        "Free disk space there, or set TMPDIR to another folder."
                    ) from None
        yield copy
