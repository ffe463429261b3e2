"""Choice of the columns of texts and labels by their content and names; a question where that is not clear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from nlptl.config import did_you_mean
from nlptl.data.columns import Column, names_shown
from nlptl.data.discovery.column_looks import MAX_LABELS, MIN_ROWS_A_LABEL, ColumnLook
from nlptl.data.discovery.seen_table import SeenTable
from nlptl.errors import DataError
from nlptl.faults import shown

_MUCH_LONGER = 2.0  # times the characters of the next longest column of texts, from which the choice is clear
_LABEL_LOOKS = ("labels", "few numbers")
MAX_FEW = 5  # filled rows, whose different values say little about what they are
_MAX_SMALL = 30  # the same where some values repeat
_MAX_OTHERS = 4  # columns that a reason names
_MIN_FILLED = 0.5  # of the rows that have a text in the column of texts


@dataclass(frozen=True)
class Question:
    """Question of which column holds the texts or the labels, for a person."""

    file: str
    wanted: Literal["text", "label"]
    columns: tuple[ColumnLook, ...]  # candidates; answers are their names

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of the candidates; numbers where columns have no names of their own."""
        return tuple(str(column.key) for column in self.columns)

    def sentence(self) -> str:
        """Return the question."""
        return f"{self.file}: {self.statement()}. Which column does?"

    def statement(self) -> str:
        """Return what is not clear."""
        may, end = ("may each", "") if len(self.columns) > 1 else ("may", ", although its name does not say so")
        return f"{names_shown(self.answers)} {may} hold the {self.wanted}s{end}"


@dataclass(frozen=True)
class ChosenColumn:
    """Column that is read as texts or labels, and why."""

    column: ColumnLook
    why: str = ""  # empty where nothing else came into question

    @property
    def named(self) -> str:
        """The column in words."""
        return f"column {shown(self.column.key)}"


@dataclass(frozen=True)
class ChosenTexts:
    """Columns that are read as texts, several joined, and why."""

    columns: tuple[ColumnLook, ...]
    why: str = ""  # empty where nothing else came into question

    @property
    def key(self) -> Column | list[Column]:
        """What names the columns in settings."""
        keys = [column.key for column in self.columns]
        return keys[0] if len(keys) == 1 else keys

    @property
    def named(self) -> str:
        """The columns in words."""
        names = names_shown(str(column.key) for column in self.columns)
        return f"column {shown(self.key)}" if len(self.columns) == 1 else f"the columns {names}, joined"


class NoLabels(DataError):
    """Files whose texts have no labels."""


Choose = Callable[[Question], str]


def choose_text(table: SeenTable, given: Column | Sequence[Column] | None, choose: Choose | None) -> ChosenTexts:
    """Return the columns of texts: those that are named, else the one that clearly holds them. Raises DataError."""
    if given is not None:
        wanted = [given] if isinstance(given, str | int) else given
        return ChosenTexts(tuple(_named(table, one, "text") for one in wanted))
    found = [one for one in table.columns if one.look == "texts" and one.filled >= _MIN_FILLED * one.rows]
    found = found or [one for one in table.columns if one.look == "texts"]
    found = found or [one for one in table.columns if one.look == "words" and one.hint in ("text", "title")]
    if not found:
        raise _refused(
            f"{table.path}: found no column with texts; expected one with sentences. If a column holds texts, name it with "
            "`--text`.",
            table.columns,
        )
    if len(found) == 1:
        return ChosenTexts((found[0],))
    by_name = [one for one in found if one.hint == "text"]
    if len(by_name) == 1:
        return ChosenTexts(
            (by_name[0],), f"its name says so, although texts also stand in {_others(found, by_name[0])}"
        )
    longest, second = sorted(by_name or found, key=_volume, reverse=True)[:2]
    if _volume(longest) >= _MUCH_LONGER * _volume(second):
        return ChosenTexts((longest,), f"its texts are longer than those in {_others(found, longest)}")
    return ChosenTexts((_asked(table, Question(str(table.path), "text", tuple(found)), choose),))


def choose_label(
    table: SeenTable, texts: ChosenTexts, given: Column | None, choose: Choose | None, *, few_labels: bool = False
) -> ChosenColumn:
    """Return the column of labels: the one that is named, else the one that clearly holds them. Raises DataError.

    `few_labels` lets one label pass, and few rows, of which no classifier learns.
    """
    if given is not None:
        column = _named(table, given, "label")
        if not (few_labels and _has_few_labels(column)):
            _check_labels(table, column)
        return ChosenColumn(column)
    taken = [column.number for column in texts.columns]
    others = [one for one in table.columns if one.number not in taken]
    found = _without_twins([one for one in others if one.look in _LABEL_LOOKS], table)
    likely = [one for one in found if one.hint != "other" and (one.look == "labels" or one.hint)] or found
    chosen = _by_name(likely, found)
    if chosen is None:
        for one in others:
            if one.hint == "label" and one.look not in (*_LABEL_LOOKS, "texts"):
                if few_labels and _has_few_labels(one):
                    return ChosenColumn(one)
                _check_labels(table, one)
        chosen = _lone(likely, others, found)
    if chosen is not None:
        return chosen
    if found:
        return ChosenColumn(_asked(table, Question(str(table.path), "label", tuple(likely)), choose))
    for one in others:
        if one.hint == "label" or len(others) == 1:
            if few_labels and _has_few_labels(one):
                return ChosenColumn(one)
            _check_labels(table, one)
    raise _without_labels(
        f"{table.path}: found no column with labels; expected one with a few different values, each in at least "
        f"{MIN_ROWS_A_LABEL} rows. If a column holds labels, name it with `--label`.",
        others,
    )


def _by_name(likely: Sequence[ColumnLook], found: Sequence[ColumnLook]) -> ChosenColumn | None:
    """Return the one column of labels whose name says so; None if there is none, or several."""
    for told in ("label", "perhaps label"):
        by_name = [one for one in likely if one.hint == told]
        if len(by_name) == 1:
            rest = [one for one in found if one is not by_name[0]]
            return ChosenColumn(
                by_name[0], f"its name says so, although {_others(rest)} may be labels too" if rest else ""
            )
    return None


def _lone(
    likely: Sequence[ColumnLook], others: Sequence[ColumnLook], found: Sequence[ColumnLook]
) -> ChosenColumn | None:
    """Return the one column that looks like labels, or that alone stands beside the texts; None if it is not clear."""
    if len(likely) != 1 or likely[0].hint == "other" or (likely[0].look != "labels" and len(others) > 1):
        return None
    rest = [one for one in found if one is not likely[0]]
    return ChosenColumn(
        likely[0], f"its values look most like labels, although {_others(rest)} may be too" if rest else ""
    )


def _named(table: SeenTable, wanted: Column, kind: Literal["text", "label"]) -> ColumnLook:
    found = table.column(wanted)
    if found is None:
        names = [str(column.key) for column in table.columns]
        raise DataError(
            f"{table.path}: there is no column {wanted!r} with the {kind}s; the columns are {names_shown(names)}."
            f"{did_you_mean(str(wanted), names)} Correct `--{kind}`."
        )
    if not found.filled and kind == "text":
        raise DataError(f"{table.path}: the column {shown(found.name)} is empty. Name another one with `--text`.")
    return found


def _check_labels(table: SeenTable, column: ColumnLook) -> None:
    """Raise DataError for values that cannot be the labels of a classifier."""
    at, name = str(table.path), shown(column.name)
    if not column.filled:
        raise NoLabels(
            f"{at}: the column {name} is empty; expected labels in some of its {column.rows:,} rows. Label at least "
            f"{MIN_ROWS_A_LABEL} rows of each label, or name another column with `--label`."
        )
    if column.different == 1:
        only = shown(column.examples[0])
        raise DataError(
            f"{at}: the column {name} has the one label {only}; expected at least two labels. Label rows with other labels, or "
            "name another column with `--label`."
        )
    few = column.different == column.filled <= MAX_FEW and column.look not in ("dates", "addresses")
    if few:
        raise DataError(
            f"{at}: the column {name} has {column.different:,} labels in {column.filled:,} labelled rows; expected at least "
            f"{MIN_ROWS_A_LABEL} rows of a label on average. Label more rows, or name another column with `--label`."
        )
    if column.different == column.filled or column.look in ("ids", "dates", "addresses"):
        raise DataError(
            f"{at}: the column {name} has {column.different:,} different values in {column.filled:,} rows, so it is no column of "
            "labels. Name another column with `--label`, or label rows with a few labels."
        )
    if column.different > min(MAX_LABELS, column.filled / MIN_ROWS_A_LABEL):
        raise DataError(
            f"{at}: the column {name} has {column.different:,} labels in {column.filled:,} rows; expected at least "
            f"{MIN_ROWS_A_LABEL} rows of a label on average. Label more rows, join rare labels, or name another column with "
            "`--label`."
        )


def _has_few_labels(column: ColumnLook) -> bool:
    """Return whether a column has one label, or a few rows whose values may be labels."""
    is_small = column.filled <= MAX_FEW or column.different < column.filled <= _MAX_SMALL
    return column.look not in ("empty", "dates", "addresses") and (column.different == 1 or is_small)


def _asked(table: SeenTable, question: Question, choose: Choose | None) -> ColumnLook:
    if choose is None:
        raise _refused(
            f"{question.file}: {question.statement()}; expected one column that clearly does. Name it with "
            f"`--{question.wanted}`.",
            question.columns,
        )
    return _named(table, choose(question), question.wanted)


def _without_twins(found: Sequence[ColumnLook], table: SeenTable) -> list[ColumnLook]:
    """Return the columns without numbers that only number the values of another column, such as label and label_text."""
    wordy = [one for one in found if one.look == "labels"]
    return [one for one in found if one.look == "labels" or not any(_are_twins(one, other, table) for other in wordy)]


def _are_twins(one: ColumnLook, other: ColumnLook, table: SeenTable) -> bool:
    pairs = {(row[one.number - 1], row[other.number - 1]) for row in table.first_rows}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def _volume(column: ColumnLook) -> float:
    return column.characters * column.filled


def _others(found: Sequence[ColumnLook], chosen: ColumnLook | None = None) -> str:
    return names_shown((one.name for one in found if one is not chosen), _MAX_OTHERS)


def _refused(sentence: str, columns: Sequence[ColumnLook]) -> DataError:
    """Return the error of this sentence, with a line for each column."""
    return DataError([sentence, *(f"  {column.described()}" for column in columns)])


def _without_labels(sentence: str, columns: Sequence[ColumnLook]) -> NoLabels:
    return NoLabels(_refused(sentence, columns).faults)
