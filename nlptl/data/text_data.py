"""TextData: the parts of a run's data, from files or Python values, and their labels."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, TypeAlias

from nlptl.artifact import digest_of
from nlptl.config import did_you_mean
from nlptl.data.collected_faults import MAX_TOLD, CollectedFaults
from nlptl.data.columns import Column, names_shown
from nlptl.data.label_findings import LabelFinding, look_like_ids
from nlptl.data.label_spelling import spelt_as_known
from nlptl.data.labelled_parts import labelled_parts, with_rows_of
from nlptl.data.python_texts import LabelledLike, TextColumns, TextsLike, labelled_table, texts_table
from nlptl.data.row_checks import EmptyLabel, EmptyText, names_by_label
from nlptl.data.table import TextTable
from nlptl.errors import DataError
from nlptl.faults import shown

_MAX_MEANT = 1_000  # known labels among which the one that is meant is looked for

NamesLike: TypeAlias = "Mapping[str, str] | Mapping[int, str] | Mapping[bool, str]"  # a few words for each label


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
class LabelNames:
    """Names of labels: what each means, in words."""

    pairs: tuple[tuple[str, str], ...]  # labels with their names, sorted by label
    name: ClassVar[str] = "label_names"

    @classmethod
    def of(cls, names: NamesLike) -> LabelNames:
        """Return the names of labels, which may be whole numbers. Raises DataError for a bad label or name."""
        try:
            return cls(tuple(sorted(names_by_label(names, in_python=True).items())))
        except ValueError as error:
            raise DataError(f"{cls.name}: {error}") from None

    def spelt(self, names: Mapping[str, str]) -> LabelNames:
        """Return the same names under the spelling of the labels that `names` gives. DataError for two names of one label."""
        found: dict[str, str] = {}
        for given, name in self.pairs:
            label = names.get(given, given)
            if label in found:
                raise DataError(f"{self.name}: the label {label!r} has two names. Remove one.")
            found[label] = name
        return LabelNames(tuple(sorted(found.items())))

    def labels(self) -> list[str]:
        """Return the labels that have names."""
        return [label for label, _ in self.pairs]

    def get(self, label: str) -> str | None:
        """Return the name of `label`, or None."""
        return dict(self.pairs).get(label)

    @cached_property
    def digest(self) -> str:
        """sha256 of labels and names."""
        return digest_of([list(pair) for pair in self.pairs])


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
            meant = did_you_mean(unknown, self.names) if len(self.names) <= _MAX_MEANT else ""
            raise DataError(
                f"labels: {unknown!r} is none of the labels {names_shown(self.names)}.{meant} Correct the label."
            ) from None


def _in_order(names: set[str]) -> tuple[str, ...]:
    are_numbers = all(re.fullmatch(r"-?[0-9]+", name) for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if are_numbers else 0, name)))


def check_labels(
    tables: Mapping[str, TextTable], names: LabelNames | None, *, where: str, place: Callable[[str, int], str]
) -> None:
    """Raise DataError unless all parts have labels of `labelled`, else of `source`, or of `names` (at `where`).

    It tells each label that is not known, once a part.
    """
    faults = CollectedFaults()
    known = tables.get("labelled", tables.get("source", names))
    if isinstance(known, TextTable) and names is not None:
        with faults.kept():
            _check_named(names, known, where=where)
    pairs = [(part, known) for part in ("source", "validation", "test")] + [("labelled", tables.get("source"))]
    for part, other in pairs:
        if part in tables and other is not None and tables[part] is not other:
            with faults.kept():
                check_known_labels(tables[part], other, names, place=partial(place, part))
    faults.check("labels")


def labels_without_rows(table: TextTable, names: LabelNames | None) -> tuple[str, ...]:
    """Return the labels that have a name, but no row of a table."""
    if names is None:
        return ()
    known = table.label_counts()
    return tuple(label for label in names.labels() if label not in known)


def check_known_labels(
    table: TextTable, labelled: TextTable | LabelNames, names: LabelNames | None = None, *, place: Callable[[int], str]
) -> None:
    """Raise DataError for each label of `table` that `labelled` and `names` lack; `place(i)` is the place of row i."""
    remedy = "add labelled rows for it" if isinstance(labelled, TextTable) else "add a name for it"
    further = () if names is None else names.labels()
    if isinstance(labelled, TextTable) and table.has_label_sets != labelled.has_label_sets:
        several, one = (table, labelled) if table.has_label_sets else (labelled, table)
        raise DataError(
            f"{place(0)}: rows of {several.name} have lists of labels, those of {one.name} one label each. Write lists in both, "
            "or set `labels:` for both."
        )
    _check_known(table.label_sets(), labelled, place=place, remedy=remedy, further=further)


def _check_named(names: LabelNames, table: TextTable, *, where: str) -> None:
    """Raise DataError for a named label without a row that seems to be another one, which has rows and no name.

    Where rows have lists of labels, no label may be without a row.
    """
    unnamed = set(table.label_counts()) - set(names.labels())
    listed = unnamed if len(unnamed) <= _MAX_MEANT else set[str]()
    several, without = table.has_label_sets, labels_without_rows(table, names)
    wrong = [(label,) for label in without if several or did_you_mean(label, listed)]
    remedy = "remove its name" if several else f"name {names_shown(sorted(unnamed))} too"
    _check_known(wrong, table, place=lambda _: where, remedy=remedy)


def _check_known(
    sets: Sequence[tuple[str, ...]], labelled: TextTable | LabelNames, *, place: Callable[[int], str], remedy: str,
    further: Iterable[str] = (),
) -> None:  # fmt: skip
    """`sets` are the labels of each row."""
    labels, rows = [label for found in sets for label in found], [row for row, found in enumerate(sets) for _ in found]
    known = set(labelled.label_counts() if isinstance(labelled, TextTable) else labelled.labels()).union(further)
    spelt = spelt_as_known(labels, known)
    unknown = {label: count for label, count in Counter(labels).items() if spelt[label] not in known}
    if len(unknown) > MAX_TOLD:
        known_rows = (
            labelled.label_sets() if isinstance(labelled, TextTable) else [(label,) for label in labelled.labels()]
        )
        _check_no_ids({labelled.name: [label for found in known_rows for label in found], place(0): labels})
    listed, candidates = names_shown(sorted(known)), known if len(known) <= _MAX_MEANT else set[str]()
    faults = CollectedFaults()
    for label in itertools.islice(unknown, MAX_TOLD):
        faults.add(
            DataError(
                f"{place(rows[labels.index(label)])}: {labelled.name} has no label {shown(label)}; its labels are {listed}."
                f"{did_you_mean(label, candidates)} Correct the label, or {remedy}."
            )
        )
    faults.add_untold(max(0, len(unknown) - MAX_TOLD))
    faults.check(labelled.name)


def _check_no_ids(parts: Mapping[str, Sequence[str]]) -> None:
    """Raise DataError for labels, by their source, that seem to be ids: many unknown ones say no more."""
    faults = CollectedFaults()
    for name, labels in parts.items():
        different = dict.fromkeys(labels)
        if look_like_ids(len(different), len(labels)):
            finding = LabelFinding("id", tuple(itertools.islice(different, 2)), (len(different), len(labels)))
            faults.add(DataError(f"{name}: {finding.sentence()}"))
    faults.check("labels")
