"""Rows of a parquet file, read in batches whose size in memory is bounded."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

from nlptl.data.arrow_rows import arrow_rows
from nlptl.data.columns import ColumnPositions, Columns
from nlptl.data.compressed_files import Packing, read_bytes
from nlptl.data.limits import check_ratio
from nlptl.data.row_checks import Origin, RawRows
from nlptl.disk.drafts import temporary_folder
from nlptl.errors import DataError, first_line

_BATCH_ROWS = 2_000
_BATCH_BYTES = 16 << 20
_SMALL_GROUP_BYTES = 32 << 10  # a batch of texts that are all as large fits into memory
_ROW_BYTES = 8  # that a row counts besides its text, so that endless empty rows are bounded too


def parquet_columns(path: Path, packing: Packing | None, columns: Columns) -> ColumnPositions:
    """Return the places of the columns. Raises DataError if one is missing."""
    with _plain(path, packing) as plain, _told(path), _opened(plain) as file:
        return columns.match(file.schema_arrow.names, str(path))


def read_parquet(
    path: Path, packing: Packing | None, positions: ColumnPositions, *, whole: bool = False
) -> Iterator[RawRows]:
    """Stream the rows, `whole` with all values. DataError for a damaged file, or one whose few bytes unpack to far too many."""
    origin = Origin(str(path))
    with _plain(path, packing) as plain, _told(path), _opened(plain) as file:
        schema = file.schema_arrow
        names = [schema.names[place] for place in positions.wanted()]
        texts, label = names[: len(positions.texts)], None if positions.label is None else names[-1]
        packed, unpacked = plain.stat().st_size, 0
        batches = _batches(plain, file, list(dict.fromkeys(schema.names if whole else names)))
        for rows in arrow_rows(batches, origin=origin, texts=texts, label=label, schema=schema, whole=whole):
            unpacked += sum(len(text) for text in rows.texts if isinstance(text, str)) + _ROW_BYTES * len(rows.texts)
            check_ratio(path, unpacked=unpacked, packed=packed)
            yield rows


def _batches(path: Path, file: Any, names: list[str]) -> Iterator[Any]:
    """Yield batches whose texts fit into memory, also where a few stored texts stand for many."""
    with _opened(path, read_dictionary=_strings(file.schema_arrow, names)) as coded:
        sizes = [(_rows_at_once(coded, number, names), number) for number in range(file.metadata.num_row_groups)]
    for rows, groups in itertools.groupby(sizes, key=itemgetter(0)):
        yield from file.iter_batches(batch_size=rows, columns=names, row_groups=[number for _, number in groups])


def _strings(schema: Any, names: Sequence[str]) -> list[str]:
    import pyarrow as pa

    return [name for name in names if pa.types.is_string(schema.field(name).type)]


def _rows_at_once(coded: Any, number: int, names: list[str]) -> int:
    """Return how many rows of a group to read at once, by the longest text of its dictionaries.

    The metadata of single columns would say more, but pyarrow ends the process where that is damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    group = coded.metadata.row_group(number)
    longest = group.total_byte_size // max(1, group.num_rows)
    if group.total_byte_size > _SMALL_GROUP_BYTES:
        for first in itertools.islice(coded.iter_batches(batch_size=1, columns=names, row_groups=[number]), 1):
            for column in first.columns:
                if pa.types.is_dictionary(column.type) and column.dictionary.nbytes > _SMALL_GROUP_BYTES:
                    longest = max(longest, int(pc.max(pc.binary_length(column.dictionary)).as_py() or 0))
    return int(max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, longest))))


@contextmanager
def _opened(path: Path, *, read_dictionary: Sequence[str] = ()) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20, read_dictionary=list(read_dictionary)) as file:
        yield file


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn the errors of pyarrow inside the block into DataError, and so its absence."""
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise DataError(
            f"{path}: reading Parquet needs pyarrow. Install it with `pip install pyarrow`, or save the rows as .csv or .jsonl."
        ) from None

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last of a column's name
        raise DataError(f"{path}: the parquet file is damaged ({first_line(error)}). Write or copy it again.") from None


@contextmanager
def _plain(path: Path, packing: Packing | None) -> Iterator[Path]:
    """Yield `path`, or a temporary unpacked copy of a packed file, since parquet is read from its end."""
    if packing is None:
        yield path
        return
    with temporary_folder("unpacked") as folder:
        copy = folder / "rows.parquet"
        with copy.open("wb") as file:
            for chunk in read_bytes(path, packing):
                try:
                    file.write(chunk)
                except OSError as error:
                    raise DataError(
                        f"{path}: the file cannot be unpacked into {tempfile.gettempdir()} ({error.strerror}). "
                        "Free disk space there, or set TMPDIR to another folder."
                    ) from None
        yield copy
