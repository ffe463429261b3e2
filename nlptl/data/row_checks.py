"""Rows between a source and a table: numbered batches, and the one place that refuses a bad row."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral
from typing import Any, Literal, TypeVar

from nlptl.data.collected_faults import CollectedFaults
from nlptl.data.columns import SETTINGS_DOOR, Door
from nlptl.data.label_spelling import stripped
from nlptl.errors import DataError
from nlptl.faults import shown

EmptyText = Literal["refuse", "skip"]
EmptyLabel = Literal["refuse", "skip", "unlabelled"]
HALF_CHARACTER = "which is half of a UTF-16 surrogate pair. Remove it, or write the whole character."
_Checked = TypeVar("_Checked")  # a label, or a set of labels
NO_LABEL = ""  # the label of a row without one in a table just read, until such rows are taken out


@dataclass(frozen=True)
class RowPlace:
    """Place of a row: its file, and its row as a spreadsheet or a parquet file counts, or its line, from 1."""

    file: str
    number: int | None  # None in a folder, where each text has a file of its own


@dataclass(frozen=True)
class Origin:
    """Source of rows in an error message: a file counted in lines, or a table counted in rows."""

    name: str
    counts: Literal["lines", "rows"] = "rows"
    door: Door = SETTINGS_DOOR
    files: tuple[str, ...] = field(default=(), repr=False)  # of a folder, whose rows are files

    def at(self, number: int) -> str:
        """Return "train.csv:17", "labelled, row 3" or "mails/3.txt"; `number` counts from 1."""
        if self.files:
            return self.files[number - 1]
        return f"{self.name}:{number}" if self.counts == "lines" else f"{self.name}, row {number}"

    def place(self, number: int | None) -> RowPlace:
        """Return the place of a row; None is not known."""
        if self.files and number is not None:
            return RowPlace(self.files[number - 1], None)
        return RowPlace(self.name, number)


@dataclass(frozen=True)
class UnreadCell:
    """Cell of a workbook that shows something, although the file holds no value for it."""

    reason: str  # what it holds and what to do, behind "the cell"


@dataclass(frozen=True)
class RawRows:
    """Unchecked rows of a reader; `lines[i]` is the line or row of row i in its origin, counted from 1."""

    lines: Sequence[int]
    texts: Sequence[object]
    labels: Sequence[object] | None
    records: Sequence[Sequence[object] | Mapping[str, object]] | None = None  # all values of each row, where asked for
    label_sets: bool = False  # whether each label is known to be a list of labels


@dataclass(frozen=True)
class Rows:
    """Checked rows: every text is a string with a visible character, every label a string."""

    lines: Sequence[int]
    texts: list[str]
    labels: list[str] | None
    label_sets: list[tuple[str, ...] | None] | None = (
        None  # where each row has a list of labels; None for an empty cell
    )


def check_rows(
    raw: RawRows, *, origin: Origin, empty_text: EmptyText, empty_label: EmptyLabel = "refuse",
    faults: CollectedFaults | None = None,
) -> Rows:  # fmt: skip
    """Return checked rows with their labels as strings, or as sorted tuples of them; "skip" leaves out empty texts.

    Unless `empty_label` is "refuse", a row without label gets `NO_LABEL`, or None where others have lists. A bad row raises
    DataError, or is left out and added to `faults`.
    """
    texts = list(raw.texts)
    if raw.labels is not None and (raw.label_sets or _hold_lists(raw.labels)):
        check = partial(_checked_set, empty_label=empty_label, origin=origin)
        rows, sets = _check_one_by_one(raw, check, origin=origin, empty_text=empty_text, faults=faults)
        return dataclasses.replace(rows, label_sets=sets)
    if all_filled_strings(texts) and (raw.labels is None or _all_labels(raw.labels)):
        return Rows(raw.lines, texts, None if raw.labels is None else list(raw.labels))  # type: ignore[arg-type]
    one = partial(_checked_label, empty_label=empty_label, origin=origin)
    rows, labels = _check_one_by_one(raw, one, origin=origin, empty_text=empty_text, faults=faults)
    return dataclasses.replace(rows, labels=None if raw.labels is None else labels)


def label_name(label: object, *, at: str, door: Door = SETTINGS_DOOR) -> str:
    """Return a label as a string: 1 and 1.0 become "1", True "True". DataError if it is empty or of another kind."""
    if is_missing(label) or (isinstance(label, str) and not stripped(label)):
        raise DataError(f"{at}: the label is empty. {door.empty_label}")
    if isinstance(label, UnreadCell):
        raise DataError(f"{at}: the cell of the label {label.reason}")
    if isinstance(label, str):
        return str.__str__(label)  # the value of an Enum of strings, not its name
    is_scalar = type(label).__module__ == "numpy" and getattr(label, "ndim", 1) == 0
    value = label.item() if is_scalar and hasattr(label, "item") else label
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, Integral) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    several = (
        " Give each row one label, or all rows lists."
        if isinstance(value, Collection) and not isinstance(value, bytes)
        else ""
    )
    raise DataError(
        f"{at}: the label is {shown(label)} ({type(label).__name__}), but must be a name or a whole number.{several}"
    )


def is_label_list(value: object) -> bool:
    """Return whether a value is a list of labels, as JSON, Arrow, NumPy or Python has it."""
    is_array = type(value).__module__ == "numpy" and getattr(value, "ndim", 0) == 1
    return is_array or isinstance(value, list | tuple | set | frozenset)


def is_missing(value: object) -> bool:
    """Return whether a value stands for none: None, NaN, pandas.NA or NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def names_by_label(names: object, *, in_python: bool = False) -> dict[str, str]:
    """Return the name of each label. Raises ValueError with a message that does not name the place.

    Truth values name labels `in_python` alone: YAML also reads plain words as such.
    """
    if in_python and not isinstance(names, Mapping):
        told = " ".join(shown(names).split())
        raise ValueError(f"{told} ({type(names).__name__}) names no labels. Give a dict {{label: words}}.")
    if not isinstance(names, Mapping) or not names:
        raise ValueError(
            f"{shown(names)} names no labels. Give each label a few words that say what it means, or remove the setting."
        )
    found: dict[str, str] = {}
    for given, name in names.items():
        if isinstance(given, bool) and not in_python:  # refused here, although a table may contain them
            raise ValueError(
                f"the label is {given}, since YAML reads true, false, yes, no, on and off as truth values. Put the label in quotes."
            )
        try:
            label = label_name(given, at="label_names")
        except DataError:
            raise ValueError(f"the label {shown(given)} must be a name or a whole number.") from None
        if label in found:
            raise ValueError(f"the label {label!r} has two names. Remove one.")
        half = half_character(label) or (half_character(name) if isinstance(name, str) else None)
        if half is not None:
            raise ValueError(f"the label {label!r} or its name contains {half!r}, {HALF_CHARACTER}")
        if not isinstance(name, str):
            raise ValueError(f"the name of the label {label!r} is {shown(name)}, but must be a text. Put it in quotes.")
        if not name.strip():
            raise ValueError(f"the name of the label {label!r} is empty. Write a few words that say what it means.")
        found[label] = name
    return found


def all_filled_strings(values: Sequence[Any]) -> bool:
    """Return whether each value is a string with a visible character. Every row passes here, so it runs at C speed."""
    try:
        return all(map(str.strip, values))
    except TypeError:
        return False


def half_character(text: str) -> str | None:
    """Return the first half of a UTF-16 surrogate pair in `text`, or None."""
    return next((character for character in text if "\ud800" <= character <= "\udfff"), None)


def check_whole_characters(rows: Rows, origin: Origin) -> None:
    """Raise DataError for half of a UTF-16 surrogate pair, which no tokenizer accepts."""
    labels = rows.labels or ["".join(labels or ()) for labels in rows.label_sets or ()]
    for kind, values in (("text", rows.texts), ("label", labels)):
        with contextlib.suppress(UnicodeEncodeError):  # at C speed, since every row passes here
            "".join(values).encode()
            continue
        for line, value in zip(rows.lines, values, strict=False):
            half = half_character(value)
            if half is not None:
                raise DataError(f"{origin.at(line)}: the {kind} contains {half!r}, {HALF_CHARACTER}")


def no_rows(name: str) -> DataError:
    """Return the error for a source without rows."""
    return DataError(f"{name}: there are no rows. Add rows, or choose another source.")


def _all_labels(values: Sequence[object]) -> bool:
    """Return whether each value is a string with a visible character; labels are few, so each is looked at once."""
    try:
        return all(type(value) is str and stripped(value) for value in set(values))
    except TypeError:
        return False


def _check_one_by_one(
    raw: RawRows,
    check: Callable[..., _Checked],
    *,
    origin: Origin,
    empty_text: EmptyText,
    faults: CollectedFaults | None,
) -> tuple[Rows, list[_Checked]]:
    """Return the good rows without their labels, and these as `check` returns them."""
    lines: list[int] = []
    texts: list[str] = []
    labels: list[_Checked] = []
    for index, (line, text) in enumerate(zip(raw.lines, raw.texts, strict=True)):
        if empty_text == "skip" and (is_missing(text) or (isinstance(text, str) and not text.strip())):
            continue
        try:
            checked = _checked_text(text, origin=origin, line=line)
            found = [] if raw.labels is None else [check(raw.labels[index], line=line)]
        except DataError as error:
            if faults is None:
                raise
            faults.add(error)
            continue
        lines.append(line)
        texts.append(checked)
        labels += found
    return Rows(lines, texts, None), labels


def _checked_text(text: object, *, origin: Origin, line: int) -> str:
    at = origin.at(line)
    if is_missing(text) or (isinstance(text, str) and not text.strip()):
        raise DataError(f"{at}: the text is empty. {origin.door.empty_text}")
    if isinstance(text, UnreadCell):
        raise DataError(f"{at}: the cell of the text {text.reason}")
    if not isinstance(text, str):
        remedy = origin.door.no_string or _remedy_in_python(text)
        raise DataError(f"{at}: the text is {shown(text)} ({type(text).__name__}), but must be a string. {remedy}")
    return text


def _remedy_in_python(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return 'Decode it, as in `value.decode("utf-8")`.'
    if isinstance(value, Collection):
        return "Give the text alone."
    return "Make it a str, or leave it out."


def _checked_label(label: object, *, empty_label: EmptyLabel, origin: Origin, line: int) -> str:
    if empty_label != "refuse" and _is_empty(label):
        return NO_LABEL
    return label_name(label, at=origin.at(line), door=origin.door)


def _checked_set(labels: Any, *, empty_label: EmptyLabel, origin: Origin, line: int) -> tuple[str, ...] | None:
    """Return the different labels of a row, sorted; none of them for an empty list, None for an empty cell."""
    at = origin.at(line)
    if _is_empty(labels):
        if empty_label != "refuse":
            return None
        raise DataError(f"{at}: the label is empty. {origin.door.empty_label} {origin.door.no_label}")
    if not is_label_list(labels):
        raise DataError(
            f"{at}: the label is {shown(labels)} ({type(labels).__name__}), but other rows have lists of labels. "
            "Write a list here too."
        )
    return tuple(sorted({stripped(label_name(label, at=at, door=origin.door)) for label in labels}))


def _hold_lists(labels: Sequence[object]) -> bool:
    """Return whether labels are lists: the first one, and most of all."""
    if not is_label_list(next((label for label in labels if not _is_empty(label)), None)):
        return False
    return 2 * sum(map(is_label_list, labels)) > sum(not _is_empty(label) for label in labels)


def _is_empty(label: object) -> bool:
    return is_missing(label) or (isinstance(label, str) and not stripped(label))
