"""Opened sources: a file or a data set as a stream of rows that can be read again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

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


class Input(Protocol):
    """Opened source. `rows` starts again at every call."""

    @property
    def origin(self) -> Origin:
        """Name of the source in error messages."""

    @property
    def is_big(self) -> bool:
        """Whether its rows go through the cache on disk."""

    @property
    def megabytes(self) -> float | None:
        """Approximate size of its text; None if unknown."""

    @property
    def revision(self) -> str | None:
        """Commit of a Hub data set, if known."""

    def rows(self) -> Iterator[RawRows]:
        """Stream the unchecked rows."""

    def key(self) -> str:
        """Return a key that identifies content and columns."""


@dataclass(frozen=True)
class FileInput:
    """Data file."""

    path: Path
    columns: Columns
    revision: str | None = None

    @property
    def origin(self) -> Origin:
        """Path of the file, counted in lines."""
        return file_origin(self.path)

    @property
    def is_big(self) -> bool:
        """Whether the file's unpacked content is large."""
        return self.path.stat().st_size * (_UNPACKED_RATIO if self._is_packed else 1) > _BIG_BYTES

    @property
    def megabytes(self) -> float | None:
        """Size of the file; None if it is packed."""
        return None if self._is_packed else self.path.stat().st_size / 1e6

    @property
    def _is_packed(self) -> bool:
        return self.path.name.lower().endswith(".gz") or file_kind(self.path) == ".parquet"

    def rows(self) -> Iterator[RawRows]:
        """Stream the file."""
        return read_file(self.path, columns=self.columns)

    def key(self) -> str:
        """Return the digest of the file's bytes, its format and the columns."""
        with self.path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        packed = self.path.name.lower().endswith(".gz")
        return f"{content}/{file_kind(self.path)}/{packed}/{self.columns}"


@dataclass(frozen=True)
class DatasetInput:
    """🤗 data set, from the Hub or from a user."""

    dataset: Dataset
    name: str
    columns: Columns
    revision: str | None = None

    @property
    def origin(self) -> Origin:
        """Name of the data set, counted in rows."""
        return Origin(self.name)

    @property
    def is_big(self) -> bool:
        """Whether its Arrow table is large."""
        return int(self.dataset.data.nbytes) > _BIG_BYTES

    @property
    def megabytes(self) -> float | None:
        """Size of its Arrow table."""
        return float(self.dataset.data.nbytes) / 1e6

    def rows(self) -> Iterator[RawRows]:
        """Stream the rows, with ClassLabel ids replaced by names."""
        wanted = [self.columns.text] + ([] if self.columns.label is None else [self.columns.label])
        found = self.dataset.column_names
        for column in wanted:
            if column not in found:
                raise no_column(self.name, column, found, kind="text" if column == self.columns.text else "label")
        chosen = self.dataset.select_columns(wanted)
        names = label_names(chosen.features.arrow_schema, self.columns.label)
        start = 1
        for batch in chosen.with_format("arrow").iter(_BATCH_ROWS):
            yield arrow_rows(batch, self.columns, start=start, names=names)
            start += batch.num_rows

    def key(self) -> str:
        """Return the fingerprint of 🤗 datasets, and the columns."""
        return f"{self.dataset._fingerprint}/{self.columns}"


@dataclass(frozen=True)
class LoadedTable:
    """Table that was read from a source."""

    table: TextTable
    skipped: int
    """Rows without text that were skipped."""


def open_source(source: str | FileSource | HubSource, *, settings: DataSettings, labelled: bool, where: str) -> Input:
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
        return DatasetInput(dataset, f"{source.hub}, split {source.split}", columns, revision)
    path = Path(source.file)
    _check_file(path, labelled=labelled, where=where)
    return FileInput(path, columns)


def load(source: Input, *, empty_text: EmptyText, progress: Progress | None = None) -> LoadedTable:
    """Read all rows of `source` into a table: in memory, or through the cache on disk if the source is big."""
    with (progress or SilentProgress()).task(
        f"reading {source.origin.name}", total=source.megabytes, unit="MB"
    ) as task:
        return _load(source, empty_text, task)


def _load(source: Input, empty_text: EmptyText, task: Task) -> LoadedTable:
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


def place_of_row(source: Input, index: int, *, empty_text: EmptyText) -> str:
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
