"""Classes of scikit-learn, which are of any hashable kind, and the labels of nlptl, which are texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlptl.data.python_columns import column_values, is_a, is_column
from nlptl.data.row_checks import is_missing
from nlptl.data.text_data import TextData
from nlptl.errors import DataError
from nlptl.faults import shown

_PLAIN = (np.bool_, np.integer, np.floating, np.str_)  # scalars that have an equal value of Python's own

_TIMES = "mM"  # kinds of NumPy's durations and dates


@dataclasses.dataclass(frozen=True)
class Classes:
    """Distinct classes in order, and the class of each row."""

    values: NDArray[Any]  # (K,) sorted where they can be sorted
    ids: list[int]  # of the rows

    @classmethod
    def of(cls, y: Any) -> Classes:
        """Return the classes of y. Raises DataError for missing ones, unhashable ones and fewer than two."""
        values = values_of(y)
        _check(values)
        distinct = list(dict.fromkeys(values))
        if not distinct:
            raise DataError("y: found no rows; expected a class for each text. Give texts with their classes.")
        if len(distinct) < 2:
            raise DataError(
                f"y: all {len(values)} rows have the class {shown(distinct[0])}, only 1 class; expected two or more classes. "
                "Add rows of another class."
            )
        try:
            distinct.sort()
        except TypeError:
            distinct.sort(key=lambda value: (type(value).__name__, repr(value)))
        places = {value: place for place, value in enumerate(distinct)}
        return cls(_array(distinct, getattr(y, "dtype", None)), [places[value] for value in values])

    def labelled(self, texts: Sequence[str], **parts: Any) -> tuple[TextData, list[str]]:
        """Return the data of these texts, and the label of each class in them.

        A label is its class in words. Where two classes would have the same label, or one an empty one, all are numbered.
        """
        written = [str(value) for value in _listed(self.values)]
        numbered = [str(number) for number in range(len(written))]
        names = parts.pop("label_names", None)
        for labels in (written, numbered) if all(map(str.strip, written)) else (numbered,):
            data = TextData(labelled=(texts, [labels[number] for number in self.ids]), **parts)
            assert data.labelled is not None
            found = dict(zip(self.ids, data.labelled.labels(), strict=True))
            if len(set(found.values())) == len(written):
                break
        labels = [found[number] for number in range(len(written))]
        if names is not None:
            data = TextData.of_tables(
                {"labelled": data.labelled, "unlabelled": data.unlabelled}, _names(names, self.values, labels)
            )
        return data, labels


def values_of(y: Any) -> list[Any]:
    """Return the values of y as Python objects. Raises DataError for what is no list of classes."""
    if y is None:
        raise DataError(
            "y: this estimator requires y to be passed, but the target y is None. Give a class for each text."
        )
    if getattr(y, "ndim", 1) == 2 or is_a(y, "pandas", "DataFrame"):
        from sklearn.utils import column_or_1d

        y = column_or_1d(y, warn=True)
    y = np.asarray(y) if hasattr(y, "__array__") and not is_column(y) else y
    if isinstance(y, np.ndarray) and y.dtype.kind in _TIMES and y.ndim == 1:
        return _listed(y)
    found = column_values(y, name="y", what="a list of classes", remedy="Give a class for each text.")
    return [value.item() if isinstance(value, _PLAIN) else value for value in found]


def check_equally_many(texts: Sequence[Any], classes: Sequence[Any]) -> None:
    """Raise DataError unless each text has a class."""
    if len(texts) != len(classes):
        raise DataError(
            f"X has {len(texts)} texts and y {len(classes)} classes; expected a class for each text. Give both of equal length."
        )


def _names(names: Any, classes: NDArray[Any], labels: Sequence[str]) -> Any:
    """Return the names of classes as names of labels."""
    from nlptl.data.label_names import LabelNames

    by_class = dict(zip(_listed(classes), labels, strict=True))
    if not isinstance(names, Mapping):
        example = f"{{{next(iter(by_class))!r}: 'a few words'}}"
        raise DataError(
            f"label_names: found {shown(names)}; expected a dict from classes to what they mean, such as {example}. Give one."
        )
    if unknown := [name for name in names if name not in by_class]:
        raise DataError(
            f"label_names: {shown(unknown[0])} is no class of y; its classes are {shown(list(by_class))}. Remove its name."
        )
    return LabelNames.of({by_class[value]: name for value, name in names.items()})


def _check(values: Sequence[Any]) -> None:
    for row, value in enumerate(values, start=1):
        if is_missing(value) or (isinstance(value, np.datetime64 | np.timedelta64) and np.isnat(value)):
            raise DataError(
                f"y: row {row} has no class (found {shown(value)}); expected a class in every row. Leave the row out, or give "
                "its text as `unlabelled`."
            )
        if not isinstance(value, Hashable) or not _has_hash(value):
            raise DataError(
                f"y: row {row} has {shown(value)}, a {type(value).__name__}, which cannot be a class; expected a hashable value, "
                "such as a text, a number or a tuple. Change it into one."
            )
    kinds = {type(value) for value in values}
    if (
        bool in kinds
        and kinds & {int, float}
        and {value for value in values if isinstance(value, bool | int | float)} & {0, 1}
    ):
        raise DataError(
            "y: found truth values beside the numbers 0 or 1, which are equal in Python; expected one kind. Change one of them."
        )
    if kinds == {float} and not all(value.is_integer() for value in values):
        from sklearn.utils.multiclass import check_classification_targets

        check_classification_targets(np.array(values))


def _has_hash(value: Any) -> bool:
    try:
        hash(value)  # of a tuple that holds a list there is none
    except TypeError:
        return False
    return True


def _array(values: Sequence[Any], dtype: Any) -> NDArray[Any]:
    """Return classes as an array of the kind of `dtype`, or of their own; of objects where numpy would change them."""
    found = np.empty(len(values), dtype=object)
    found[:] = values
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        return found
    kinds = {type(value) for value in values}
    if kinds in ({np.datetime64}, {np.timedelta64}):
        return np.array(values)
    if len(kinds) > 1 or not kinds <= {bool, int, float, str}:
        return found
    plain = np.array(values, dtype=dtype if isinstance(dtype, np.dtype) and dtype.kind in "biuf" else None)
    return plain if plain.tolist() == list(values) else found


def _listed(classes: NDArray[Any]) -> list[Any]:
    """Return classes as Python objects; times stay NumPy's, since those in nanoseconds would become integers."""
    return list(classes) if classes.dtype.kind in _TIMES else classes.tolist()
