"""Opened sources: a file or a data set as a stream of rows that can be read again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.artifact import file_digest
from nlptl.config import did_you_mean
from nlptl.data.cache import cached_table
from nlptl.data.data_settings import DataSettings, FileSource, HubSource
from nlptl.data.hub import load_hub
from nlptl.data.readers import arrow_rows, file_kind, read_file
from nlptl.data.row_checks import SETTINGS_DOOR, Columns, Door, EmptyLabel, EmptyText, Origin, RawRows, check_rows
from nlptl.data.table import Tally, TextTable, arrow_batches, table_in_memory
from nlptl.errors import DataError
from nlptl.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from datasets import Dataset

_BATCH_ROWS = 10_000
_BIG_BYTES = 32 << 20  # size above which rows go through the cache on disk instead of memory
_UNPACKED_RATIO = 4  # assumed ratio of a packed file's content to its size
_READER_VERSION = 2  # increased when the readers return other rows for the same bytes


@dataclass(frozen=True)
class OpenedSource:
    """File or data set whose rows can be read repeatedly."""

    origin: Origin
    rows: Callable[[], Iterator[RawRows]]  # streams the unchecked rows from the beginning
    key: Callable[[], str]  # returns a string that identifies content and columns
    is_big: bool  # whether the rows go through the cache on disk
    megabytes: float | None  # approximate size of the text; None if unknown
    revision: str | None = None  # commit of a Hub data set, if known


def _open_file(path: Path, columns: Columns) -> OpenedSource:
    kind, size = file_kind(path), path.stat().st_size
    is_gzip = path.name.lower().endswith(".gz")
    is_packed = is_gzip or kind == ".parquet"

    return OpenedSource(
        origin=Origin(str(path), "rows" if kind == ".parquet" else "lines", columns.door),
        rows=lambda: read_file(path, columns=columns),
        key=lambda: f"{file_digest(path)}/{kind}/{is_gzip}/{columns}",
        is_big=size * (_UNPACKED_RATIO if is_packed else 1) > _BIG_BYTES,
        megabytes=None if is_packed else size / 1e6,
    )


def open_dataset(dataset: Dataset, name: str, columns: Columns, revision: str | None = None) -> OpenedSource:
    """Open a 🤗 data set, from the Hub or from a user."""
    size = int(dataset.data.nbytes)
    return OpenedSource(
        origin=Origin(name, door=columns.door),
        rows=lambda: _dataset_rows(dataset, name, columns),
        key=lambda: f"{dataset._fingerprint}/{columns}",
        is_big=size > _BIG_BYTES,
        megabytes=size / 1e6,
        revision=revision,
    )


def _dataset_rows(dataset: Dataset, name: str, columns: Columns) -> Iterator[RawRows]:
    columns.check(dataset.column_names, name)
    chosen = dataset.select_columns(columns.wanted())
    yield from arrow_rows(chosen.with_format("arrow").iter(_BATCH_ROWS), columns, chosen.features.arrow_schema)


def open_source(
    source: str | FileSource | HubSource,
    *,
    settings: DataSettings,
    labelled: bool,
    where: str,
    door: Door = SETTINGS_DOOR,
) -> OpenedSource:
    """Open one source, whose YAML path is `where`. Raises DataError if that is missing, unsupported or cannot be loaded."""
    if isinstance(source, str):
        source = FileSource(file=source)
    label = (source.label or settings.label_column) if labelled else None
    columns = Columns(source.text or settings.text_column, label, door)
    if isinstance(source, HubSource):
        dataset, revision = load_hub(source, where=where)
        return open_dataset(dataset, f"{source.hub}, split {source.split}", columns, revision)
    path = Path(source.file)
    _check_file(path, labelled=labelled, where=where)
    return _open_file(path, columns)


def load(
    source: OpenedSource, *, empty_text: EmptyText, empty_label: EmptyLabel = "refuse", progress: Progress | None = None
) -> tuple[TextTable, int]:
    """Read a source into a table, in memory or through the cache. Return it and the number of skipped rows without text.

    Unless `empty_label` is "refuse", rows without a label have the label "" in the table.
    """
    name = source.origin.name
    with (progress or SilentProgress()).task(f"reading {name}", total=source.megabytes, unit="MB") as task:

        def rows() -> Iterator[RawRows]:
            for found in source.rows():
                yield found
                task.advance(sum(len(text) for text in found.texts if isinstance(text, str)) / 1e6)

        def batches(tally: Tally) -> Iterator[object]:
            return arrow_batches(
                rows(), origin=source.origin, empty_text=empty_text, empty_label=empty_label, tally=tally
            )

        if source.is_big:
            treatment = f"{empty_text}/{empty_label != 'refuse'}"
            key = hashlib.sha256(f"{source.key()}/{treatment}/{_READER_VERSION}".encode()).hexdigest()
            return cached_table(key, name=name, batches=batches)
        tally = Tally()
        return table_in_memory(batches(tally), tally, name), tally.skipped


def places_of_rows(
    source: OpenedSource, rows: Sequence[int], *, empty_text: EmptyText, empty_label: EmptyLabel = "refuse"
) -> list[str]:
    """Return the places of `rows` (from 0), such as "test.csv:17". Read again, since tables keep no line numbers."""
    found: dict[int, str] = {}
    start = 0
    for raw in source.rows() if rows else ():
        lines = check_rows(raw, origin=source.origin, empty_text=empty_text, empty_label=empty_label).lines
        found |= {row: source.origin.at(lines[row - start]) for row in rows if 0 <= row - start < len(lines)}
        start += len(lines)
        if start > max(rows):
            break
    return [found.get(row, source.origin.name) for row in rows]


def _check_file(path: Path, *, labelled: bool, where: str) -> None:
    try:
        path.stat()
    except FileNotFoundError:
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        meant = did_you_mean(path.name, names)
        raise DataError(f"{where}: there is no file {str(path)!r}.{meant} Check the path.") from None
    except OSError as error:
        raise DataError(f"{where}: {str(path)[:80]!r} cannot be opened ({error.strerror}). Check the path.") from None
    if path.is_dir():
        raise DataError(f"{where}: {path} is a folder. Give the path of a file in it.")
    if file_kind(path) == ".txt" and labelled:
        raise DataError(
            f"{where}: {path} has no labels, since it is a .txt file. "
            "Use a .csv, .tsv, .jsonl or .parquet file with a text and a label in each row."
        )
