"""Files of results: the rows of one shard as CSV, JSON lines, parquet or an array, and several of them joined to one file.

Shapes: N rows, D dimension.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 10_000

PartForm = Literal["csv", "jsonl", "parquet", "npy"]


def write_blocks(path: Path, blocks: Iterable[str]) -> None:
    """Write blocks of text as UTF-8."""
    with path.open("wb") as file:
        for block in blocks:
            file.write(block.encode("utf-8", "backslashreplace"))


def write_tables(path: Path, tables: Iterable[Any], schema: Any) -> None:
    """Write Arrow tables as a parquet file of this schema, a row group each."""
    with _parquet(path, schema) as file:
        for table in tables:
            file.write_table(table)


def write_vectors(path: Path, parts: Sequence[NDArray[np.float32]], dim: int) -> None:
    """Write vectors (N, D) as an array of NumPy."""
    with path.open("wb") as file:
        np.save(file, np.concatenate([np.zeros((0, dim), np.float32), *parts]), allow_pickle=False)


def join(form: PartForm, parts: Sequence[Path], file: IO[bytes], *, header: bytes = b"") -> None:
    """Write several files of results into one. All but the first lose their `header`."""
    if form == "parquet":
        _join_parquet(parts, file)
    elif form == "npy":
        _join_arrays(parts, file)
    else:
        _join_text(parts, file, header)


def _join_text(parts: Sequence[Path], file: IO[bytes], header: bytes) -> None:
    for number, part in enumerate(parts):
        with part.open("rb") as content:
            content.seek(len(header) if number else 0)
            shutil.copyfileobj(content, file, 1 << 20)


def _join_parquet(parts: Sequence[Path], file: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    with _parquet(file, pq.read_schema(parts[0])) as whole:
        for part in parts:
            with pq.ParquetFile(part) as content:
                for number in range(content.metadata.num_row_groups):
                    whole.write_table(content.read_row_group(number))


def _parquet(file: Path | IO[bytes], schema: Any) -> Any:
    """Return a writer. Vectors have no dictionary, since hardly a number occurs twice."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [field.name for field in schema if not pa.types.is_fixed_size_list(field.type)]
    return pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=names)


def _join_arrays(parts: Sequence[Path], file: IO[bytes]) -> None:
    opened = [np.load(part, mmap_mode="r", allow_pickle=False) for part in parts]
    shape = (sum(map(len, opened)), opened[0].shape[1])
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    for one in opened:
        for begin in range(0, len(one), ROWS_AT_ONCE):
            file.write(np.ascontiguousarray(one[begin : begin + ROWS_AT_ONCE]).tobytes())
