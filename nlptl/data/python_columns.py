"""Columns of Python values: what a list, an array, a Series, a frame or a data set holds, as lists.

Other libraries' types are told by the package of their class, so that none is imported for a caller who does not use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from os import PathLike
from typing import Any

from nlptl.data.columns import Column, Columns, joined_text, names_shown
from nlptl.data.row_checks import is_missing
from nlptl.errors import DataError
from nlptl.faults import shown


def frame_columns(value: Any, columns: Columns, name: str) -> list[list[Any]] | None:
    """Return the wanted columns of a frame or data set; None for other values."""
    if is_a(value, "pandas", "DataFrame"):
        names, column = [str(one) for one in value.columns], lambda place: _values(value.iloc[:, place])
        return _wanted(_named_by_numbers(columns, list(value.columns)), names, column, name)
    if is_a(value, "polars", "DataFrame"):
        return _wanted(columns, value.columns, lambda place: value.to_series(place).to_list(), name)
    if is_a(value, "pyarrow", "Table") or is_a(value, "pyarrow", "RecordBatch"):
        return _wanted(columns, value.schema.names, lambda place: value.column(place).to_pylist(), name)
    if is_a(value, "datasets", "Dataset"):
        names, plain = value.column_names, value.with_format(None)
        return _wanted(columns, names, lambda place: _values(plain[names[place]]), name)
    if is_a(value, "datasets", "IterableDataset"):
        return _streamed(value, columns, name)
    return None


def _named_by_numbers(columns: Columns, names: Sequence[object]) -> Columns:
    """Return the columns with the name of each that a whole number names: the name wins over the position."""
    numbers = {one for one in names if _is_number(one)}
    texts = tuple(str(one) if one in numbers else one for one in columns.texts)
    return replace(columns, text=texts, label=str(columns.label) if columns.label in numbers else columns.label)


def _is_number(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _wanted(
    columns: Columns, names: Sequence[str], column: Callable[[int], list[Any]], name: str
) -> list[list[Any]]:  # fmt: skip
    """Return the texts, and the labels if they are wanted; several columns of one text are joined."""
    found = columns.match(names, name)
    texts = [column(place) for place in found.texts]
    if len(texts) > 1:
        texts = [
            [joined_text([None if is_missing(one) else one for one in parts]) for parts in zip(*texts, strict=True)]
        ]
    return texts if found.label is None else [*texts, column(found.label)]


def _streamed(value: Any, columns: Columns, name: str) -> list[list[Any]]:
    rows, features = list(value), value.features or {}
    names = list(rows[0]) if rows else value.column_names or list(map(str, columns.wanted()))

    def column(place: int) -> list[Any]:
        return _named([row[names[place]] for row in rows], features.get(names[place]))

    return _wanted(columns, names, column, name)


def column_values(value: Any, *, name: str, what: str, remedy: str, dimensions: int = 1) -> list[Any]:
    """Return the values of a column as Python objects. DataError says that a value is not `what` is wanted."""
    if not is_column(value):
        raise DataError(f"{name}: {on_one_line(value)} ({type(value).__name__}) is not {what}. {remedy}")
    if is_a(value, "numpy", "ndarray") and value.ndim not in (1, dimensions):
        raise DataError(f"{name}: the array has the shape {value.shape}, but must have one dimension. Choose a column.")
    return _values(value)


def _values(column: Any) -> list[Any]:
    """Return the values of a column as Python objects."""
    if is_a(column, "datasets", "Column"):
        return _named(list(column), column.features)
    if is_a(column, "datasets", "IterableColumn"):
        features = getattr(column.source, "features", None) or {}
        return _named(list(column), features.get(column.column_name))
    for method in ("to_pylist", "tolist", "to_list"):
        if not isinstance(column, list | tuple) and hasattr(column, method):
            return list(getattr(column, method)())
    return list(column)


def _named(values: list[Any], feature: Any) -> list[Any]:
    """Return values with the ids of a ClassLabel feature replaced by its names; an id without a name is missing."""
    names = getattr(feature, "names", None)
    if names is None:
        return values
    return [names[value] if isinstance(value, int) and 0 <= value < len(names) else None for value in values]


def is_column(value: object) -> bool:
    """Return whether a value is a row of values in an order. A frame counts: its column is named."""
    if isinstance(value, str | bytes | bytearray | memoryview | Mapping | set | frozenset | PathLike):
        return False
    return isinstance(value, Iterable) and getattr(value, "ndim", 1) != 0


def label_values(value: Any, column: Column, *, name: str) -> list[Any]:
    """Return the labels of a column, or of a frame that has it or nothing else."""
    if not is_a(value, "pandas", "DataFrame"):
        return column_values(value, name=name, what="a list of labels", remedy="Give (texts, labels).")
    names = [str(one) for one in value.columns]
    same = [place for place, one in enumerate(value.columns) if one == column or str(one) == column]
    place = 0 if len(names) == 1 else next(iter(same), None)
    if place is None:
        example = f", such as `frame[{names[0]!r}]`" if names else ""
        raise DataError(
            f"{name}: the labels are a frame with the columns {names_shown(names)}. Give one column{example}."
        )
    return _values(value.iloc[:, place])


def are_columns(value: object) -> bool:
    """Return whether a value is a pair of columns, such as (texts, labels)."""
    return isinstance(value, tuple) and len(value) == 2 and all(map(is_column, value))


def are_two_pairs(value: Any) -> bool:
    """Return whether a value may be two pairs (text, label) as well as a pair of columns."""
    is_two = isinstance(value, tuple) and len(value) == 2
    return is_two and all(isinstance(one, tuple) and len(one) == 2 and _may_be_text(one[0]) for one in value)


def may_be_texts(value: Iterable[object]) -> bool:
    """Return whether all values are texts or missing."""
    return all(map(_may_be_text, value))


def check_halves(value: Any, *, name: str, texts_remedy: str) -> None:
    """Raise DataError for a pair of columns, one of which is none."""
    if not (isinstance(value, tuple) and len(value) == 2 and any(map(is_column, value))):
        return
    for half, one, remedy in zip(("texts", "labels"), value, (texts_remedy, "Give a list of labels."), strict=True):
        if not is_column(one):
            raise DataError(
                f"{name}: of (texts, labels), the {half} are {on_one_line(one)} ({type(one).__name__}), but must be a list. "
                f"{remedy}"
            )


def _may_be_text(value: object) -> bool:
    return isinstance(value, str) or is_missing(value)


def is_pair(value: Any) -> bool:
    """Return whether a value is a row of two, such as (text, label)."""
    is_row = (isinstance(value, Sequence) and not isinstance(value, str | bytes)) or is_a(value, "numpy", "ndarray")
    return is_row and len(value) == 2


def is_a(value: object, package: str, name: str) -> bool:
    """Return whether a value is of a class of this name from `package`, or of one that is derived from it."""
    return any(kind.__name__ == name and kind.__module__.partition(".")[0] == package for kind in type(value).__mro__)


def on_one_line(value: object) -> str:
    """Return the repr of a value, cut; that of a Series or a data set has several lines."""
    return " ".join(shown(value).split())
