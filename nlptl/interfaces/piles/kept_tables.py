"""Kept columns of a pile as Arrow columns: of their own types where these are known, else as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nlptl.interfaces.prediction_lines import plain


def kept_schema(keys: Sequence[str], kept: Sequence[str], types: Mapping[str, Any] | None) -> list[Any]:
    """Return the fields of kept columns under the names `keys`; `types` are those of the pile's columns, where known."""
    import pyarrow as pa

    return [pa.field(key, (types or {}).get(name, pa.string())) for key, name in zip(keys, kept, strict=True)]


def kept_arrays(rows: Sequence[Sequence[object]], fields: Sequence[Any]) -> list[Any]:
    """Return the values of rows as one array a field. What is no text becomes text where the field is one."""
    import pyarrow as pa

    columns: list[Sequence[object]] = list(zip(*rows, strict=True)) if rows else [() for _ in fields]
    found = []
    for values, field in zip(columns, fields, strict=True):
        is_text = pa.types.is_string(field.type)
        found.append(pa.array([_text(value) for value in values] if is_text else values, field.type))
    return found


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else plain(value)
