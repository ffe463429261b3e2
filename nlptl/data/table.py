"""TextTable: texts, with or without labels, in a 🤗 data set, with a digest of their content."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlptl.data.collected_faults import CollectedFaults
from nlptl.data.columns import PYTHON_DOOR
from nlptl.data.row_checks import (  # fmt: skip
    NO_LABEL,
    EmptyLabel,
    EmptyText,
    Origin,
    RawRows,
    Rows,
    check_rows,
    check_whole_characters,
    no_rows,
)
from nlptl.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

Label = str | int | bool | float  # in a user's data; inside a table it is always a string

_BATCH_ROWS = 10_000
# Mean length of a run of kept rows below which a list of row numbers is smaller than a list of slices.
_MIN_ROWS_PER_SLICE = 16


@dataclass(frozen=True)
class TextTable:
    """Checked rows with the string columns "text" and, optionally, "label". Large tables are memory-mapped files.

    Where a text may have several labels, "label" is a column of lists, each sorted; null for a row that was not labelled.
    """

    dataset: Dataset = field(repr=False, compare=False)
    name: str  # source of the rows, such as a file's path
    digest: str  # sha256 of the texts and labels in order, whatever the file format, batches or cache
    mapped: Path | None = field(default=None, repr=False, compare=False)  # Arrow stream file with exactly these rows
    # Numbers, from 1, of the rows in what they were read from; None where none was left out. Sources that were joined
    # count on, each with the rows that it had.
    numbers: npt.NDArray[np.int64] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_lists(
        cls, texts: Sequence[str], labels: Sequence[Label | Sequence[Label]] | None = None, *, name: str,
        empty_text: EmptyText = "refuse", empty_label: EmptyLabel = "refuse",
    ) -> TextTable:  # fmt: skip
        """Return a table in memory. Bad rows raise DataError with their numbers, counted from 1."""
        if labels is not None and len(texts) != len(labels):
            raise DataError(
                f"{name}: the number of texts is {len(texts)}, that of labels {len(labels)}. Give one label for each text."
            )
        raw, tally = RawRows(range(1, len(texts) + 1), texts, labels), Tally()
        batches = arrow_batches(
            [raw], origin=Origin(name, door=PYTHON_DOOR), empty_text=empty_text, empty_label=empty_label, tally=tally
        )
        table = table_in_memory(batches, tally, name)
        if not tally.skipped:
            return table
        numbers = check_rows(raw, origin=Origin(name), empty_text=empty_text, empty_label=empty_label).lines
        return dataclasses.replace(table, numbers=np.array(numbers, dtype=np.int64))

    @property
    def has_labels(self) -> bool:
        """Whether all rows have labels; otherwise none has."""
        return "label" in self.dataset.column_names

    @property
    def has_label_sets(self) -> bool:
        """Whether each row has a list of labels instead of one label."""
        import pyarrow as pa

        return self.has_labels and pa.types.is_list(self.dataset.features.arrow_schema.field("label").type)

    def __len__(self) -> int:
        return int(self.dataset.num_rows)

    def texts(self) -> list[str]:
        """Return all texts; for a large table prefer `batches`."""
        return self._column("text")

    def labels(self) -> list[str]:
        """Return all labels. Raises DataError if the table has none, or several a row."""
        if not self.has_labels:
            raise DataError(f"{self.name}: the texts have no labels. Give a labelled source.")
        if self.has_label_sets:
            raise DataError(f"{self.name}: a row may have several labels. Give rows with one label each.")
        return self._column("label")

    def label_sets(self) -> list[tuple[str, ...]]:
        """Return the labels of each row; of a table with one label a row, that one. Raises DataError if it has none."""
        if self.has_label_sets:
            return [tuple(labels or ()) for labels in self._column("label")]
        return [(label,) for label in self.labels()]

    def has_label(self) -> npt.NDArray[np.bool_]:
        """Return whether each row was labelled; only a table just read has rows that were not."""
        empty = None if self.has_label_sets else NO_LABEL
        return np.array([labels != empty for labels in self._column("label")], dtype=np.bool_)

    def batches(self, rows: int = _BATCH_ROWS) -> Iterator[list[str]]:
        """Stream the texts in batches of `rows`; the last may be shorter."""
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
        # Read, not mapped: the pages of a mapped file would accumulate in resident memory.
        with pa.OSFile(str(self.mapped)) as file, pa.ipc.open_stream(file) as batches:
            yield from batches

    def select(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> TextTable:
        """Return the rows at `indices`, counted from 0, in that order."""
        rows = np.asarray(indices, dtype=np.int64)
        if len(rows) and bool(np.all(rows[1:] > rows[:-1])) and rows[0] >= 0 and rows[-1] < len(self):
            mask = np.zeros(len(self), dtype=np.bool_)
            mask[rows] = True
            return self.keep(mask)
        chosen = TextTable(self.dataset.select(rows), self.name, "", numbers=self._numbers_of(rows))
        return dataclasses.replace(chosen, digest=Tally(chosen.record_batches()).hexdigest())

    def row_place(self, index: int) -> str:
        """Return the place of row `index` (counted from 0) for an error message, such as "labelled, row 3"."""
        return Origin(self.name).at(index + 1 if self.numbers is None else int(self.numbers[index]))

    def keep(self, mask: npt.NDArray[np.bool_]) -> TextTable:
        """Return the rows where `mask` (one value a row) is true. A mapped table stays mapped."""
        import pyarrow as pa

        tally, start = Tally(), 0
        for batch in self.record_batches():
            tally.update(batch.filter(pa.array(mask[start : start + batch.num_rows])))
            start += batch.num_rows
        digest = tally.hexdigest()
        numbers = self._numbers_of(np.flatnonzero(mask))
        return TextTable(_kept(self.dataset, mask, digest), self.name, digest, numbers=numbers)

    def relabelled(self, names: Mapping[str, str]) -> TextTable:
        """Return the same rows with other names of their labels; `names` holds each label. Texts are not copied."""
        import datasets
        import pyarrow as pa
        import pyarrow.compute as pc

        if all(label == name for label, name in names.items()):
            return self
        rows = self.dataset.with_format("arrow")[:]
        if self.has_label_sets:
            labels = pa.array(
                [sorted({names[label] for label in found}) for found in self.label_sets()], pa.list_(pa.string())
            )
        else:
            place = pc.index_in(rows.column("label"), value_set=pa.array(list(names), pa.string()))
            labels = pa.array(list(names.values()), pa.string()).take(place.combine_chunks())
        rows = rows.select(["text"]).append_column(pa.field("label", labels.type), labels)
        digest = Tally(rows.to_batches()).hexdigest()
        dataset = datasets.Dataset(datasets.table.InMemoryTable(rows), fingerprint=digest[:16])
        return TextTable(dataset, self.name, digest, numbers=self.numbers)

    def without_labels(self, *, name: str) -> TextTable:
        """Return the texts alone, as a table of this name."""
        chosen = TextTable(self.dataset.select_columns(["text"]), name, "", numbers=self.numbers)
        return dataclasses.replace(chosen, digest=Tally(chosen.record_batches()).hexdigest())

    def label_counts(self) -> dict[str, int]:
        """Return the number of rows of each label, in order of first occurrence; rows not labelled count as `NO_LABEL`."""
        found: Counter[str] = Counter()
        for batch in self.record_batches():
            labels = batch.column("label")
            if self.has_label_sets:
                found.update([NO_LABEL] * labels.null_count)
                labels = labels.flatten()
            found.update(labels.to_pylist())
        return {label: count for label, count in found.items() if count}

    def _numbers_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return rows + 1 if self.numbers is None else self.numbers[rows]

    def _column(self, name: str) -> list[str]:
        return [value for batch in self.record_batches() for value in batch.column(name).to_pylist()]


class Tally:
    """Running sha256 over texts and labels, independent of their division into batches, and counts of rows."""

    def __init__(self, batches: Iterable[Any] = ()) -> None:
        self.rows = 0
        self.skipped = 0  # rows without text
        self._hashes: dict[str, tuple[Any, Any]] = {}
        for batch in batches:
            self.update(batch)

    def update(self, batch: Any) -> None:
        """Add the rows of an Arrow record batch whose columns are strings without nulls, or lists of them."""
        import pyarrow as pa

        self.rows += batch.num_rows
        for name in batch.schema.names:
            column = batch.column(name)
            if pa.types.is_list(column.type):
                sizes = column.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
                self._hashes_of(f"{name} sizes")[0].update(sizes.astype("<i8").tobytes())
                column = column.flatten()
            lengths_hash, bytes_hash = self._hashes_of(name)
            content, offsets = arrow_strings(column)
            lengths_hash.update(np.diff(offsets).astype("<i8").tobytes())
            bytes_hash.update(content.data)

    def _hashes_of(self, name: str) -> tuple[Any, Any]:
        return self._hashes.setdefault(name, (hashlib.sha256(), hashlib.sha256()))

    def hexdigest(self) -> str:
        """Return the digest of all rows so far."""
        whole = hashlib.sha256()
        for name in sorted(self._hashes):
            whole.update(name.encode())
            for part in self._hashes[name]:
                whole.update(part.digest())
        return whole.hexdigest()


def arrow_batches(
    raw: Iterable[RawRows], *, origin: Origin, empty_text: EmptyText, tally: Tally, empty_label: EmptyLabel = "refuse"
) -> Iterator[Any]:
    """Check rows, add them to `tally` and yield them as Arrow record batches. DataError tells all bad rows at the end."""
    faults, sets = CollectedFaults(), None
    for read in faults.until_error(raw):
        found = dataclasses.replace(read, label_sets=True) if sets else read
        rows = check_rows(found, origin=origin, empty_text=empty_text, empty_label=empty_label, faults=faults)
        tally.skipped += len(found.texts) - len(rows.texts)
        if rows.texts:
            if sets is False and rows.label_sets is not None:
                at = origin.at(rows.lines[0])
                raise DataError(
                    f"{at}: from here on rows have lists of labels, before they have not. Write lists in all."
                )
            sets = rows.label_sets is not None
            try:
                batch = arrow_batch(rows, origin)
            except DataError as error:
                faults.add(error)
                continue
            tally.update(batch)
            yield batch
    faults.check(origin.name)
    if tally.rows == 0:
        raise no_rows(origin.name)


def table_in_memory(batches: Iterable[Any], tally: Tally, name: str) -> TextTable:
    """Return the record batches of `arrow_batches`, which fill `tally`, as a table in memory."""
    import datasets
    import pyarrow as pa

    table = datasets.table.InMemoryTable(pa.Table.from_batches(batches).combine_chunks())
    # Without a fingerprint, datasets would compute one by pickling the whole table.
    digest = tally.hexdigest()
    return TextTable(datasets.Dataset(table, fingerprint=digest[:16]), name, digest)


def concatenate(tables: Sequence[TextTable]) -> TextTable:
    """Return the rows of all tables, one table after the other. Mapped tables stay mapped."""
    import datasets

    if len(tables) == 1:
        return tables[0]
    dataset = datasets.concatenate_datasets([table.dataset for table in tables])
    tally = Tally(batch for table in tables for batch in table.record_batches())
    return TextTable(dataset, ", ".join(table.name for table in tables), tally.hexdigest(), numbers=_joined(tables))


def _joined(tables: Sequence[TextTable]) -> npt.NDArray[np.int64] | None:
    """Return the numbers of rows of joined tables, of which the last alone may lack rows."""
    if tables[-1].numbers is None or any(table.numbers is not None for table in tables[:-1]):
        return None
    before = sum(map(len, tables[:-1]))
    return np.concatenate([np.arange(1, before + 1), tables[-1].numbers + before])


def arrow_batch(rows: Rows, origin: Origin) -> Any:
    """Return rows as a record batch. Half of a UTF-16 surrogate pair, which no tokenizer accepts, raises DataError."""
    import pyarrow as pa

    labels = rows.labels if rows.label_sets is None else rows.label_sets
    columns: dict[str, Any] = {"text": rows.texts} if labels is None else {"text": rows.texts, "label": labels}
    kinds = {"text": pa.string(), "label": pa.string() if rows.label_sets is None else pa.list_(pa.string())}
    try:
        return pa.RecordBatch.from_pydict(columns, schema=pa.schema([(name, kinds[name]) for name in columns]))
    except UnicodeEncodeError:
        check_whole_characters(rows, origin)
        raise


def arrow_strings(array: Any) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the bytes of an Arrow string array, not copied, and the offsets at which its strings begin and end."""
    import pyarrow as pa

    _, offsets_buffer, content = array.buffers()
    if len(array) == 0 or content is None:
        return np.frombuffer(b"", np.uint8), np.zeros(len(array) + 1, np.int64)
    width = np.int64 if pa.types.is_large_string(array.type) else np.int32
    offsets = np.frombuffer(offsets_buffer, width)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    return np.frombuffer(content, np.uint8)[offsets[0] : offsets[-1]], offsets - offsets[0]


def _kept(dataset: Dataset, mask: npt.NDArray[np.bool_], digest: str) -> Dataset:
    import datasets

    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).view(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    if dataset._indices is not None or len(starts) * _MIN_ROWS_PER_SLICE > mask.sum() or not len(starts):
        return dataset.select(np.flatnonzero(mask))
    slices = [dataset.data.slice(int(a), int(b - a)) for a, b in zip(starts, ends, strict=True)]
    return datasets.Dataset(datasets.table.concat_tables(slices), fingerprint=digest[:16])
