"""Sentence vectors of a pile: the job, and the parts that it writes as arrays, parquet or JSON lines.

Shapes: N rows, D dimension.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import read_manifest, read_published
from nlptl.inference.loading import reader_of
from nlptl.interfaces.piles.kept_tables import kept_arrays, kept_schema
from nlptl.interfaces.piles.part_files import write_blocks, write_tables, write_vectors
from nlptl.interfaces.piles.parts import Receipt
from nlptl.interfaces.piles.shard_job import ShardJob
from nlptl.interfaces.piles.shard_rows import Shard
from nlptl.interfaces.prediction_input import InputRows
from nlptl.interfaces.prediction_lines import without_nan

if TYPE_CHECKING:
    from nlptl.models.encoder import EncodingPrecision

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodeShards(ShardJob):
    """Job that encodes the texts of shards."""

    kept: tuple[str, ...]  # names of the columns beside the vector; none of an array
    column: str  # name of that of the vector
    types: Any = None  # Arrow types of the pile's columns by name, where they are known
    precision: EncodingPrecision = "float32"
    normalize: bool = False

    def open(self) -> Callable[[Shard], Receipt]:
        """Load the encoder, and return what encodes a shard."""
        with self.artifact.folder() as folder:
            encode, dim = self._encoder(folder)
        return lambda shard: self._encoded(shard, encode, dim)

    def _encoder(self, folder: Path) -> tuple[Encode, int]:
        """Return what encodes texts, and the width of the vectors: without torch where that can be, which is faster."""
        read = reader_of(folder) if read_manifest(folder).kind == "classifier" else None
        if read is not None and self.precision == "float32":
            found = read_published(folder, read).encoder
            return found.encode, found.dim
        from nlptl.context import RunContext
        from nlptl.models.encoder import Encoder

        encoder = Encoder.load(folder)
        if encoder.token_model.kind == "transformer":
            encoder = encoder.to(RunContext(device=self.device).torch_device())
        return partial(encoder.encode, precision=self.precision), encoder.dim

    def _encoded(self, shard: Shard, encode: Encode, dim: int) -> Receipt:
        def write(path: Path, batches: Iterator[InputRows]) -> dict[str, object]:
            found = ((rows, self._vectors(encode, dim, rows)) for rows in batches)
            if self.parts.form == "npy":
                write_vectors(path, [vectors for _, vectors in found], dim)
            elif self.parts.form == "parquet":
                schema = self._schema(dim)
                write_tables(path, (self._table(rows, vectors, schema) for rows, vectors in found), schema)
            else:
                write_blocks(path, (self._lines(rows, vectors) for rows, vectors in found))
            return {}

        return self.written(shard, write, encode)

    def _vectors(self, encode: Encode, dim: int, rows: InputRows) -> Vectors:
        """Return a vector (N, D) a row, not-a-number where there is no text."""
        texts = [*filter(None, rows.texts)]
        found = encode(texts)
        if self.normalize:
            found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.float32(1e-12))
        if len(texts) == len(rows.texts):
            return found
        every = np.full((len(rows.texts), dim), np.nan, dtype=np.float32)
        every[[place for place, text in enumerate(rows.texts) if text is not None]] = found
        return every

    def _schema(self, dim: int) -> Any:
        import pyarrow as pa

        vector = pa.field(self.column, pa.list_(pa.float32(), dim))
        return pa.schema([*kept_schema(self.kept, self.kept, self.types), vector])

    def _table(self, rows: InputRows, vectors: Vectors, schema: Any) -> Any:
        import pyarrow as pa

        lacks = np.array([text is None for text in rows.texts], dtype=np.bool_)
        mask = pa.array(lacks) if lacks.any() else None
        numbers = pa.array(vectors.reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(numbers, vectors.shape[1], mask=mask)
        fields = list(schema)[:-1]
        return pa.Table.from_arrays([*kept_arrays(rows.kept, fields), column], schema=schema)

    def _lines(self, rows: InputRows, vectors: Vectors) -> str:
        lines = []
        for text, kept, vector in zip(rows.texts, rows.kept, vectors, strict=True):
            numbers = (
                None if text is None else [float(f"{number:.9g}") for number in vector]
            )  # as many digits as it has
            row = without_nan({**dict(zip(self.kept, kept, strict=True)), self.column: numbers})
            lines.append(json.dumps(row, ensure_ascii=False, default=str, allow_nan=False) + "\n")
        return "".join(lines)
