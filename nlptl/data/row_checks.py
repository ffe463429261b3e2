"""Rows between a source and a table: numbered batches, and the one place that refuses a bad row."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Literal

from nlptl.config import did_you_mean
from nlptl.data.collected_faults import CollectedFaults
from nlptl.data.label_spelling import stripped
from nlptl.errors import ConfigError, DataError
from nlptl.faults import shown

EmptyText = Literal["refuse", "skip"]
EmptyLabel = Literal["refuse", "skip", "unlabelled"]
HALF_CHARACTER = "which is half of a UTF-16 surrogate pair. Remove it, or write the whole character."
NO_LABEL = ""  # the label of a row without one in a table just read, until such rows are taken out


@dataclass(frozen=True)
class Door:
    """Remedies of faulty rows and columns, each a sentence, in the words of the door that the data came through."""

    empty_text: str
    empty_label: str
    text_column: str
    label_column: str
    no_string: str = ""  # of a text that is no string; empty if the remedy depends on what it is
    no_header: str = "If the first row is data, set `header: false`."
    delimiter: str = "If another character separates the fields, set `delimiter:`."


SETTINGS_DOOR = Door(
    empty_text="Remove the row, fill in the text, or set `empty_text: skip` to leave out all such rows.",
    empty_label="Remove the row, fill in the label, or set `empty_label: skip` to leave out all such rows.",
    text_column="Name the column with `text_column:`, or with `text:` under this source.",
    label_column="Name the column with `label_column:`, or with `label:` under this source.",
    no_string="Put it in quotes, or name another column.",
)
PYTHON_DOOR = Door(
    empty_text='Remove the row, fill in the text, or give `empty_text="skip"` to leave out all such rows.',
    empty_label='Remove the row, fill in the label, or give `empty_label="skip"` to leave out all such rows.',
    text_column='Name the column, as in `text="COLUMN"`.',
    label_column='Name the column, as in `label="COLUMN"`.',
    no_header="If the first row is data, read the file by `load_table` and `FileSource(header=False)`.",
    delimiter="If another character separates the fields, read the file by `load_table` and `FileSource(delimiter=...)`.",
)

Column = str | int  # name, or position counted from 1

_JOINER = "\n"  # between the columns of one text: a line end, at which sentences end too


@dataclass(frozen=True)
class ColumnPositions:
    """Places of the wanted columns among those of a table, counted from 0."""

    texts: tuple[int, ...]
    label: int | None
    remarks: tuple[str, ...] = ()  # what a person should know about the match
    names: tuple[str, ...] = ()  # of all columns of the table; numbers where it has no header

    def wanted(self) -> list[int]:
        """Return the places of the texts' columns, then the labels' place."""
        return [*self.texts] if self.label is None else [*self.texts, self.label]


@dataclass(frozen=True)
class Columns:
    """Columns to read. Several columns of text are joined; `label` is None if labels are not read."""

    text: Column | tuple[Column, ...] = "text"
    label: Column | None = None
    door: Door = field(default=SETTINGS_DOOR, repr=False, compare=False)  # no part of a cached table's key

    @property
    def texts(self) -> tuple[Column, ...]:
        """The columns of the texts, in order."""
        return self.text if isinstance(self.text, tuple) else (self.text,)

    def wanted(self) -> list[Column]:
        """Return the texts' columns, then the labels' if they are read."""
        return [*self.texts] if self.label is None else [*self.texts, self.label]

    def check_once(self, at: str, places: Sequence[Column] | None = None, *, names: Sequence[str] = ()) -> None:
        """Raise DataError if a column is wanted twice. At `places` of a table with `names`, if they are known."""
        wanted = self.wanted() if places is None else places
        shown_as = [names[place] if names and isinstance(place, int) else place for place in wanted]
        *texts, last = wanted
        if self.label is None:
            texts = [*texts, last]
        elif last in texts:
            raise DataError(f"{at}: the column {shown_as[-1]!r} is read as text and as label. {self.door.label_column}")
        twice = next((name for name, column in zip(shown_as, wanted, strict=True) if texts.count(column) > 1), None)
        if twice is not None:
            raise DataError(f"{at}: the column {twice!r} stands twice among those of the text. Name it once.")

    def check(self, found: Collection[str], at: str) -> None:
        """Raise DataError if a column is not among those `found`."""
        for column in self.wanted():
            if column not in found:
                raise self._missing(column, [str(name) for name in found], at)

    def check_numbers(self) -> None:
        """Raise ConfigError for a number below 1, which names no column."""
        for name, columns in (("text", self.texts), ("label", [] if self.label is None else [self.label])):
            for column in columns:
                if isinstance(column, int) and column < 1:
                    raise ConfigError(
                        f"{name} is {column}, but must name a column, or give its number from 1. Correct it."
                    )

    def match(self, found: Sequence[str], at: str, *, remedy: str = "", instead: str = "") -> ColumnPositions:
        """Return the places of the columns among those `found`, also in other case or with outer blanks, or raise DataError.

        Its message ends with the door's remedy and `remedy`, or with what to do `instead`.
        """
        places, remarks = list[int](), list[str]()
        self.check_numbers()
        for column in self.wanted():
            place = column - 1 if isinstance(column, int) else self._place(column, found, at)
            if place is None or place >= len(found):
                further = remedy if self._matches_nothing(found) else ""
                raise self._missing(column, list(found), at, remedy=further, instead=instead)
            if isinstance(column, str) and found[place] != column:
                remarks.append(f"the column {shown(found[place])} is read as {column!r}")
            places.append(place)
        self.check_once(at, places, names=found)
        return self._positions(places, tuple(remarks), tuple(found))

    def number(self, first: Sequence[str], at: str) -> ColumnPositions:
        """Return the places of the columns in a table without header, which begins with the row `first`, or raise DataError.

        Columns have numbers there. The text is the first column unless it is set, and the label the next one.
        """
        count = len(first)
        named = [number for number in map(_number_of, self.wanted()) if number is not None]
        free = iter(number for number in range(1, count + 2) if number not in named)
        places = []
        for column, usual in zip(self.wanted(), ["text"] * len(self.texts) + ["label"], strict=False):
            number = _number_of(column)
            if number is None and column != usual:
                raise DataError(
                    f"{at}: the table has no header (`header: false`), so there is no column {column!r}. "
                    f"Give its number, from 1 to {count}, as `{usual}_column:`, or as `{usual}:` under this source."
                )
            number = next(free) if number is None else number
            if number > count:
                raise DataError(
                    f"{at}: there is no column {number} with the {usual}s; the table has {count} column{'s' * (count != 1)}. "
                    f"Correct `{usual}_column:`, or `{usual}:` under this source."
                )
            places.append(number - 1)
        self.check_once(at, places, names=[*map(str, range(1, count + 1))])
        is_header = Columns(label=None if self.label is None else "label").are_in(first)
        told = ("its first row is read as data, although it seems to name the columns",) if is_header else ()
        return self._positions(places, told, tuple(map(str, range(1, count + 1))))

    def are_in(self, found: Sequence[str]) -> bool:
        """Return whether all columns are among those `found`, in whatever case."""
        names = set(map(_plain_name, found))
        return all(
            column <= len(found) if isinstance(column, int) else _plain_name(column) in names
            for column in self.wanted()
        )

    def _matches_nothing(self, found: Sequence[str]) -> bool:
        """Return whether none of the columns is among those `found`, nor resembles one."""
        names = set(map(_plain_name, found))
        return len(found) < len(self.wanted()) or not any(
            isinstance(column, int) or _plain_name(column) in names or did_you_mean(column, found)
            for column in self.wanted()
        )

    def _place(self, column: str, found: Sequence[str], at: str) -> int | None:
        same = [place for place, name in enumerate(found) if name == column]
        like = same or [place for place, name in enumerate(found) if _plain_name(name) == _plain_name(column)]
        if len(like) > 1:
            told = f"{column!r}" if same else f"like {column!r}: {names_shown(found[place] for place in like)}"
            raise DataError(
                f"{at}: there are {'two' * (len(like) == 2) or len(like)} columns {told}. Rename one of them."
            )
        return like[0] if like else None

    def _positions(self, places: list[int], remarks: tuple[str, ...], names: tuple[str, ...]) -> ColumnPositions:
        count, label = len(self.texts), None if self.label is None else places[-1]
        return ColumnPositions(tuple(places[:count]), label, remarks, names)

    def _missing(self, column: Column, found: list[str], at: str, *, remedy: str = "", instead: str = "") -> DataError:
        kind = "label" if column == self.label and column not in self.texts else "text"
        meant = did_you_mean(column, found) if isinstance(column, str) and not instead else ""
        usual = (self.door.text_column if kind == "text" else self.door.label_column) + (remedy and f" {remedy}")
        return DataError(
            f"{at}: there is no column {column!r} with the {kind}s; the columns are {names_shown(found)}."
            f"{meant} {instead or usual}"
        )


def joined_text(parts: Sequence[object]) -> object:
    """Return several columns of one text, joined by line ends; empty ones are left out. A part that is no string is returned."""
    for part in parts:
        if part is not None and not isinstance(part, str):
            return part
    return _JOINER.join(part for part in parts if isinstance(part, str) and part.strip())


def _plain_name(name: str) -> str:
    return name.strip("\ufeff \t\r\n\xa0").casefold()


def _number_of(column: Column) -> int | None:
    """Return the number of a column, which may be written as digits; None for a name."""
    return column if isinstance(column, int) else int(column) if re.fullmatch("[1-9][0-9]{0,5}", column) else None


@dataclass(frozen=True)
class Origin:
    """Source of rows in an error message: a file counted in lines, or a table counted in rows."""

    name: str
    counts: Literal["lines", "rows"] = "rows"
    door: Door = SETTINGS_DOOR

    def at(self, number: int) -> str:
        """Return "train.csv:17" or "labelled, row 3"; `number` counts from 1."""
        return f"{self.name}:{number}" if self.counts == "lines" else f"{self.name}, row {number}"


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


@dataclass(frozen=True)
class Rows:
    """Checked rows: every text is a string with a visible character, every label a string."""

    lines: Sequence[int]
    texts: list[str]
    labels: list[str] | None


def check_rows(
    raw: RawRows, *, origin: Origin, empty_text: EmptyText, empty_label: EmptyLabel = "refuse",
    faults: CollectedFaults | None = None,
) -> Rows:  # fmt: skip
    """Return checked rows with their labels as strings; "skip" leaves out empty texts.

    Unless `empty_label` is "refuse", a row without label gets `NO_LABEL`. A bad row raises DataError, or is left out and
    added to `faults`.
    """
    texts = list(raw.texts)
    if all_filled_strings(texts) and (raw.labels is None or _all_labels(raw.labels)):
        return Rows(raw.lines, texts, None if raw.labels is None else list(raw.labels))  # type: ignore[arg-type]
    return _check_one_by_one(raw, origin=origin, empty_text=empty_text, empty_label=empty_label, faults=faults)


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
    several = " Give each row one label." if isinstance(value, Collection) and not isinstance(value, bytes) else ""
    raise DataError(
        f"{at}: the label is {shown(label)} ({type(label).__name__}), but must be a name or a whole number.{several}"
    )


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


def all_filled_strings(values: Sequence[object]) -> bool:
    """Return whether each value is a string with a visible character. Every row passes here, so it runs at C speed."""
    try:
        return all(map(str.strip, values))  # type: ignore[arg-type]
    except TypeError:
        return False


def half_character(text: str) -> str | None:
    """Return the first half of a UTF-16 surrogate pair in `text`, or None."""
    return next((character for character in text if "\ud800" <= character <= "\udfff"), None)


def no_rows(name: str) -> DataError:
    """Return the error for a source without rows."""
    return DataError(f"{name}: there are no rows. Add rows, or choose another source.")


def names_shown(names: Iterable[str], limit: int = 12) -> str:
    """Return "'a', 'b'" for an error message, or "none"; a long list is cut."""
    listed = [shown(name) for name in names]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return (", ".join(listed[:limit]) or "none") + more


def _all_labels(values: Sequence[object]) -> bool:
    """Return whether each value is a string with a visible character; labels are few, so each is looked at once."""
    try:
        return all(type(value) is str and stripped(value) for value in set(values))
    except TypeError:
        return False


def _check_one_by_one(
    raw: RawRows, *, origin: Origin, empty_text: EmptyText, empty_label: EmptyLabel, faults: CollectedFaults | None
) -> Rows:
    lines: list[int] = []
    texts: list[str] = []
    labels: list[str] = []
    for index, (line, text) in enumerate(zip(raw.lines, raw.texts, strict=True)):
        if empty_text == "skip" and (is_missing(text) or (isinstance(text, str) and not text.strip())):
            continue
        try:
            checked = _checked_text(text, origin=origin, line=line)
            label = None if raw.labels is None else _checked_label(raw.labels[index], empty_label, origin, line)
        except DataError as error:
            if faults is None:
                raise
            faults.add(error)
            continue
        lines.append(line)
        texts.append(checked)
        if label is not None:
            labels.append(label)
    return Rows(lines, texts, None if raw.labels is None else labels)


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


def _checked_label(label: object, empty_label: EmptyLabel, origin: Origin, line: int) -> str:
    is_empty = is_missing(label) or (isinstance(label, str) and not stripped(label))
    if is_empty and empty_label != "refuse":
        return NO_LABEL
    return label_name(label, at=origin.at(line), door=origin.door)
