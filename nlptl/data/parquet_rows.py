"""Rows of a parquet file, read in batches whose size in memory is bounded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nlptl.data.arrow_rows import arrow_rows
from nlptl.data.limits import check_ratio, text_too_long
from nlptl.data.packing import Packing, read_bytes
from nlptl.data.row_checks import ColumnPositions, Columns, Origin, RawRows
from nlptl.drafts import temporary_folder
from nlptl.errors import DataError, first_line

_BATCH_ROWS = 2_000
_MIN_BATCH_ROWS = 20
_BATCH_BYTES = 16 << 20
_ROW_BYTES = 8  # that a row counts besides its text, so that endless empty rows are bounded too


def parquet_columns(path: Path, packing: Packing | None, columns: Columns) -> ColumnPositions:
    """Return the places of the columns. Raises DataError if one is missing."""
    with _plain(path, packing) as plain, _told(path), _opened(plain) as file:
        return columns.match(file.schema_arrow.names, str(path))


def read_parquet(
    path: Path, packing: Packing | None, positions: ColumnPositions, *, limit: int, whole: bool = False
) -> Iterator[RawRows]:
    """Stream the rows, `whole` with all values. DataError for a damaged file, or one whose few bytes would fill the memory."""
    with _plain(path, packing) as plain, _told(path):
        with _opened(plain) as file:
            metadata, schema = file.metadata, file.schema_arrow
        names = [schema.names[place] for place in positions.wanted()]
        read = list(dict.fromkeys(schema.names if whole else names))
        chunks = _chunks(metadata, read)
        packed, unpacked = plain.stat().st_size, sum(chunk.total_uncompressed_size for chunk in chunks)
        check_ratio(path, unpacked=unpacked, packed=packed)
        unpacked = 0
        with _opened(plain, read_dictionary=_with_dictionary(chunks)) as file:
            found = file.iter_batches(batch_size=_batch_rows(metadata, chunks), columns=read)
            batches = _expanded(found, Origin(str(path)), limit)
            for rows in arrow_rows(
                batches, texts=names[: len(positions.texts)], label=_label(positions, names), schema=schema, whole=whole
            ):
                unpacked += sum(len(text) for text in rows.texts if isinstance(text, str)) + _ROW_BYTES * len(
                    rows.texts
                )
                check_ratio(path, unpacked=unpacked, packed=packed)
                yield rows


def _label(positions: ColumnPositions, names: Sequence[str]) -> str | None:
    return None if positions.label is None else names[-1]


def _chunks(metadata: Any, names: Sequence[str]) -> list[Any]:
    """Return the descriptions of the wanted columns in all row groups."""
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    chunks = (group.column(number) for group in groups for number in range(group.num_columns))
    return [chunk for chunk in chunks if chunk.path_in_schema.partition(".")[0] in names]


def _with_dictionary(chunks: Sequence[Any]) -> list[str]:
    """Return the columns of strings that are stored as a dictionary, whose rows may be much larger than the file."""
    return sorted(
        {chunk.path_in_schema for chunk in chunks if chunk.physical_type == "BYTE_ARRAY" and chunk.has_dictionary_page}
    )


def _batch_rows(metadata: Any, chunks: Sequence[Any]) -> int:
    """Return how many rows of the usual size fit into a batch."""
    size: int = 1 + sum(chunk.total_uncompressed_size for chunk in chunks) // max(1, metadata.num_rows)
    if any("DELTA_BYTE_ARRAY" in chunk.encodings for chunk in chunks):  # each text may repeat all of the one before
        size = max(chunk.total_uncompressed_size for chunk in chunks)
    return max(_MIN_BATCH_ROWS, min(_BATCH_ROWS, _BATCH_BYTES // max(1, size)))


def _expanded(batches: Iterator[Any], origin: Origin, limit: int) -> Iterator[Any]:
    """Yield batches with plain columns in the place of dictionaries, in slices that fit into memory."""
    import pyarrow as pa
    import pyarrow.compute as pc

    start = 1
    for batch in batches:
        longest = 0
        for column in batch.columns:
            if pa.types.is_dictionary(column.type) and len(column.dictionary):
                longest = max(longest, pc.max(pc.binary_length(column.dictionary)).as_py() or 0)
                if longest > limit and (pc.max(pc.utf8_length(column.dictionary)).as_py() or 0) > limit:
                    raise text_too_long(origin.at(start), limit)
        rows = max(1, min(len(batch), _BATCH_BYTES // max(1, longest)))
        for first in range(0, len(batch), rows):
            part = batch.slice(first, rows)
            yield pa.RecordBatch.from_arrays(
                [one.dictionary_decode() if pa.types.is_dictionary(one.type) else one for one in part.columns],
                names=part.schema.names,
            )
        start += len(batch)


@contextmanager
def _opened(path: Path, *, read_dictionary: Sequence[str] = ()) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20, read_dictionary=list(read_dictionary)) as file:
        yield file


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn the errors of pyarrow inside the block into DataError."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
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
