"""TextTable: texts, and labels where there are some, in a 🤗 data set with a digest of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlptl.data.row_checks import EmptyText, Origin, RawRows, Rows, check_rows, no_rows
from nlptl.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

Label = str | int | bool | float
"""A label as a user may give it; inside a table it is always a string."""

_BATCH_ROWS = 10_000
_ROWS_PER_SLICE = 16
"""Below this mean length of a run of kept rows, a list of row numbers is smaller than a list of slices."""


@dataclass(frozen=True)
class TextTable:
    """Checked rows with the column "text" and maybe "label", both strings; large ones are memory-mapped files."""

    dataset: Dataset = field(repr=False, compare=False)
    name: str
    """Where the rows came from, such as the file's path."""
    digest: str
    """sha256 of the texts and labels in their order, whatever the format, the batches and the cache."""
    mapped: Path | None = field(default=None, repr=False, compare=False)
    """The Arrow stream file that holds exactly these rows, if there is one."""

    @classmethod
    def from_lists(cls, texts: Sequence[str], labels: Sequence[Label] | None = None, *, name: str) -> TextTable:
        """Build a table in memory; a bad row raises DataError with its number, counted from 1."""
        if labels is not None and len(texts) != len(labels):
            raise DataError(
                f"{name}: found {len(texts)} texts and {len(labels)} labels; expected one label per text. "
                "Give lists of equal length."
            )
        return table_in_memory([RawRows(range(1, len(texts) + 1), texts, labels)], origin=Origin(name))

    @property
    def has_labels(self) -> bool:
        """Whether every row has a label; otherwise none has."""
        return "label" in self.dataset.column_names

    def __len__(self) -> int:
        return int(self.dataset.num_rows)

    def texts(self) -> list[str]:
        """Return all texts; for a large table prefer `batches`."""
        return self._column("text")

    def labels(self) -> list[str]:
        """Return all labels; DataError where the table has none."""
        if not self.has_labels:
            raise DataError(f"{self.name}: found texts only; expected labels too. Give a labelled source.")
        return self._column("label")

    def batches(self, rows: int = _BATCH_ROWS) -> Iterator[list[str]]:
        """Stream the texts, `rows` at a time (the last batch may be shorter)."""
        pending: list[str] = []
        for batch in self.record_batches():
            pending += batch.column("text").to_pylist()
            while len(pending) >= rows:
                yield pending[:rows]
                pending = pending[rows:]
        if pending:
            yield pending

    def record_batches(self) -> Iterator[Any]:
        """Stream the rows as Arrow record batches of any length."""
        import pyarrow as pa

        if self.mapped is None:
            for table in self.dataset.with_format("arrow").iter(_BATCH_ROWS):
                yield from table.to_batches()
            return
        # Read, not mapped: the pages of a mapped file would pile up in the resident memory.
        with pa.OSFile(str(self.mapped)) as file, pa.ipc.open_stream(file) as batches:
            yield from batches

    def select(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> TextTable:
        """Return the rows at `indices` (counted from 0), in that order."""
        rows = np.asarray(indices, dtype=np.int64)
        if len(rows) and bool(np.all(rows[1:] > rows[:-1])) and rows[0] >= 0 and rows[-1] < len(self):
            mask = np.zeros(len(self), dtype=np.bool_)
            mask[rows] = True
            return self.keep(mask)
        dataset = self.dataset.select(rows)
        return _with_content_digest(TextTable(dataset, self.name, ""))

    def keep(self, mask: npt.NDArray[np.bool_]) -> TextTable:
        """Return the rows where `mask` (one value a row) is true, in their order; a mapped table stays mapped."""
        digest = Digest()
        start = 0
        for batch in self.record_batches():
            digest.update(batch.filter(_arrow_mask(mask[start : start + batch.num_rows])))
            start += batch.num_rows
        return TextTable(_kept(self.dataset, mask, digest.hexdigest()), self.name, digest.hexdigest())

    def _column(self, name: str) -> list[str]:
        return [value for batch in self.record_batches() for value in batch.column(name).to_pylist()]


class Digest:
    """A running sha256 over texts and labels that does not depend on how the rows are parted into batches."""

    def __init__(self) -> None:
        self.rows = 0
        self._hashes: dict[str, tuple[Any, Any]] = {}

    def update(self, batch: Any) -> None:
        """Take in the rows of an Arrow record batch whose columns are strings without nulls."""
        self.rows += batch.num_rows
        for name in batch.schema.names:
            lengths_hash, bytes_hash = self._hashes.setdefault(name, (hashlib.sha256(), hashlib.sha256()))
            lengths, content = _string_buffers(batch.column(name))
            lengths_hash.update(lengths.astype("<i8").tobytes())
            bytes_hash.update(content)

    def hexdigest(self) -> str:
        """Return the digest of all rows so far."""
        whole = hashlib.sha256()
        for name in sorted(self._hashes):
            whole.update(name.encode())
            for part in self._hashes[name]:
                whole.update(part.digest())
        return whole.hexdigest()


class Tally:
    """Counts what passes through `arrow_batches`."""

    def __init__(self) -> None:
        self.digest = Digest()
        self.skipped = 0
        """Rows left out because their text is empty."""


def arrow_batches(raw: Iterable[RawRows], *, origin: Origin, empty_text: EmptyText, tally: Tally) -> Iterator[Any]:
    """Check rows and yield them as Arrow record batches; `tally` fills as they pass."""
    for found in raw:
        rows = check_rows(found, origin=origin, empty_text=empty_text)
        tally.skipped += len(found.texts) - len(rows.texts)
        if rows.texts:
            batch = _arrow_batch(rows, origin)
            tally.digest.update(batch)
            yield batch
    if tally.digest.rows == 0:
        raise no_rows(origin.name)


def table_in_memory(
    raw: Iterable[RawRows], *, origin: Origin, empty_text: EmptyText = "refuse", tally: Tally | None = None
) -> TextTable:
    """Check rows and hold them in memory."""
    import datasets
    import pyarrow as pa

    tally = tally or Tally()
    batches = list(arrow_batches(raw, origin=origin, empty_text=empty_text, tally=tally))
    table = datasets.table.InMemoryTable(pa.Table.from_batches(batches).combine_chunks())
    # The fingerprint is given: datasets would make one by pickling the whole table.
    digest = tally.digest.hexdigest()
    return TextTable(datasets.Dataset(table, fingerprint=digest[:16]), origin.name, digest)


def concatenate(tables: Sequence[TextTable]) -> TextTable:
    """Return the rows of all tables, one table after the other; mapped tables stay mapped."""
    import datasets

    if len(tables) == 1:
        return tables[0]
    dataset = datasets.concatenate_datasets([table.dataset for table in tables])
    digest = Digest()
    for table in tables:
        for batch in table.record_batches():
            digest.update(batch)
    return TextTable(dataset, ", ".join(table.name for table in tables), digest.hexdigest())


def _arrow_batch(rows: Rows, origin: Origin) -> Any:
    import pyarrow as pa

    columns = {"text": rows.texts} if rows.labels is None else {"text": rows.texts, "label": rows.labels}
    try:
        return pa.RecordBatch.from_pydict(columns, schema=pa.schema([(name, pa.string()) for name in columns]))
    except UnicodeEncodeError:
        raise _half_a_character(rows, origin) from None


def check_whole_characters(rows: Rows, origin: Origin) -> None:
    """Raise DataError for a text that holds one half of a UTF-16 pair, which no tokenizer takes."""
    try:
        "".join(rows.texts).encode()
    except UnicodeEncodeError:
        raise _half_a_character(rows, origin) from None


def _half_a_character(rows: Rows, origin: Origin) -> DataError:
    for kind, values in (("text", rows.texts), ("label", rows.labels or [])):
        for line, value in zip(rows.lines, values, strict=False):
            half = next((character for character in value if "\ud800" <= character <= "\udfff"), None)
            if half is not None:
                return DataError(
                    f"{origin.at(line)}: {kind} holds {half!r}, one half of a UTF-16 pair; expected whole Unicode "
                    "characters. Remove it or write the whole character."
                )
    raise AssertionError("no half of a pair, yet Arrow refused the rows")


def _string_buffers(array: Any) -> tuple[npt.NDArray[np.int32], memoryview]:
    """Return the byte length of each string and all bytes of an Arrow string array, without copying them."""
    _, offsets_buffer, content = array.buffers()
    if len(array) == 0 or content is None:
        return np.zeros(len(array), dtype=np.int32), memoryview(b"")
    offsets = np.frombuffer(offsets_buffer, dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    return np.diff(offsets), memoryview(content)[offsets[0] : offsets[-1]]


def _with_content_digest(table: TextTable) -> TextTable:
    digest = Digest()
    for batch in table.record_batches():
        digest.update(batch)
    return TextTable(table.dataset, table.name, digest.hexdigest())


def _arrow_mask(mask: npt.NDArray[np.bool_]) -> Any:
    import pyarrow as pa

    return pa.array(mask)


def _kept(dataset: Dataset, mask: npt.NDArray[np.bool_], digest: str) -> Dataset:
    import datasets

    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).view(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    if dataset._indices is not None or len(starts) * _ROWS_PER_SLICE > mask.sum() or not len(starts):
        return dataset.select(np.flatnonzero(mask))
    slices = [dataset.data.slice(int(a), int(b - a)) for a, b in zip(starts, ends, strict=True)]
    return datasets.Dataset(datasets.table.concat_tables(slices), fingerprint=digest[:16])
