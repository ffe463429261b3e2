"""Rows of one shard, read where it is worked off: from a file of this machine or from an object store."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.errors import DataError, first_line
from nlptl.interfaces.piles.places import Place
from nlptl.interfaces.prediction_input import EmptyText, InputRows, KeptColumns, WithoutText
from nlptl.interfaces.remedies import PREDICT_DOOR

if TYPE_CHECKING:
    from nlptl.data import DataSettings
    from nlptl.data.row_checks import Origin, RawRows
    from nlptl.data.sources import OpenedSource

BATCH_ROWS = 10_000  # of a parquet file, read at once


@dataclass(frozen=True)
class Shard:
    """Rows of one file of a pile, from `first`, counted from 0; without `rows`, all of them."""

    number: int
    file: str
    size: int  # bytes of the whole file
    changed: int  # when, in ns
    first: int = 0
    rows: int | None = None

    def told(self) -> str:
        """Return the shard's name in a sentence."""
        if self.rows is None:
            return self.file
        return f"{self.file}, rows {self.first + 1:,} to {self.first + self.rows:,}"


@dataclass(frozen=True)
class PileReading:
    """How the rows of all shards are read."""

    settings: DataSettings
    empty_text: EmptyText
    keep: tuple[str, ...] | None  # columns beside the text; None keeps all
    names: tuple[str, ...]  # of all columns of the pile
    text: str  # name of the column with the texts

    def kept(self, header: tuple[str, ...] = (), *, where: str = "--file") -> KeptColumns:
        """Return the columns that are kept, of a table with this `header`. Raises ConfigError for one that is not there."""
        if self.keep is None and header and header != self.names:  # the same columns in another order
            return KeptColumns(self.names, tuple(map(header.index, self.names)), with_text=False)
        return KeptColumns.of(self.names, header, self.keep, text=self.text, where=where)

    @contextlib.contextmanager
    def of(self, shard: Shard, without_text: WithoutText) -> Iterator[tuple[Origin, Iterator[InputRows]]]:
        """Lend the rows of a shard in batches, and the origin that names them in errors."""
        place = Place(shard.file)
        if place.is_local and not Path(shard.file).exists():
            raise DataError(
                f"{shard.file}: {socket.gethostname()} has no such file; expected one that all workers see. Put the pile on a "
                "shared file system, or into an object store."
            )
        whole = self.keep != ()
        opened = (
            _parquet(place, self.settings, shard) if _is_parquet(place) else _sliced(place, self.settings, shard, whole)
        )
        with opened as (origin, header, rows):
            kept = self.kept(header, where=shard.file)
            yield origin, kept.of_rows(rows, origin, self.empty_text, without_text)


@contextlib.contextmanager
def opened_text(place: Place, settings: DataSettings, *, whole: bool) -> Iterator[OpenedSource]:
    """Lend a source of any kind that the readers know. Errors name its address, and not the copy that is read."""
    from nlptl.data.sources import open_source

    with place.copied() as path:
        try:
            yield open_source(
                str(path), settings=settings, labelled=False, where="--file", door=PREDICT_DOOR, whole=whole
            )
        except DataError as error:
            raise DataError([fault.replace(str(path), place.address) for fault in error.faults]) from None


def _is_parquet(place: Place) -> bool:
    return place.name.lower().endswith(".parquet")


@contextlib.contextmanager
def _sliced(
    place: Place, settings: DataSettings, shard: Shard, whole: bool
) -> Iterator[tuple[Origin, tuple[str, ...], Iterator[RawRows]]]:
    with opened_text(place, settings, whole=whole) as opened:
        origin = dataclasses.replace(opened.origin, name=place.address)
        yield origin, opened.names, _between(opened.rows(), shard.first, shard.rows)


@contextlib.contextmanager
def _parquet(
    place: Place, settings: DataSettings, shard: Shard
) -> Iterator[tuple[Origin, tuple[str, ...], Iterator[RawRows]]]:
    """Lend the rows of a part of a parquet file; only the row groups that hold them are read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from nlptl.data.arrow_rows import arrow_rows
    from nlptl.data.columns import Columns
    from nlptl.data.limits import check_lengths
    from nlptl.data.row_checks import Origin

    text = settings.text_column
    columns = Columns(tuple(text) if isinstance(text, list) else text, None, PREDICT_DOOR)
    origin = Origin(place.address, door=PREDICT_DOOR)
    try:
        with place.opened() as file, pq.ParquetFile(file, pre_buffer=False) as found:
            schema = found.schema_arrow
            texts = [schema.names[one] for one in columns.match(schema.names, place.address).texts]
            groups, before = _groups(found.metadata, shard)
            batches = found.iter_batches(batch_size=BATCH_ROWS, row_groups=groups)
            rows = arrow_rows(batches, origin=origin, texts=texts, label=None, schema=schema, whole=True)
            counted = check_lengths(_counted_on(rows, before), origin=origin, limit=settings.max_text_length)
            yield origin, tuple(schema.names), _between(counted, shard.first - before, shard.rows)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(
            f"{place.address}: the parquet file is damaged ({first_line(error)}). Write or copy it again."
        ) from None


def _groups(metadata: Any, shard: Shard) -> tuple[list[int], int]:
    """Return the row groups that hold a shard's rows, and the number of rows before them."""
    groups, before, begin = list[int](), 0, 0
    end = None if shard.rows is None else shard.first + shard.rows
    for number in range(metadata.num_row_groups):
        count = metadata.row_group(number).num_rows
        if begin + count <= shard.first:
            before += count
        elif end is None or begin < end:
            groups.append(number)
        begin += count
    return groups, before


def _counted_on(rows: Iterator[RawRows], before: int) -> Iterator[RawRows]:
    for raw in rows:
        yield dataclasses.replace(raw, lines=[line + before for line in raw.lines])


def _between(rows: Iterator[RawRows], first: int, count: int | None) -> Iterator[RawRows]:
    """Yield `count` rows from `first`, counted from 0; all of them without a count."""
    begin, end = 0, None if count is None else first + count
    for raw in rows:
        size = len(raw.texts)
        low, high = max(0, first - begin), size if end is None else min(size, end - begin)
        if low < high:
            part = slice(low, high)
            yield dataclasses.replace(
                raw, lines=raw.lines[part], texts=raw.texts[part], labels=None,
                records=None if raw.records is None else raw.records[part],
            )  # fmt: skip
        begin += size
        if end is not None and begin >= end:
            return
