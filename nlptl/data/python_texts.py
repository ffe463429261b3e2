"""Python's door: lists, arrays, Series, frames, data sets and files that hold texts or labelled examples.

Other libraries' types are told by the package of their class, so that none is imported for a caller who does not use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from nlptl.config import parse
from nlptl.data.collected_faults import CollectedFaults
from nlptl.data.data_settings import DataSettings
from nlptl.data.packing import bare_name
from nlptl.data.readers import SUFFIXES
from nlptl.data.row_checks import (
    PYTHON_DOOR,
    Column,
    Columns,
    EmptyLabel,
    EmptyText,
    Origin,
    RawRows,
    Rows,
    check_rows,
    is_missing,
    joined_text,
)
from nlptl.data.sources import OpenedSource, load, open_dataset, open_source
from nlptl.data.table import Label, TextTable, arrow_batch
from nlptl.errors import ConfigError, DataError
from nlptl.faults import shown

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from datasets import Dataset, IterableDataset

    Texts = Iterable[str] | np.ndarray[Any, Any] | pd.Series[Any]
    Labels = Iterable[Label] | np.ndarray[Any, Any] | pd.Series[Any]

TextsLike: TypeAlias = "Texts | pd.DataFrame | Dataset | IterableDataset | TextTable | str | PathLike[str]"
"""Texts: a list, tuple, generator, array or Series of strings; a frame or data set with a column of texts; a file's path."""
LabelledLike: TypeAlias = (
    "tuple[Texts | pd.DataFrame, Labels] | Iterable[tuple[str, Label] | list[str]] | np.ndarray[Any, Any] | "
    "pd.DataFrame | Dataset | IterableDataset | TextTable | str | PathLike[str]"
)
"""Labelled examples: (texts, labels), pairs (text, label), a frame or data set with both columns, or a file's path."""
TextColumns: TypeAlias = "Column | Sequence[Column]"  # of a frame, data set or file; several are joined
EmptyPrediction = Literal["predict", "refuse", "skip", "none"]

_CHECKED_AT_ONCE = 10_000  # texts joined to find half of a surrogate pair
_TEXTS = (
    "a list, tuple, generator, NumPy array or pandas Series of strings, a data frame or data set with a column of texts, or "
    "a file's path"
)
_STRINGS_DOOR = replace(PYTHON_DOOR, empty_text='Remove the row, or give "" for the vector of an empty text.')
_EXAMPLES = "(texts, labels), a list of pairs (text, label), a pandas DataFrame or a datasets.Dataset"


@dataclass(frozen=True)
class GivenTexts:
    """Checked texts, and the places of those that have one among all rows given."""

    texts: list[str]
    rows: list[int] | None  # place of each text, from 0; None where each row has one
    count: int  # rows given


@dataclass(frozen=True)
class _Unchecked:
    """Values of a column of texts, with their row or line numbers."""

    origin: Origin
    numbers: Sequence[int]
    values: list[Any]


def given_texts(
    value: TextsLike, *, text: TextColumns = "text", name: str = "texts", empty_text: EmptyPrediction = "predict"
) -> GivenTexts:
    """Return texts from any Python value that holds some; `text` names the column of a frame, a data set or a file.

    Raises DataError for anything else, and for rows that are no text, with their numbers from 1. Rows without a text are
    refused, or left out under "skip" and "none". Under "predict" an empty string is a text, and a missing one is refused.
    """
    if empty_text not in get_args(EmptyPrediction):
        options = ", ".join(map(repr, get_args(EmptyPrediction)))
        raise ConfigError(f"empty_text is {empty_text!r}, but must be one of {options}. Choose one of them.")
    given = _unchecked(value, text=text, name=name)
    if empty_text == "predict":
        found = _strings(given)
        return GivenTexts(found, None, len(found))
    if _all_filled_strings(given.values) and not _has_half_characters(given.values):
        return GivenTexts(given.values, None, len(given.values))
    numbered = range(len(given.values))
    places = {number: row for row, number in zip(numbered, given.numbers, strict=True)}
    kept = _checked(given, "refuse" if empty_text == "refuse" else "skip")
    return GivenTexts(kept.texts, [places[number] for number in kept.lines], len(given.values))


def strings(value: TextsLike, *, text: TextColumns = "text", name: str = "texts") -> list[str]:
    """Return texts as `given_texts` does, with empty strings among them; None and NaN are refused."""
    given = _unchecked(value, text=text, name=name)
    return _strings(replace(given, origin=replace(given.origin, door=_STRINGS_DOOR)))


def texts_table(
    value: TextsLike, *, name: str, text: TextColumns = "text", empty_text: EmptyText = "refuse"
) -> TextTable:
    """Return texts of any Python value as a table. Raises DataError for what is none."""
    columns = _columns(text)
    if isinstance(value, TextTable):
        return value
    if _is_file(value):
        return load(_opened(value, columns, name), empty_text=empty_text)[0]
    if _is_a(value, "datasets", "Dataset"):
        return load(open_dataset(value, name, columns), empty_text=empty_text)[0]
    return TextTable.from_lists(_text_values(value, text=text, name=name), name=name, empty_text=empty_text)


def labelled_table(
    value: LabelledLike, *, name: str, text: TextColumns = "text", label: Column = "label", empty_text: EmptyText = "refuse",
    empty_label: EmptyLabel = "refuse",
) -> TextTable:  # fmt: skip
    """Return labelled examples of any Python value as a table. Raises DataError for what is none.

    Unless `empty_label` is "refuse", rows without a label have the label "" in the table.
    """
    columns = _columns(text, label)
    if isinstance(value, TextTable):
        value.labels()
        return value
    if _is_file(value):
        return load(_opened(value, columns, name), empty_text=empty_text, empty_label=empty_label)[0]
    if _is_a(value, "datasets", "Dataset"):
        return load(open_dataset(value, name, columns), empty_text=empty_text, empty_label=empty_label)[0]
    texts, labels = _examples(value, columns, name)
    return TextTable.from_lists(texts, labels, name=name, empty_text=empty_text, empty_label=empty_label)


def _unchecked(value: Any, *, text: TextColumns, name: str) -> _Unchecked:
    if not _is_file(value):
        values = _text_values(value, text=text, name=name)
        return _Unchecked(Origin(name, door=PYTHON_DOOR), range(1, len(values) + 1), values)
    opened = _opened(value, _columns(text), name)
    read = list(opened.rows())
    values = [one for rows in read for one in rows.texts]
    return _Unchecked(opened.origin, [line for rows in read for line in rows.lines], values)


def _text_values(value: Any, *, text: TextColumns, name: str) -> list[Any]:
    """Return the values of a column of texts, unchecked."""
    if isinstance(value, TextTable):
        return value.texts()
    if _is_columns(value):
        raise DataError(f"{name}: a pair such as (texts, labels) was given. Give the texts alone.")
    found = _frame_columns(value, _columns(text), name)
    if found is not None:
        return found[0]
    return _column_values(value, name=name, what="a list of texts", remedy=_texts_remedy(value))


def _examples(value: Any, columns: Columns, name: str) -> tuple[list[Any], list[Any]]:
    """Return texts and labels, unchecked."""
    found = _frame_columns(value, columns, name)
    if found is not None:
        return found[0], found[1]
    if _is_columns(value):
        texts = _text_values(value[0], text=columns.text, name=name)
        labels = _column_values(value[1], name=name, what="a list of labels", remedy="Give (texts, labels).")
        return texts, labels
    pairs = _column_values(value, name=name, what="a set of examples", remedy=f"Give {_EXAMPLES}.")
    for number, pair in enumerate(pairs, 1):
        if not _is_pair(pair):
            raise DataError(
                f"{Origin(name).at(number)}: {_on_one_line(pair)} is not a pair (text, label). Give each row as such a "
                "pair, or all rows as (texts, labels)."
            )
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _frame_columns(value: Any, columns: Columns, name: str) -> list[list[Any]] | None:
    """Return the wanted columns of a frame or data set; None for other values."""
    if _is_a(value, "pandas", "DataFrame"):
        return _wanted(columns, [str(one) for one in value.columns], lambda place: _values(value.iloc[:, place]), name)
    if _is_a(value, "polars", "DataFrame"):
        return _wanted(columns, value.columns, lambda place: value.to_series(place).to_list(), name)
    if _is_a(value, "pyarrow", "Table") or _is_a(value, "pyarrow", "RecordBatch"):
        return _wanted(columns, value.schema.names, lambda place: value.column(place).to_pylist(), name)
    if _is_a(value, "datasets", "Dataset"):
        names, plain = value.column_names, value.with_format(None)
        return _wanted(columns, names, lambda place: _values(plain[names[place]]), name)
    if _is_a(value, "datasets", "IterableDataset"):
        return _streamed(value, columns, name)
    return None


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
    column = lambda place: _named([row[names[place]] for row in rows], features.get(names[place]))  # noqa: E731
    return _wanted(columns, names, column, name)


def _column_values(value: Any, *, name: str, what: str, remedy: str) -> list[Any]:
    if not _is_column(value):
        raise DataError(f"{name}: {_on_one_line(value)} ({type(value).__name__}) is not {what}. {remedy}")
    if _is_a(value, "numpy", "ndarray") and value.ndim != 1 and "examples" not in what:
        raise DataError(f"{name}: the array has the shape {value.shape}, but must have one dimension. Choose a column.")
    return _values(value)


def _values(column: Any) -> list[Any]:
    """Return the values of a column as Python objects."""
    if _is_a(column, "datasets", "Column"):
        return _named(list(column), column.features)
    if _is_a(column, "datasets", "IterableColumn"):
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


def _is_column(value: object) -> bool:
    """Return whether a value is a row of values in an order. A frame counts: its column is named."""
    if isinstance(value, str | bytes | bytearray | memoryview | Mapping | set | frozenset | PathLike):
        return False
    return isinstance(value, Iterable) and getattr(value, "ndim", 1) != 0


def _is_columns(value: object) -> bool:
    """Return whether a value is a pair of columns, such as (texts, labels)."""
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_column, value))


def _is_pair(value: Any) -> bool:
    is_row = (isinstance(value, Sequence) and not isinstance(value, str | bytes)) or _is_a(value, "numpy", "ndarray")
    return is_row and len(value) == 2


def _is_a(value: object, package: str, name: str) -> bool:
    """Return whether a value is of a class of this name from `package`, or of one that is derived from it."""
    return any(kind.__name__ == name and kind.__module__.partition(".")[0] == package for kind in type(value).__mro__)


def _is_file(value: object) -> bool:
    if isinstance(value, PathLike):
        return True
    is_short = isinstance(value, str) and len(value) < 4096 and "\n" not in value and "\0" not in value
    return is_short and Path(bare_name(Path(str(value)))).suffix in SUFFIXES


def _columns(text: TextColumns, label: Column | None = None) -> Columns:
    return Columns(text if isinstance(text, str | int) else tuple(text), label, PYTHON_DOOR)


def _opened(value: Any, columns: Columns, name: str) -> OpenedSource:
    settings = parse(
        DataSettings, {"text_column": list(columns.texts), "label_column": columns.label or "label"}, where=name
    )
    return open_source(
        fspath(value), settings=settings, labelled=columns.label is not None, where=name, door=PYTHON_DOOR
    )


def _on_one_line(value: object) -> str:
    """Return the repr of a value, cut; that of a Series or a data set has several lines."""
    return " ".join(shown(value).split())


def _texts_remedy(value: object) -> str:
    if isinstance(value, str):
        return "Put the texts in a list."
    if isinstance(value, set | frozenset):
        return "Give a list, since a set has no order."
    if isinstance(value, Mapping):
        splits = [key for key in value if isinstance(key, str)]
        return f"Give one of its values, such as `value[{splits[0]!r}]`." if splits else "Give a list of its texts."
    return f"Give {_TEXTS}."


def _strings(given: _Unchecked) -> list[str]:
    """Return the values if each is a string, be it empty. Raises DataError with all that are none."""
    if _all_strings(given.values) and not _has_half_characters(given.values):
        return given.values
    filled = ["-" if isinstance(one, str) and not one.strip() else one for one in given.values]
    _checked(replace(given, values=filled), "refuse")
    return given.values


def _all_filled_strings(values: list[Any]) -> bool:
    """Return whether each value is a string with a visible character. Every text passes here, so it runs at C speed."""
    try:
        return all(map(str.strip, values))
    except TypeError:
        return False


def _all_strings(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _has_half_characters(texts: list[str]) -> bool:
    for begin in range(0, len(texts), _CHECKED_AT_ONCE):
        try:
            "".join(texts[begin : begin + _CHECKED_AT_ONCE]).encode()
        except UnicodeEncodeError:
            return True
    return False


def _checked(given: _Unchecked, empty_text: EmptyText) -> Rows:
    """Return the rows with a text. Raises DataError with all bad rows."""
    faults = CollectedFaults()
    raw = RawRows(given.numbers, given.values, None)
    rows = check_rows(raw, origin=given.origin, empty_text=empty_text, faults=faults)
    try:
        arrow_batch(rows, given.origin)
    except DataError as error:
        faults.add(error)
    faults.check(given.origin.name)
    return rows
