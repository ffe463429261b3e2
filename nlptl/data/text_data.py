"""TextData: the parts of a run's data, from files or Python values, and their labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from nlptl.config import did_you_mean
from nlptl.data.columns import Column, names_shown
from nlptl.data.label_checks import MAX_MEANT, check_labels, labels_without_rows
from nlptl.data.label_names import LabelNames, NamesLike
from nlptl.data.label_spelling import spelt_as_known
from nlptl.data.labelled_parts import labelled_parts, with_rows_of
from nlptl.data.python_texts import LabelledLike, TextColumns, TextsLike, labelled_table, texts_table
from nlptl.data.row_checks import EmptyLabel, EmptyText
from nlptl.data.table import TextTable
from nlptl.errors import DataError


@dataclass(frozen=True, init=False)
class TextData:
    """Parts of a run's data; a missing part is None."""

    unlabelled: TextTable | None  # texts for pretraining, and those of the target domain
    source: TextTable | None  # labelled examples of another domain
    labelled: TextTable | None  # the few labelled examples from which the classifier learns
    validation: TextTable | None  # held-out labelled examples: for choosing methods, early stopping and calibration
    test: TextTable | None  # labelled examples for the final scores; nothing learns from them
    label_names: LabelNames | None  # labels in words; may leave some out; the label set if nothing is labelled
    separator: str | None  # between the labels of a cell, where a text may have several

    def __init__(
        self,
        *,
        unlabelled: TextsLike | None = None,
        source: LabelledLike | None = None,
        labelled: LabelledLike | None = None,
        validation: LabelledLike | None = None,
        test: LabelledLike | None = None,
        label_names: NamesLike | LabelNames | None = None,
        text: TextColumns = "text",
        label: Column = "label",
        empty_text: EmptyText = "refuse",
        empty_label: EmptyLabel = "refuse",
        separator: str | None = None,
    ) -> None:
        """Accept tables, or what `nlptl.data.python_texts` reads: lists, arrays, Series, frames, data sets, paths of files.

        `text` and `label` name the columns of frames, data sets and files, or number them from 1; in a frame whose columns
        have numbers as names, the name wins. "skip" leaves out rows without text or label;
        the texts of `labelled` without a label join `unlabelled` under `empty_label="unlabelled"`. Bad rows raise DataError
        with their numbers, counted from 1. A table is taken as it is. A text may have several labels, as a list, or as a
        string with a `separator` between them.
        """
        values = {"source": source, "labelled": labelled, "validation": validation, "test": test}
        read = partial(
            labelled_table, text=text, label=label, empty_text=empty_text, empty_label=empty_label, separator=separator
        )
        tables = {name: read(value, name=name) for name, value in values.items() if value is not None}
        names = label_names if isinstance(label_names, LabelNames | None) else LabelNames.of(label_names)
        pile = None
        if unlabelled is not None:
            pile = texts_table(unlabelled, name="unlabelled", text=text, empty_text=empty_text)
        new = {name: table for name, table in tables.items() if table is not values[name]}
        if new:
            known = {one for name in tables.keys() - new.keys() for one in tables[name].label_counts()}
            parts, spelt = labelled_parts(new, more_labels=(*known, *(names.labels() if names else ())))
            tables |= {name: part.table for name, part in parts.items()}
            names = None if names is None else names.spelt(spelt)
            pile = with_rows_of(pile, parts.get("labelled"), empty_label)
        for name in values:
            object.__setattr__(self, name, tables.get(name))
        object.__setattr__(self, "unlabelled", pile)
        object.__setattr__(self, "label_names", names)
        object.__setattr__(self, "separator", separator)
        check_labels(tables, names, where="label_names", place=lambda part, row: tables[part].row_place(row))

    @classmethod
    def of_tables(
        cls, tables: Mapping[str, TextTable | None], label_names: LabelNames | None, *, separator: str | None = None
    ) -> TextData:
        """Return the data of some tables by the names of their parts."""
        values: dict[str, Any] = dict(tables)
        return cls(**values, label_names=label_names, separator=separator)

    @property
    def has_label_sets(self) -> bool:
        """Whether a text may have several labels, or none."""
        return any(table is not None and table.has_label_sets for table in (self.labelled, self.source))

    @cached_property
    def label_set(self) -> LabelSet:
        """Sorted labels of `labelled`, else of `source`, and of `label_names`. Raises DataError for fewer than two."""
        naming = self.source if self.labelled is None else self.labelled
        if naming is not None:
            return LabelSet.of(naming, named=self.labels_without_rows)
        if self.label_names is None:
            raise DataError(
                "labelled: without labelled examples or label_names there are no labels. Add labelled examples."
            )
        return LabelSet.named(self.label_names.labels(), where="label_names")

    @cached_property
    def labels_without_rows(self) -> tuple[str, ...]:
        """Labels that have a name, but no row of `labelled`, else of `source`; none where neither is there."""
        naming = self.source if self.labelled is None else self.labelled
        return () if naming is None else labels_without_rows(naming, self.label_names)


@dataclass(frozen=True)
class LabelSet:
    """Labels of a classifier. A label's id is its position."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, table: TextTable, *, named: Iterable[str] = ()) -> LabelSet:
        """Return the labels of `table` and those that are only `named`, sorted by number if all are numbers, else by name.

        Raises DataError for a table of one label only.
        """
        names = set(table.label_counts())
        if len(names) < 2 and table.has_label_sets:
            raise DataError(
                f"{table.name}: no label but {names_shown(_in_order(names))} stands in the {len(table)} rows. Add another "
                "label, or give each row one of two labels."
            )
        if len(names) < 2:
            raise DataError(
                f"{table.name}: all {len(table)} rows have the label {names_shown(_in_order(names))}. Add rows with another "
                "label."
            )
        return cls(_in_order(names.union(named)))

    @classmethod
    def named(cls, names: Iterable[str], *, where: str) -> LabelSet:
        """Return labels in the order of `of`. Raises DataError if there are fewer than two."""
        found = _in_order(set(names))
        if len(found) < 2:
            raise DataError(
                f"{where}: only the label {names_shown(found)} has a name. Without labelled examples, all labels need names: "
                "give at least two."
            )
        return cls(found)

    def __len__(self) -> int:
        return len(self.names)

    def ids(self, labels: Iterable[str]) -> list[int]:
        """Return the id of each label. Raises DataError for an unknown label."""
        labels, positions = list(labels), {name: position for position, name in enumerate(self.names)}
        spelt = spelt_as_known(labels, self.names)  # of a table that was read by itself
        try:
            return [positions[spelt[label]] for label in labels]
        except KeyError as error:
            unknown = error.args[0]
            meant = did_you_mean(unknown, self.names) if len(self.names) <= MAX_MEANT else ""
            raise DataError(
                f"labels: {unknown!r} is none of the labels {names_shown(self.names)}.{meant} Correct the label."
            ) from None


def _in_order(names: set[str]) -> tuple[str, ...]:
    are_numbers = all(re.fullmatch(r"-?[0-9]+", name) for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if are_numbers else 0, name)))
