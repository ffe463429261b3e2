"""Rows between a source and a table: numbered batches, and the one place that refuses a bad row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

from nlptl.config import did_you_mean
from nlptl.errors import DataError
from nlptl.faults import shown

EmptyText = Literal["refuse", "skip"]


@dataclass(frozen=True)
class Columns:
    """Names of the columns to read; `label` is None if labels are not read."""

    text: str = "text"
    label: str | None = None

    def wanted(self) -> list[str]:
        """Return the names: the texts' column, and the labels' if they are read."""
        return [self.text] if self.label is None else [self.text, self.label]

    def check(self, found: Collection[str], at: str) -> None:
        """Raise DataError if a column is not among those `found`."""
        for kind, column in zip(("text", "label"), self.wanted(), strict=False):
            if column not in found:
                names = [str(name) for name in found]
                raise DataError(
                    f"{at}: there is no column {column!r} with the {kind}s; the columns are {names_shown(names)}."
                    f"{did_you_mean(column, names)} Name the column with `{kind}_column:`, or with `{kind}:` under this source."
                )


@dataclass(frozen=True)
class Origin:
    """Source of rows in an error message: a file counted in lines, or a table counted in rows."""

    name: str
    counts: Literal["lines", "rows"] = "rows"

    def at(self, number: int) -> str:
        """Return "train.csv:17" or "labelled, row 3"; `number` counts from 1."""
        return f"{self.name}:{number}" if self.counts == "lines" else f"{self.name}, row {number}"


@dataclass(frozen=True)
class RawRows:
    """Unchecked rows of a reader; `lines[i]` is the line or row of row i in its origin, counted from 1."""

    lines: Sequence[int]
    texts: Sequence[object]
    labels: Sequence[object] | None


@dataclass(frozen=True)
class Rows:
    """Checked rows: every text is a string with a visible character, every label a string."""

    lines: Sequence[int]
    texts: list[str]
    labels: list[str] | None


def check_rows(raw: RawRows, *, origin: Origin, empty_text: EmptyText) -> Rows:
    """Return checked rows with their labels as strings; "skip" leaves out empty texts. DataError names the first bad row."""
    texts = list(raw.texts)
    if _all_filled_strings(texts) and (raw.labels is None or _all_filled_strings(raw.labels)):
        return Rows(raw.lines, texts, None if raw.labels is None else list(raw.labels))  # type: ignore[arg-type]
    return _check_one_by_one(raw, origin=origin, empty_text=empty_text)


def label_name(label: object, *, at: str) -> str:
    """Return a label as a string: 1, 1.0 and True become "1". DataError if it is empty, or no string or whole number."""
    is_nan = isinstance(label, float) and label != label
    if label is None or is_nan or (isinstance(label, str) and not label.strip()):
        raise DataError(f"{at}: the label is empty. Remove the row, or fill in the label.")
    if isinstance(label, str):
        return label
    value = label.item() if type(label).__module__ == "numpy" and hasattr(label, "item") else label
    if isinstance(value, Integral) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    raise DataError(
        f"{at}: the label is {shown(label)} ({type(label).__name__}), but must be a name or a whole number."
    )


def names_by_label(names: object) -> dict[str, str]:
    """Return the name of each label. Raises ValueError with a message that does not name the place."""
    if not isinstance(names, Mapping) or not names:
        raise ValueError(
            f"{shown(names)} names no labels. Give each label a few words that say what it means, or remove the setting."
        )
    found: dict[str, str] = {}
    for given, name in names.items():
        if isinstance(given, bool):  # refused here, although a table may contain them
            raise ValueError(
                f"the label is {given}, since YAML reads true, false, yes, no, on and off as truth values. Put the label in quotes."
            )
        try:
            label = label_name(given, at="label_names")
        except DataError:
            raise ValueError(f"the label {shown(given)} must be a name or a whole number.") from None
        if label in found:
            raise ValueError(f"the label {label!r} has two names. Remove one.")
        if not isinstance(name, str):
            raise ValueError(f"the name of the label {label!r} is {shown(name)}, but must be a text. Put it in quotes.")
        if not name.strip():
            raise ValueError(f"the name of the label {label!r} is empty. Write a few words that say what it means.")
        found[label] = name
    return found


def no_rows(name: str) -> DataError:
    """Return the error for a source without rows."""
    return DataError(f"{name}: there are no rows. Add rows, or choose another source.")


def names_shown(names: Iterable[str], limit: int = 12) -> str:
    """Return "'a', 'b'" for an error message, or "none"; a long list is cut."""
    listed = [shown(name) for name in names]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return (", ".join(listed[:limit]) or "none") + more


def _all_filled_strings(values: Sequence[object]) -> bool:
    """Return whether each value is a string with a visible character. Every row passes here, so it runs at C speed."""
    try:
        return all(map(str.strip, values))  # type: ignore[arg-type]
    except TypeError:
        return False


def _check_one_by_one(raw: RawRows, *, origin: Origin, empty_text: EmptyText) -> Rows:
    lines: list[int] = []
    texts: list[str] = []
    labels: list[str] = []
    for index, (line, text) in enumerate(zip(raw.lines, raw.texts, strict=True)):
        at = origin.at(line)
        if text is not None and not isinstance(text, str):
            raise DataError(
                f"{at}: the text is {shown(text)} ({type(text).__name__}), but must be a string. "
                "Put it in quotes, or name another column."
            )
        if text is None or not text.strip():
            if empty_text == "skip":
                continue
            raise DataError(
                f"{at}: the text is empty. Remove the row, fill in the text, or set `empty_text: skip` to leave out all such rows."
            )
        lines.append(line)
        texts.append(text)
        if raw.labels is not None:
            labels.append(label_name(raw.labels[index], at=at))
    return Rows(lines, texts, None if raw.labels is None else labels)
