"""Labels that a teacher outside nlptl, such as a language model or a person in a hurry, gave to texts of a pile.

Shapes: P texts of the pile, K labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nlptl.config import did_you_mean
from nlptl.data.columns import names_shown
from nlptl.data.data_settings import DataSettings, FileSource, LabelCells
from nlptl.data.load import read_one
from nlptl.data.row_checks import Origin, RawRows
from nlptl.data.sources import OpenedSource, open_source
from nlptl.data.text_data import LabelSet
from nlptl.errors import DataError
from nlptl.faults import shown

Floats = NDArray[np.float64]

ROUNDING = 0.006  # of a probability that was written with two digits
EMPTY = (None, "")  # cells of a text that the teacher has not labelled


class TeacherLabels(FileSource):
    """File that holds texts of the pile with the labels of a teacher: one label a text, or the probability of each label."""

    probabilities: dict[str, str] | None = Field(default=None, min_length=2)
    """Column of each label's probability, such as {positive: p_positive, negative: p_negative}. They tell a student more
    than labels alone. Of labels that exclude each other, probabilities whose sum is below 1 are scaled to it. null: the column
    `label` holds the labels themselves."""

    @model_validator(mode="after")
    def _labels_or_probabilities(self) -> TeacherLabels:
        if self.label is not None and self.probabilities is not None:
            raise ValueError(
                "found label and probabilities; expected one of them, since each says what the teacher found. Remove one"
            )
        return self


@dataclass(frozen=True)
class LabelledPile:
    """Texts of the pile that a teacher has labelled."""

    texts: list[str]
    probabilities: Floats  # (P, K); those of a text that stands twice are averaged
    outside: int  # rows whose text does not stand in the pile


def read_teacher_labels(
    settings: TeacherLabels, pile: Sequence[str], labels: Sequence[str], *, separator: str | None, multi_label: bool,
    where: str,
) -> LabelledPile:  # fmt: skip
    """Return the labels of texts of the `pile`, in its order. Rows without a text or without a label are left out.

    Raises DataError for labels that the classifier does not know, for columns that are missing, for what is no probability,
    and where no text of the file stands in the pile.
    """
    if settings.probabilities is None:
        texts, found = _hard(settings, labels, separator=separator, multi_label=multi_label, where=where)
    else:
        texts, found = _soft(settings, settings.probabilities, labels, multi_label=multi_label, where=where)
    places: dict[str, int] = dict.fromkeys(pile, -1)
    kept = np.fromiter((text in places for text in texts), np.bool_, len(texts))
    if not kept.any():
        raise DataError(
            f"{where}: none of the {len(texts):,} texts of {settings.file} stands in data.unlabelled; expected labels of the "
            "pile. Give the same file as data.unlabelled, too."
        )
    known = {text for text, in_pile in zip(texts, kept, strict=True) if in_pile}
    chosen = [text for text in dict.fromkeys(pile) if text in known]
    places = {text: place for place, text in enumerate(chosen)}
    rows = np.array([places[text] for text, in_pile in zip(texts, kept, strict=True) if in_pile])
    sums = np.zeros((len(chosen), len(labels)))
    np.add.at(sums, rows, found[kept])
    return LabelledPile(chosen, sums / np.bincount(rows)[:, None], int((~kept).sum()))


def _hard(
    settings: TeacherLabels, labels: Sequence[str], *, separator: str | None, multi_label: bool, where: str
) -> tuple[list[str], Floats]:
    """Return the texts of the file with 1 for each label that a text has, and 0 elsewhere."""
    cells = LabelCells(separator=separator) if multi_label else None
    reading = DataSettings(empty_text="skip", empty_label="skip", labels=cells)
    read = read_one(_plain(settings), settings=reading, labelled=True, where=where)
    table = read.table
    if table.has_label_sets and not multi_label:
        raise DataError(
            f"{where}: the rows of {settings.file} have lists of labels, but the classifier gives a text one label. Write one "
            "label a row, or label the texts of data.labelled by lists."
        )
    names = LabelSet(tuple(labels))
    found = np.zeros((len(table), len(labels)))
    for row, own in enumerate(table.label_sets()):
        try:
            found[row, names.ids(own)] = 1.0
        except DataError as error:
            raise DataError(f"{where}: {read.places([row])[0]}: {error}") from None
    return table.texts(), found


def _soft(
    settings: TeacherLabels, columns: Mapping[str, str], labels: Sequence[str], *, multi_label: bool, where: str
) -> tuple[list[str], Floats]:
    """Return the texts of the file with the probabilities of its columns, which sum to 1 unless labels are independent."""
    if set(columns) != set(labels):
        raise DataError(
            f"{where}.probabilities: found the labels {names_shown(sorted(columns))}; expected those of the classifier, "
            f"{names_shown(labels)}. Name the column of each of them."
        )
    opened = open_source(_plain(settings), settings=DataSettings(), labelled=False, where=where, whole=True)
    texts: list[str] = []
    parts: list[Floats] = []
    for raw in opened.rows():
        with_text = [place for place, text in enumerate(raw.texts) if isinstance(text, str) and text.strip()]
        cells = _cells(raw, with_text, [columns[label] for label in labels], opened)
        kept = [place for place in with_text if any(cell not in EMPTY for cell in cells[place].values())]
        if not kept:
            continue
        lines = [raw.lines[place] for place in kept]
        texts += [str(raw.texts[place]) for place in kept]
        parts.append(_numbers([cells[place] for place in kept], lines, opened.origin))
        _check_sums(parts[-1], lines, opened.origin, multi_label=multi_label)
    found = np.concatenate([np.zeros((0, len(labels))), *parts])
    return texts, found if multi_label else found / found.sum(axis=1, keepdims=True)


def _plain(settings: TeacherLabels) -> FileSource:
    """Return the source without the columns of probabilities."""
    return FileSource(**settings.model_dump(exclude={"probabilities"}))


def _cells(
    raw: RawRows, kept: Sequence[int], columns: Sequence[str], opened: OpenedSource
) -> dict[int, dict[str, object]]:
    """Return the cells of these columns in some rows. Raises DataError for a missing column."""
    if raw.records is None:
        raise DataError(
            f"{opened.origin.name}: the file has no columns, so no probabilities. Give a .csv or .jsonl file."
        )
    found: dict[int, dict[str, object]] = {}
    for place in kept:
        record = raw.records[place]
        named = record if isinstance(record, Mapping) else dict(zip(opened.names, record, strict=False))
        for column in columns:
            if column not in named:
                at = opened.origin.at(raw.lines[place]) if isinstance(record, Mapping) else opened.origin.name
                raise DataError(
                    f"{at}: there is no column {column!r} with probabilities; the columns are {names_shown([*named])}."
                    f"{did_you_mean(column, named)} Correct it."
                )
        found[place] = {column: named[column] for column in columns}
    return found


def _numbers(rows: Sequence[Mapping[str, object]], lines: Sequence[int], origin: Origin) -> Floats:
    """Return the cells of rows as numbers. Raises DataError for what is no probability."""
    return np.array(
        [
            [_probability(cell, column, origin.at(line)) for column, cell in row.items()]
            for row, line in zip(rows, lines, strict=True)
        ],
        np.float64,
    )


def _probability(value: object, column: str, at: str) -> float:
    """Return a cell as a number. Raises DataError for one that is not from 0 to 1."""
    try:
        number = float(value) if isinstance(value, str | int | float) else np.nan
    except ValueError:
        number = np.nan
    if not 0 <= number <= 1:
        raise DataError(
            f"{at}: the column {column!r} holds {shown(value)}; expected a probability from 0 to 1. Correct it."
        )
    return number


def _check_sums(found: Floats, lines: Sequence[int], origin: Origin, *, multi_label: bool) -> None:
    """Raise DataError for a text none of whose labels is possible, and for more than one where a text has one."""
    if multi_label:
        return
    sums = found.sum(axis=1)
    wrong = np.flatnonzero((sums == 0) | (sums > 1 + ROUNDING * max(2, found.shape[1])))
    if len(wrong):
        row = int(wrong[0])
        told = f"sum to {sums[row]:.3g}" if sums[row] else "of all labels are 0"
        raise DataError(
            f"{origin.at(lines[row])}: the probabilities {told}; expected numbers that sum to 1. Correct the row, or remove it."
        )
