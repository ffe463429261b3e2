"""Opened sources: a file or a data set as a stream of rows that can be read again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nlptl.config import did_you_mean
from nlptl.data.cache import cached_table
from nlptl.data.data_settings import DataSettings, FileSource, HubSource
from nlptl.data.hub import load_hub
from nlptl.data.readers import arrow_rows, file_kind, file_origin, label_names, read_file
from nlptl.data.row_checks import Columns, EmptyText, Origin, RawRows, check_rows, no_column
from nlptl.data.table import Tally, TextTable, arrow_batches, table_in_memory
from nlptl.errors import DataError
from nlptl.progress import Progress, SilentProgress, Task

if TYPE_CHECKING:
    from datasets import Dataset

_BATCH_ROWS = 10_000
_BIG_BYTES = 32 << 20
"""Size above which rows go through the cache on disk instead of memory."""
_UNPACKED_RATIO = 4
"""Assumed ratio of a packed file's content to its size."""
_READER_VERSION = 1
"""Increased when the readers return other rows for the same bytes."""


@dataclass(frozen=True)
class OpenedSource:
    """File or data set whose rows can be read repeatedly."""

    origin: Origin
    rows: Callable[[], Iterator[RawRows]]
    """Streams the unchecked rows from the beginning."""
    key: Callable[[], str]
    """Returns a string that identifies content and columns."""
    is_big: bool
    """Whether the rows go through the cache on disk."""
    megabytes: float | None
    """Approximate size of the text; None if unknown."""
    revision: str | None = None
    """Commit of a Hub data set, if known."""


def open_file(path: Path, columns: Columns) -> OpenedSource:
    """Open a data file."""
    kind, size = file_kind(path), path.stat().st_size
    is_gzip = path.name.lower().endswith(".gz")
    is_packed = is_gzip or kind == ".parquet"

    def key() -> str:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        return f"{content}/{kind}/{is_gzip}/{columns}"

    return OpenedSource(
        origin=file_origin(path),
        rows=lambda: read_file(path, columns=columns),
        key=key,
        is_big=size * (_UNPACKED_RATIO if is_packed else 1) > _BIG_BYTES,
        megabytes=None if is_packed else size / 1e6,
    )


def open_dataset(dataset: Dataset, name: str, columns: Columns, revision: str | None = None) -> OpenedSource:
    """Open a 🤗 data set, from the Hub or from a user."""
    size = int(dataset.data.nbytes)
    return OpenedSource(
        origin=Origin(name),
        rows=lambda: _dataset_rows(dataset, name, columns),
        key=lambda: f"{dataset._fingerprint}/{columns}",
        is_big=size > _BIG_BYTES,
        megabytes=size / 1e6,
        revision=revision,
    )


def _dataset_rows(dataset: Dataset, name: str, columns: Columns) -> Iterator[RawRows]:
    wanted = [columns.text] + ([] if columns.label is None else [columns.label])
    for column in wanted:
        if column not in dataset.column_names:
            kind: Literal["text", "label"] = "text" if column == columns.text else "label"
            raise no_column(name, column, dataset.column_names, kind=kind)
    chosen = dataset.select_columns(wanted)
    names = label_names(chosen.features.arrow_schema, columns.label)
    start = 1
    for batch in chosen.with_format("arrow").iter(_BATCH_ROWS):
        yield arrow_rows(batch, columns, start=start, names=names)
        start += batch.num_rows


@dataclass(frozen=True)
class LoadedTable:
    """Table that was read from a source."""

    table: TextTable
    skipped: int
    """Rows without text that were skipped."""


def open_source(
    source: str | FileSource | HubSource, *, settings: DataSettings, labelled: bool, where: str
) -> OpenedSource:
    """Open one source of `settings`. `where` is its YAML path.

    Raises DataError for a missing or unsupported file, and for a Hub data set that cannot be loaded.
    """
    if isinstance(source, str):
        source = FileSource(file=source)
    columns = Columns(
        text=source.text or settings.text_column,
        label=(source.label or settings.label_column) if labelled else None,
    )
    if isinstance(source, HubSource):
        dataset, revision = load_hub(source, where=where)
        return open_dataset(dataset, f"{source.hub}, split {source.split}", columns, revision)
    path = Path(source.file)
    _check_file(path, labelled=labelled, where=where)
    return open_file(path, columns)


def load(source: OpenedSource, *, empty_text: EmptyText, progress: Progress | None = None) -> LoadedTable:
    """Read all rows of `source` into a table: in memory, or through the cache on disk if the source is big."""
    with (progress or SilentProgress()).task(
        f"reading {source.origin.name}", total=source.megabytes, unit="MB"
    ) as task:
        return _load(source, empty_text, task)


def _load(source: OpenedSource, empty_text: EmptyText, task: Task) -> LoadedTable:
    def rows() -> Iterator[RawRows]:
        for found in source.rows():
            yield found
            task.advance(sum(len(text) for text in found.texts if isinstance(text, str)) / 1e6)

    if not source.is_big:
        tally = Tally()
        table = table_in_memory(rows(), origin=source.origin, empty_text=empty_text, tally=tally)
        return LoadedTable(table, tally.skipped)

    def batches(tally: Tally) -> Iterator[object]:
        return arrow_batches(rows(), origin=source.origin, empty_text=empty_text, tally=tally)

    key = hashlib.sha256(f"{source.key()}/{empty_text}/{_READER_VERSION}".encode()).hexdigest()
    table, skipped = cached_table(key, name=source.origin.name, batches=batches)
    return LoadedTable(table, skipped)


def place_of_row(source: OpenedSource, index: int, *, empty_text: EmptyText) -> str:
    """Return the place, such as "test.csv:17", of row `index` (counted from 0) of the table read from `source`.

    Reads the source again up to that row, so that tables need not keep line numbers.
    """
    for found in source.rows():
        rows = check_rows(found, origin=source.origin, empty_text=empty_text)
        if index < len(rows.lines):
            return source.origin.at(rows.lines[index])
        index -= len(rows.lines)
    return source.origin.name


def _check_file(path: Path, *, labelled: bool, where: str) -> None:
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DataError(f"{where}: {str(path)[:80]!r} cannot be opened ({error.strerror}). Check the path.") from None
    if path.is_dir():
        raise DataError(f"{where}: {path} is a folder. Give the path of a file in it.")
    if not path.exists():
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"{where}: there is no file {str(path)!r}.{did_you_mean(path.name, names)} Check the path.")
    if file_kind(path) == ".txt" and labelled:
        raise DataError(
            f"{where}: {path} has no labels, since it is a .txt file. Use a .csv, .tsv, .jsonl or .parquet file with a text "
            "and a label in each row."
        )
