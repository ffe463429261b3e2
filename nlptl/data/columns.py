"""Columns of a table: which are wanted, where they stand, and the remedies that an error names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from nlptl.config import did_you_mean
from nlptl.errors import ConfigError, DataError
from nlptl.faults import shown


@dataclass(frozen=True)
class Door:
    """Remedies of faulty rows and columns, each a sentence, in the words of the door that the data came through."""

    empty_text: str
    empty_label: str
    text_column: str
    label_column: str
    no_string: str = ""  # of a text that is no string; empty if the remedy depends on what it is
    no_label: str = "Write [] if no label applies."  # of an empty cell, where a text may have several labels
    no_header: str = "If the first row is data, set `header: false`."
    delimiter: str = "If another character separates the fields, set `delimiter:`."


SETTINGS_DOOR = Door(
    empty_text="Remove the row, fill in the text, or set `empty_text: skip` to leave out all such rows.",
    empty_label="Remove the row, fill in the label, or set `empty_label: skip` to leave out all such rows.",
    text_column="Name the column with `text_column:`, or with `text:` under this source.",
    label_column="Name the column with `label_column:`, or with `label:` under this source.",
    no_string="Put it in quotes, or name another column.",
    no_label="Write [] if no label applies, or set `empty: no_label` under `labels:` if each empty cell says so.",
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


def names_shown(names: Iterable[str], limit: int = 12) -> str:
    """Return "'a', 'b'" for an error message, or "none"; a long list is cut."""
    listed = [shown(name) for name in names]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return (", ".join(listed[:limit]) or "none") + more
