"""Python's door: lists, arrays, Series, frames, data sets and files that hold texts or labelled examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from nlptl.config import parse
from nlptl.data.collected_faults import CollectedFaults
from nlptl.data.columns import PYTHON_DOOR, Column, Columns, Door
from nlptl.data.compressed_files import bare_name
from nlptl.data.data_settings import DataSettings, LabelCells
from nlptl.data.label_cells import as_list
from nlptl.data.python_columns import (
    are_columns,
    are_two_pairs,
    check_halves,
    column_values,
    frame_columns,
    is_a,
    is_column,
    is_pair,
    label_values,
    may_be_texts,
    on_one_line,
)
from nlptl.data.readers import SUFFIXES
from nlptl.data.row_checks import (
    EmptyLabel,
    EmptyText,
    Origin,
    RawRows,
    Rows,
    all_filled_strings,
    check_rows,
    check_whole_characters,
)
from nlptl.data.sources import OpenedSource, load, open_dataset, open_source, with_label_sets
from nlptl.data.table import Label, TextTable
from nlptl.errors import ConfigError, DataError
from nlptl.faults import shown

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from datasets import Dataset, IterableDataset

    Texts = Iterable[str] | np.ndarray[Any, Any] | pd.Series[Any]
    Labels = Iterable[Label | Sequence[Label]] | np.ndarray[Any, Any] | pd.Series[Any]

TextsLike: TypeAlias = "Texts | pd.DataFrame | Dataset | IterableDataset | TextTable | str | PathLike[str]"
"""Texts: a list, tuple, generator, array or Series of strings; a frame or data set with a column of texts; a file's path."""
LabelledLike: TypeAlias = (
    "tuple[Texts | pd.DataFrame, Labels] | Iterable[tuple[str, Label | Sequence[Label]] | list[str]] | np.ndarray[Any, Any] | "
    "pd.DataFrame | Dataset | IterableDataset | TextTable | str | PathLike[str]"
)
"""Labelled examples: (texts, labels), pairs (text, label), a frame or data set with both columns, or a file's path. Where a
text may have several labels, each label is a list of them."""
TextColumns: TypeAlias = "Column | Sequence[Column]"  # of a frame, data set or file; several are joined
EmptyPrediction = Literal["predict", "refuse", "skip", "none"]

_CHECKED_AT_ONCE = 10_000  # texts joined to find half of a surrogate pair
_TEXTS = (
    "a list, tuple, generator, NumPy array or pandas Series of strings, a data frame or data set with a column of texts, or "
    "a file's path"
)
_STRINGS_DOOR = replace(
    PYTHON_DOOR, empty_text='Remove the row, fill in the text, or give "" for a text without words.'
)
_PREDICT_DOOR = replace(
    PYTHON_DOOR,
    empty_text='Remove the row, fill in the text, give `empty_text="skip"` to leave out all such rows, or `empty_text="none"` '
    "to keep their places.",
)
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
    value: TextsLike, *, text: TextColumns = "text", name: str = "texts", empty_text: EmptyPrediction = "predict",
    door: Door | None = None,
) -> GivenTexts:  # fmt: skip
    """Return texts from any Python value that holds some; `text` names the column of a frame, a data set or a file.

    Raises DataError for anything else, and for rows that are no text, with their numbers from 1. Rows without a text are
    refused, or left out under "skip" and "none". Under "predict" an empty string is a text, and a missing one is refused.
    """
    _check_option("empty_text", empty_text, get_args(EmptyPrediction))
    given = _at_door(_unchecked(value, text=text, name=name, door=door or PYTHON_DOOR), door or _PREDICT_DOOR)
    if empty_text == "predict":
        found = _strings(given)
        return GivenTexts(found, None, len(found))
    if all_filled_strings(given.values) and not _has_half_characters(given.values):
        return GivenTexts(given.values, None, len(given.values))
    numbered = range(len(given.values))
    places = {number: row for row, number in zip(numbered, given.numbers, strict=True)}
    kept = _checked(given, "refuse" if empty_text == "refuse" else "skip")
    return GivenTexts(kept.texts, [places[number] for number in kept.lines], len(given.values))


def strings(value: TextsLike, *, text: TextColumns = "text", name: str = "texts") -> list[str]:
    """Return texts as `given_texts` does, with empty strings among them; None and NaN are refused."""
    return _strings(_at_door(_unchecked(value, text=text, name=name, door=PYTHON_DOOR), _STRINGS_DOOR))


def texts_table(
    value: TextsLike, *, name: str, text: TextColumns = "text", empty_text: EmptyText = "refuse"
) -> TextTable:
    """Return texts of any Python value as a table. Raises DataError for what is none."""
    _check_option("empty_text", empty_text, get_args(EmptyText))
    columns = _columns(text)
    if isinstance(value, TextTable):
        return value
    if _is_file(value):
        return load(_opened(value, columns, name), empty_text=empty_text)[0]
    if is_a(value, "datasets", "Dataset"):
        return load(open_dataset(value, name, columns), empty_text=empty_text)[0]
    return TextTable.from_lists(_text_values(value, text=text, name=name), name=name, empty_text=empty_text)


def labelled_table(
    value: LabelledLike, *, name: str, text: TextColumns = "text", label: Column = "label", empty_text: EmptyText = "refuse",
    empty_label: EmptyLabel = "refuse", separator: str | None = None,
) -> TextTable:  # fmt: skip
    """Return labelled examples of any Python value as a table. Raises DataError for what is none.

    Unless `empty_label` is "refuse", rows without a label have the label "" in the table. Labels that are lists, or strings
    with a `separator` between labels, make a table with several labels a row.
    """
    _check_option("empty_text", empty_text, get_args(EmptyText))
    _check_option("empty_label", empty_label, get_args(EmptyLabel))
    columns = _labelled_columns(text, label)
    if isinstance(value, TextTable):
        value.label_sets()
        return value
    source = None
    if _is_file(value):
        source = _opened(value, columns, name)
    elif is_a(value, "datasets", "Dataset"):
        source = open_dataset(value, name, columns)
    if source is not None:
        source = source if separator is None else with_label_sets(source, LabelCells(separator=separator))
        return load(source, empty_text=empty_text, empty_label=empty_label)[0]
    texts, labels = _examples(value, columns, name)
    if separator is not None:
        labels = [as_list(label, separator) for label in labels]
    return TextTable.from_lists(texts, labels, name=name, empty_text=empty_text, empty_label=empty_label)


def _at_door(given: _Unchecked, door: Door) -> _Unchecked:
    return replace(given, origin=replace(given.origin, door=door))


def _unchecked(value: Any, *, text: TextColumns, name: str, door: Door) -> _Unchecked:
    if not _is_file(value):
        values = _text_values(value, text=text, name=name, door=door)
        return _Unchecked(Origin(name, door=door), range(1, len(values) + 1), values)
    opened = _opened(value, _columns(text), name)
    read = list(opened.rows())
    # A cell without a text is as missing as NaN in the frame that pandas reads from the file.
    values = [None if isinstance(one, str) and not one.strip() else one for rows in read for one in rows.texts]
    return _Unchecked(opened.origin, [line for rows in read for line in rows.lines], values)


def _text_values(value: Any, *, text: TextColumns, name: str, door: Door = PYTHON_DOOR) -> list[Any]:
    """Return the values of a column of texts, unchecked."""
    if isinstance(value, TextTable):
        return value.texts()
    if are_columns(value):
        raise DataError(f"{name}: a pair such as (texts, labels) was given. Give the texts alone.")
    found = frame_columns(value, replace(_columns(text), door=door), name)
    if found is not None:
        return found[0]
    return column_values(value, name=name, what="a list of texts", remedy=_texts_remedy(value))


def _examples(value: Any, columns: Columns, name: str) -> tuple[list[Any], list[Any]]:
    """Return texts and labels, unchecked."""
    found = frame_columns(value, columns, name)
    if found is not None:
        return found[0], found[1]
    pairs_or_columns = are_two_pairs(value)
    if pairs_or_columns and may_be_texts(value[0]):
        raise DataError(
            f"{name}: {on_one_line(value)} may be two pairs (text, label), or (texts, labels). Give a list of pairs, or two lists."
        )
    if are_columns(value) and not pairs_or_columns:
        texts = _text_values(value[0], text=columns.text, name=name)
        return texts, label_values(value[1], columns.label or "label", name=name)
    if isinstance(value, tuple) and value:
        is_told = isinstance(value[0], str | set | frozenset | Mapping)
        check_halves(value, name=name, texts_remedy=_texts_remedy(value[0]) if is_told else "Give a list of texts.")
    pairs = column_values(value, name=name, what="a set of examples", remedy=_examples_remedy(value), dimensions=2)
    for number, pair in enumerate(pairs, 1):
        if not is_pair(pair):
            raise DataError(
                f"{Origin(name).at(number)}: {on_one_line(pair)} is not a pair (text, label). Give each row as such a "
                "pair, or all rows as (texts, labels)."
            )
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _is_file(value: object) -> bool:
    if isinstance(value, PathLike):
        return True
    is_short = isinstance(value, str) and len(value) < 4096 and "\n" not in value and "\0" not in value
    return is_short and Path(bare_name(Path(str(value)))).suffix in SUFFIXES


def _check_option(name: str, found: object, options: Sequence[str]) -> None:
    if not isinstance(found, str) or found not in options:
        listed = ", ".join(map(repr, options))
        raise ConfigError(f"{name} is {shown(found)}, but must be one of {listed}. Choose one of them.")


def _labelled_columns(text: TextColumns, label: Column) -> Columns:
    return replace(_columns(text), label=_column("label", label))


def _columns(text: TextColumns) -> Columns:
    given: Any = text
    is_one = isinstance(given, str | Integral) or not is_column(given)
    texts = tuple(_column("text", one) for one in ([given] if is_one else given))
    if not texts:
        _column("text", text)
    return Columns(texts[0] if is_one else texts, None, PYTHON_DOOR)


def _column(name: str, column: object) -> Column:
    """Return a column's name or number. Whether a number names one is known beside the table."""
    if isinstance(column, str) and column:
        return str(column)
    if isinstance(column, Integral) and not isinstance(column, bool):
        return int(column)
    raise ConfigError(
        f"{name} is {on_one_line(column)}, but must name a column, or give its number from 1. Correct it."
    )


def _opened(value: Any, columns: Columns, name: str) -> OpenedSource:
    columns.check_numbers()
    settings = parse(
        DataSettings, {"text_column": list(columns.texts), "label_column": columns.label or "label"}, where=name
    )
    return open_source(
        fspath(value), settings=settings, labelled=columns.label is not None, where=name, door=PYTHON_DOOR
    )


def _texts_remedy(value: object) -> str:
    if isinstance(value, str):
        return "Put the texts in a list."
    if isinstance(value, set | frozenset):
        return "Give a list, since a set has no order."
    if isinstance(value, Mapping):
        splits = [key for key in value if isinstance(key, str)]
        return f"Give one of its values, such as `value[{splits[0]!r}]`." if splits else "Give a list of its texts."
    return f"Give {_TEXTS}."


def _examples_remedy(value: object) -> str:
    is_split = isinstance(value, Mapping) and any(hasattr(one, "column_names") for one in value.values())
    return _texts_remedy(value) if is_split else f"Give {_EXAMPLES}."


def _strings(given: _Unchecked) -> list[str]:
    """Return the values if each is a string, be it empty. Raises DataError with all that are none."""
    if _all_strings(given.values) and not _has_half_characters(given.values):
        return given.values
    filled = ["-" if isinstance(one, str) and not one.strip() else one for one in given.values]
    _checked(replace(given, values=filled), "refuse")
    return given.values


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
        check_whole_characters(rows, given.origin)
    except DataError as error:
        faults.add(error)
    faults.check(given.origin.name)
    return rows
