"""Opened sources: a file or a data set as a stream of rows that can be read again."""

from __future__ import annotations

import dataclasses
import hashlib
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlptl.artifact import file_digest
from nlptl.config import did_you_mean
from nlptl.data.arrow_rows import arrow_rows
from nlptl.data.cache import cached_table
from nlptl.data.columns import SETTINGS_DOOR, Columns, Door
from nlptl.data.compressed_files import bare_name
from nlptl.data.csv_layouts import SEPARATORS, LayoutSettings
from nlptl.data.data_settings import DataSettings, FileSource, HubSource, LabelCells
from nlptl.data.hub import load_hub
from nlptl.data.label_cells import rows_of_sets
from nlptl.data.readers import ReadingSettings, file_kind, find_format, read_file
from nlptl.data.row_checks import EmptyLabel, EmptyText, Origin, RawRows, check_rows
from nlptl.data.table import Tally, TextTable, arrow_batches, table_in_memory
from nlptl.data.text_blocks import read_blocks
from nlptl.data.text_folders import open_text_folder
from nlptl.data.text_format import survey
from nlptl.errors import ConfigError, DataError
from nlptl.faults import shown
from nlptl.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from datasets import Dataset

_BATCH_ROWS = 10_000
_BIG_BYTES = 32 << 20  # size above which rows go through the cache on disk instead of memory
_UNPACKED_RATIO = 4  # assumed ratio of a packed file's content to its size
_READER_VERSION = 5  # increased when the readers return other rows for the same bytes


@dataclass(frozen=True)
class OpenedSource:
    """File or data set whose rows can be read repeatedly."""

    origin: Origin
    rows: Callable[[], Iterator[RawRows]]  # streams the unchecked rows from the beginning
    key: Callable[[], str]  # returns a string that identifies content and columns
    is_big: bool  # whether the rows go through the cache on disk
    megabytes: float | None  # approximate size of the text; None if unknown
    revision: str | None = None  # commit of a Hub data set, if known
    names: tuple[str, ...] = ()  # of all columns of a table
    remarks: tuple[str, ...] = ()  # sentences on how the source is read, where that is not the plain default
    shown_rows: Callable[[Collection[int]], Mapping[int, int]] = (
        lambda _: {}
    )  # rows of a spreadsheet by line, where they differ


def _open_file(path: Path, columns: Columns, settings: ReadingSettings, *, whole: bool) -> OpenedSource:
    form, size = find_format(path, columns=columns, settings=settings), path.stat().st_size
    kept = form.workbook.remarks_on_kept() if whole and form.workbook is not None else ()
    is_packed = form.packing is not None or form.text is None
    return OpenedSource(
        origin=dataclasses.replace(form.origin, door=columns.door),
        rows=lambda: read_file(form, whole=whole),
        key=lambda: f"{file_digest(path)}/{dataclasses.replace(form, path=Path(), remarks=())}",
        is_big=size * (_UNPACKED_RATIO if is_packed else 1) > _BIG_BYTES,
        megabytes=None if is_packed else size / 1e6,
        names=form.names,
        shown_rows=form.shown_rows,
        remarks=tuple(f"{path}: {remark}." for remark in (*form.remarks, *kept)),
    )


def _open_folder(
    source: FileSource, settings: DataSettings, *, labelled: bool, where: str, door: Door, whole: bool
) -> OpenedSource:
    for name in ("text", "label", "delimiter", "quoting", "header", "sheet"):
        if getattr(source, name) is not None:
            raise DataError(f"{where}: {source.file} is a folder of texts, which has no {name}. Remove `{name}:`.")
    reading = _reading_settings(source, settings)
    folder = open_text_folder(
        Path(source.file), labelled=labelled, encoding=reading.encoding, max_text_length=reading.max_text_length, where=where
    )  # fmt: skip
    size = folder.size
    return OpenedSource(
        origin=folder.origin(door),
        rows=lambda: folder.rows(labelled=labelled, whole=whole),
        key=lambda: f"{folder.key()}/{labelled}",
        is_big=size > _BIG_BYTES,
        megabytes=size / 1e6,
        remarks=tuple(f"{folder.path}: {remark}." for remark in folder.remarks),
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
    found = columns.match(dataset.column_names, name)
    names = [dataset.column_names[place] for place in found.wanted()]
    chosen = dataset.select_columns(list(dict.fromkeys(names)))
    yield from arrow_rows(
        chosen.with_format("arrow").iter(_BATCH_ROWS),
        origin=Origin(name),
        texts=names[: len(found.texts)],
        label=None if found.label is None else names[-1],
        schema=chosen.features.arrow_schema,
    )


def open_source(
    source: str | PathLike[str] | FileSource | HubSource,
    *,
    settings: DataSettings,
    labelled: bool,
    where: str,
    door: Door = SETTINGS_DOOR,
    whole: bool = False,
) -> OpenedSource:
    """Open one source, whose YAML path is `where`; the rows of a file may be `whole`, with all their values.

    Raises DataError if the source is missing, unsupported or cannot be loaded.
    """
    if isinstance(source, str | PathLike):
        source = FileSource(file=fspath(source))
    if not isinstance(source, FileSource | HubSource):
        raise ConfigError(
            f"{where}: {shown(source)} ({type(source).__name__}) is not a source. Give the path of a file, a FileSource or a "
            "HubSource."
        )
    label = (source.label or settings.label_column) if labelled else None
    text = source.text or settings.text_column
    columns = Columns(tuple(text) if isinstance(text, list) else text, label, door)
    if isinstance(source, HubSource):
        dataset, revision = load_hub(source, where=where)
        opened = open_dataset(dataset, f"{source.hub}, split {source.split}", columns, revision)
    else:
        opened = _open_path(source, settings, columns, labelled=labelled, where=where, whole=whole)
    return with_label_sets(opened, settings.labels) if labelled and settings.labels else opened


def _open_path(
    source: FileSource, settings: DataSettings, columns: Columns, *, labelled: bool, where: str, whole: bool
) -> OpenedSource:
    path = Path(source.file)
    check_path(path, where=where)
    if path.is_dir():
        return _open_folder(source, settings, labelled=labelled, where=where, door=columns.door, whole=whole)
    _check_file(path, columns, labelled=labelled, where=where)
    return _open_file(path, columns, _reading_settings(source, settings), whole=whole)


def with_label_sets(source: OpenedSource, cells: LabelCells) -> OpenedSource:
    """Return a source each of whose labels is a list."""
    empty_is_none = cells.empty == "no_label"
    return dataclasses.replace(
        source,
        rows=lambda: rows_of_sets(source.rows(), separator=cells.separator, empty_is_none=empty_is_none),
        key=lambda: f"{source.key()}/{cells}",
    )


def check_path(path: Path, *, where: str) -> None:
    """Raise DataError for a path at which there is nothing that can be opened."""
    try:
        str(path).encode()
        path.stat()
    except UnicodeEncodeError:
        raise DataError(
            f"{where}: the path {ascii(str(path))[:80]} is not UTF-8. Give the file a name in UTF-8."
        ) from None
    except FileNotFoundError:
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        meant = did_you_mean(path.name, names)
        raise DataError(f"{where}: there is no file {str(path)!r}.{meant} Check the path.") from None
    except (OSError, ValueError) as error:  # ValueError for a NUL
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{where}: {str(path)[:80]!r} cannot be opened ({reason}). Check the path.") from None


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

        tally = Tally()
        kept = None if source.is_big else _kept_in_memory(batches(tally))
        if kept is None:
            treatment = f"{empty_text}/{empty_label != 'refuse'}"
            key = hashlib.sha256(f"{source.key()}/{treatment}/{_READER_VERSION}".encode()).hexdigest()
            return cached_table(key, name=name, batches=batches)
        return table_in_memory(kept, tally, name), tally.skipped


def _kept_in_memory(batches: Iterator[Any]) -> list[Any] | None:
    """Return all batches, or None if they are large: the size of a packed file does not tell."""
    kept, size = list[Any](), 0
    for batch in batches:
        kept.append(batch)
        size += batch.nbytes
        if size > _UNPACKED_RATIO * _BIG_BYTES:
            return None
    return kept


def places_of_rows(
    source: OpenedSource, rows: Sequence[int], *, empty_text: EmptyText, empty_label: EmptyLabel = "refuse"
) -> list[str]:
    """Return the places of `rows` (from 0), such as "test.csv:17"."""
    numbers = numbers_of_rows(source, rows, empty_text=empty_text, empty_label=empty_label)
    return [source.origin.name if number is None else source.origin.at(number) for number in numbers]


def numbers_of_rows(
    source: OpenedSource, rows: Sequence[int], *, empty_text: EmptyText, empty_label: EmptyLabel = "refuse"
) -> list[int | None]:
    """Return the lines or rows of the source on which `rows` (from 0) stand. Read again, since tables do not keep them."""
    wanted = np.unique(np.asarray(rows, dtype=np.int64))
    found: dict[int, int] = {}
    start = 0
    for raw in source.rows() if len(wanted) else ():
        lines = check_rows(raw, origin=source.origin, empty_text=empty_text, empty_label=empty_label).lines
        first, end = np.searchsorted(wanted, [start, start + len(lines)])
        found |= {row: lines[row - start] for row in wanted[first:end].tolist()}
        start += len(lines)
        if start > wanted[-1]:
            break
    return [found.get(row) for row in rows]


def _reading_settings(source: FileSource, settings: DataSettings) -> ReadingSettings:
    """Return the settings of a file, each from its own block or the data block."""

    def chosen(name: str) -> Any:
        own = getattr(source, name)
        return getattr(settings, name) if own is None else own

    layout = LayoutSettings(chosen("delimiter"), chosen("quoting"), chosen("header"))
    lacks = settings.empty_label != "refuse"
    return ReadingSettings(layout, chosen("encoding"), chosen("sheet"), settings.max_text_length, lacks)


def _check_file(path: Path, columns: Columns, *, labelled: bool, where: str) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        raise DataError(
            f"{where}: {path} is a pipe or a device, which cannot be read twice. Save its content in a file, and give that."
        )
    if file_kind(path) == ".txt" and labelled:
        remedy = "Use a .csv, .tsv, .jsonl or .parquet file with a text and a label in each row."
        if renamed := _table_name(path, columns):
            remedy = f"Its first line names the columns: rename it to {renamed}."
        raise DataError(f"{where}: {path} has no labels, since it is a .txt file. {remedy}")


def _table_name(path: Path, columns: Columns) -> str:
    """Return the name that a .txt file would have as a table; empty if its first line does not name the columns."""
    try:
        line = next(read_blocks(path, survey(path).format), (1, ""))[1].partition("\n")[0]
    except DataError:
        return ""
    end = len(bare_name(path))
    for sign in SEPARATORS:
        if columns.are_in([name.strip('"') for name in line.split(sign)]):
            return path.name[: end - len(".txt")] + (".tsv" if sign == "\t" else ".csv") + path.name[end:]
    return ""
