"""Rows of Arrow batches, as parquet files and 🤗 data sets hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nlptl.data.columns import joined_text
from nlptl.data.row_checks import Origin, RawRows
from nlptl.errors import DataError


def arrow_rows(
    batches: Iterable[Any],
    *,
    origin: Origin,
    texts: Sequence[str],
    label: str | None,
    schema: Any,
    whole: bool = False,
) -> Iterator[RawRows]:
    """Yield Arrow batches as rows numbered from 1, with the ids of a ClassLabel replaced by its names in `schema`.

    `whole` adds all values of each row.
    """
    names = _label_names(schema, label)
    start = 1
    for batch in batches:
        labels = None if label is None else _values(batch, label, origin, start)
        if labels is not None and names is not None:
            labels = [names[one] if one is not None and 0 <= one < len(names) else None for one in labels]
        parts = [_values(batch, name, origin, start) for name in texts]
        joined = parts[0] if len(parts) == 1 else [joined_text(part) for part in zip(*parts, strict=True)]
        records = (
            [*zip(*(_values(batch, name, origin, start) for name in batch.schema.names), strict=True)]
            if whole
            else None
        )
        yield RawRows(range(start, start + batch.num_rows), joined, labels, records)
        start += batch.num_rows


def _values(batch: Any, name: str, origin: Origin, start: int) -> list[Any]:
    """Return a column as Python values. Raises DataError for a string that is not UTF-8, which Arrow does not check."""
    column = batch.column(name)
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError as error:
        for number, value in enumerate(column, start):
            try:
                value.as_py()
            except UnicodeDecodeError:
                raise DataError(
                    f"{origin.at(number)}: the column {name!r} holds byte 0x{error.object[error.start]:02x}, which is not UTF-8. "
                    "Write the row again in UTF-8."
                ) from None
        raise


def _label_names(schema: Any, column: str | None) -> list[str] | None:
    """Return the names of a ClassLabel column, which 🤗 datasets keeps in the schema; None for other columns."""
    if column is None or b"huggingface" not in (schema.metadata or {}):
        return None
    from datasets import Features

    names = getattr(Features.from_arrow_schema(schema).get(column), "names", None)
    return None if names is None else list(names)
