"""What a column of an unknown table looks like: texts, labels, ids, dates, numbers, judged by its values."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nlptl.data.columns import Column
from nlptl.data.discovery.column_names import NameHint, name_hint
from nlptl.data.label_findings import look_like_ids
from nlptl.faults import shown

Look = Literal["empty", "constant", "texts", "words", "labels", "few numbers", "numbers", "dates", "ids", "addresses"]

MAX_LABELS = 1_000  # different values of a column of labels
MIN_ROWS_A_LABEL = 3  # on average; a column with fewer looks like something else
_MAX_COUNTED = 5_000  # different values of one column that are counted
_SAMPLE = 2_000  # filled values by whose form a column is judged
_NEARLY_ALL = 0.9  # share of the values that must have a form
_MAX_LABEL_CHARACTERS = 80
_MIN_TEXT_WORDS = 3.0  # on average
_MIN_DENSE_CHARACTERS = 6.0  # on average, in scripts that write no blanks
_EXAMPLES = 3
_MAX_EXAMPLE_CHARACTERS = 40

_NUMBER = re.compile(r"[+-]?[$€£¥]?\s?\d+([.,' ]\d+)*\s?[%$€£¥]?")
_DATE = re.compile(
    r"\d{1,4}[-./年]\s?\d{1,2}[-./月]\s?\d{1,4}日?([T ,]+\d{1,2}:\d{2}.*)?|\d{1,2}:\d{2}(:\d{2})?( ?[ap]m)?"
    r"|\d{1,2}\.? [^\W\d]{3,9}\.? \d{2,4}.*|[^\W\d]{3,9}\.? \d{1,2},? \d{2,4}.*",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"\w+://\S+|www\.\S+|[^\s@]+@[^\s@]+\.\w+|(/[\w.-]+){2,}|[A-Za-z]:\\\S+")
_FORMS: dict[Look, re.Pattern[str]] = {"dates": _DATE, "numbers": _NUMBER, "addresses": _ADDRESS}
_DENSE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")


@dataclass(frozen=True)
class ColumnLook:
    """One column of a table and what its values look like."""

    name: str  # or its number, where the table has no header
    number: int  # from 1
    look: Look
    rows: int
    filled: int
    different: int  # values, counted up to a limit
    characters: float  # of a filled value, on average
    examples: tuple[str, ...]
    counts: Counter[str] = field(repr=False, compare=False)
    has_header: bool = True
    is_named: bool = True  # by a name that no other column has

    @property
    def key(self) -> Column:
        """What names the column in settings."""
        return self.name if self.has_header and self.is_named else self.number

    @property
    def hint(self) -> NameHint:
        """What the column's name says of it."""
        return name_hint(self.name) if self.has_header else ""

    def is_written_alike(self, value: str) -> bool:
        """Return whether a value has the form of the column's values: dates, numbers, addresses or ids with a digit."""
        pattern = _FORMS.get("numbers" if self.look == "few numbers" else self.look)
        return bool(pattern.fullmatch(value)) if pattern else self.look == "ids" and bool(re.search(r"\d", value))

    def described(self) -> str:
        """Return the name and what the column looks like, for a list."""
        examples = ", ".join(shown(_cut(value)) for value in self.examples)
        name = shown(self.name) if self.is_named else f"{self.number} ({shown(self.name)})"
        return f"{name}: {self._kind()}{examples and f', such as {examples}'}"

    def _kind(self) -> str:
        if self.look == "empty":
            return "no values"
        filled = "" if self.filled == self.rows else f" in {self.filled:,} of {self.rows:,} rows"
        if self.look == "constant":
            return f"one value{filled}"
        if self.look == "texts":
            return f"texts of {self.characters:.0f} characters on average{filled}"
        many = "or more " if self.different >= _MAX_COUNTED else ""
        return f"{self.different:,} {many}different {_NOUNS.get(self.look, 'values')}{filled}"


_NOUNS: dict[Look, str] = {
    "words": "short values", "labels": "values", "few numbers": "numbers", "numbers": "numbers", "dates": "dates",
    "ids": "ids", "addresses": "addresses",
}  # fmt: skip


@dataclass
class ColumnTally:
    """Running counts of one column, in bounded memory."""

    filled: int = 0
    characters: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    counted: int = 0  # filled values until the limit of different ones was reached
    sample: list[str] = field(default_factory=list)

    def add(self, values: Sequence[object]) -> None:
        """Add the values of some rows."""
        texts = [text for text in map(as_written, values) if text]
        self.filled += len(texts)
        self.characters += sum(map(len, texts))
        if len(self.counts) < _MAX_COUNTED:
            self.counts.update(texts)
            self.counted = self.filled
        self.sample += itertools.islice(texts, _SAMPLE - len(self.sample))

    def plus(self, other: ColumnTally) -> ColumnTally:
        """Return the counts of this column and another one together."""
        sample = [*self.sample[: _SAMPLE // 2], *other.sample[: _SAMPLE // 2]]
        return ColumnTally(
            self.filled + other.filled, self.characters + other.characters, self.counts + other.counts,
            self.counted + other.counted, sample,
        )  # fmt: skip

    def look(self, name: str, number: int, *, rows: int, has_header: bool, is_named: bool) -> ColumnLook:
        """Return what the column of a table of so many rows looks like."""
        return ColumnLook(
            name, number, self._look(), rows, self.filled, len(self.counts), self.characters / max(1, self.filled),
            tuple(itertools.islice(dict.fromkeys(self.sample), _EXAMPLES)), self.counts, has_header, is_named,
        )  # fmt: skip

    def _look(self) -> Look:
        if not self.filled:
            return "empty"
        form = self._form()
        if len(self.counts) == 1 and self.filled > 1:
            return "constant"
        if form in ("texts", "words", "numbers") and self._repeats() and self._is_short():
            return "few numbers" if form == "numbers" else "labels"
        is_plain = form in ("numbers", "words") and _are_codes(self.sample)
        return "ids" if is_plain and look_like_ids(len(self.counts), self.counted) else form

    def _form(self) -> Look:
        """Return how the values are written, whether they repeat or not."""
        for look, pattern in _FORMS.items():
            if _share(bool(pattern.fullmatch(value)) for value in self.sample) >= _NEARLY_ALL:
                return look
        words = sum(len(value.split()) for value in self.sample) / len(self.sample)
        dense = sum(len(_DENSE.findall(value)) for value in self.sample) / len(self.sample)
        return "texts" if words >= _MIN_TEXT_WORDS or dense >= _MIN_DENSE_CHARACTERS else "words"

    def _repeats(self) -> bool:
        return len(self.counts) <= min(MAX_LABELS, self.counted / MIN_ROWS_A_LABEL)

    def _is_short(self) -> bool:
        return max(map(len, self.counts)) <= _MAX_LABEL_CHARACTERS


def as_written(value: object) -> str:
    """Return a value of a table as text without outer blanks; empty for none."""
    if value is None or value != value:
        return ""
    return value.strip() if isinstance(value, str) else str(value)


def _share(found: Iterable[bool]) -> float:
    listed = list(found)
    return sum(listed) / max(1, len(listed))


def _are_codes(sample: Sequence[str]) -> bool:
    """Return whether nearly all values are one word with a digit and no fraction, such as 1042, T-1042 or a UUID."""
    return _share(bool(re.fullmatch(r"(?=\S*\d)[^\s.,]+", value)) for value in sample) >= _NEARLY_ALL


def _cut(value: str) -> str:
    line = " ".join(value.split())
    return line if len(line) <= _MAX_EXAMPLE_CHARACTERS else line[: _MAX_EXAMPLE_CHARACTERS - 1] + "…"
