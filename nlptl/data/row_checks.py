"""Rows on their way from a source to a table: numbered batches, and the one place that refuses a bad row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

from nlptl.config import did_you_mean
from nlptl.errors import DataError

EmptyText = Literal["refuse", "skip"]


@dataclass(frozen=True)
class Columns:
    """The names of the columns to read; `label` is None where labels are not wanted."""

    text: str = "text"
    label: str | None = None


@dataclass(frozen=True)
class Origin:
    """Where rows come from, as error sentences say it: a file counted in lines, or anything else counted in rows."""

    name: str
    counts: Literal["lines", "rows"] = "rows"

    def at(self, number: int) -> str:
        """Return "train.csv:17" or "labelled, row 3" for a place counted from 1."""
        return f"{self.name}:{number}" if self.counts == "lines" else f"{self.name}, row {number}"


@dataclass(frozen=True)
class RawRows:
    """Rows as a reader found them; `lines[i]` is the place of row i in its origin, counted from 1."""

    lines: Sequence[int]
    texts: Sequence[object]
    labels: Sequence[object] | None


@dataclass(frozen=True)
class Rows:
    """Checked rows: every text is a string with a visible character, every label a name."""

    lines: Sequence[int]
    texts: list[str]
    labels: list[str] | None


def check_rows(raw: RawRows, *, origin: Origin, empty_text: EmptyText) -> Rows:
    """Return the good rows of `raw` with their labels as names; empty texts are left out under "skip".

    Raises DataError for the first bad row.
    """
    texts = list(raw.texts)
    if _all_filled_strings(texts) and (raw.labels is None or _all_filled_strings(raw.labels)):
        return Rows(raw.lines, texts, None if raw.labels is None else list(raw.labels))  # type: ignore[arg-type]
    return _check_one_by_one(raw, origin=origin, empty_text=empty_text)


def label_name(label: object, *, at: str) -> str:
    """Return a label as its name: 1, 1.0 and True become "1", a string stays as it is.

    Raises DataError for an empty label and for what is neither a name nor a whole number.
    """
    if isinstance(label, str):
        if not label.strip():
            raise _empty_label(at)
        return label
    if label is None or (isinstance(label, float) and label != label):
        raise _empty_label(at)
    value = label.item() if type(label).__module__ == "numpy" and hasattr(label, "item") else label
    if isinstance(value, Integral) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    raise DataError(
        f"{at}: label is {shown(label)} ({type(label).__name__}); every label is a name or a whole number. Write it so."
    )


def names_by_label(names: object) -> dict[str, str]:
    """Return what each label means, the labels as `label_name` gives them.

    Raises ValueError with a sentence that has yet to be told where it stands. Truth values are refused, though a table may
    hold some: YAML makes them of the labels yes, no, on and off as well.
    """
    if not isinstance(names, Mapping) or not names:
        raise ValueError(
            f"found {shown(names)}; expected labels, each with a few words on what it means. Write at least one, or leave "
            "it out."
        )
    found: dict[str, str] = {}
    for given, name in names.items():
        if isinstance(given, bool):
            raise ValueError(
                f"found the label {given}, which YAML makes of true and false, yes and no, on and off; expected a name or a "
                "whole number. Put the label in quotes."
            )
        try:
            label = label_name(given, at="label_names")
        except DataError:
            raise ValueError(
                f"found the label {shown(given)}; expected a name or a whole number. Write it so."
            ) from None
        if label in found:
            raise ValueError(f"found two names for the label {label!r}; expected one. Remove the other.")
        if not isinstance(name, str):
            raise ValueError(f"found {shown(name)} for the label {label!r}; expected a few words. Put them in quotes.")
        if not name.strip():
            raise ValueError(f"found an empty name for the label {label!r}; expected a few words. Write them.")
        found[label] = name
    return found


def no_column(at: str, column: str, found: Iterable[object], *, kind: Literal["text", "label"]) -> DataError:
    """Return the error for a column that is not there."""
    names = [str(name) for name in found]
    return DataError(
        f"{at}: found no column {column!r} but {names_shown(names)}; expected one that holds the {kind}s."
        f"{did_you_mean(column, names)} Name it with {kind}_column, or with {kind}: under this source."
    )


def no_rows(name: str) -> DataError:
    """Return the error for a source without a single usable row."""
    return DataError(f"{name}: found no rows; expected at least one. Add rows or choose another source.")


def shown(value: object, limit: int = 60) -> str:
    """Return `repr(value)`, cut to `limit` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def names_shown(names: Iterable[str], limit: int = 12) -> str:
    """Return "'a', 'b'" for an error sentence, or "none"; a long list is cut."""
    listed = [shown(name) for name in names]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return (", ".join(listed[:limit]) or "none") + more


def _all_filled_strings(values: Sequence[object]) -> bool:
    """Say whether each value is a string with a visible character; runs at C speed, it sees every row."""
    try:
        return all(map(str.strip, values))  # type: ignore[arg-type]
    except TypeError:
        return False


def _check_one_by_one(raw: RawRows, *, origin: Origin, empty_text: EmptyText) -> Rows:
    lines: list[int] = []
    texts: list[str] = []
    labels: list[str] | None = None if raw.labels is None else []
    for index, (line, text) in enumerate(zip(raw.lines, raw.texts, strict=True)):
        if _is_empty_text(text, at=origin, line=line):
            if empty_text == "skip":
                continue
            raise DataError(
                f"{origin.at(line)}: text is empty; every row needs a text. "
                "Remove the row, fill it in, or set empty_text: skip to leave out all such rows."
            )
        lines.append(line)
        texts.append(str(text))
        if labels is not None and raw.labels is not None:
            labels.append(label_name(raw.labels[index], at=origin.at(line)))
    return Rows(lines, texts, labels)


def _is_empty_text(text: object, *, at: Origin, line: int) -> bool:
    if isinstance(text, str):
        return not text.strip()
    if text is None:
        return True
    raise DataError(
        f"{at.at(line)}: text is {shown(text)} ({type(text).__name__}); every text is a string. "
        "Put it in quotes, or name another column."
    )


def _empty_label(at: str) -> DataError:
    return DataError(f"{at}: label is empty; every row needs a label. Remove the row or fill it in.")
