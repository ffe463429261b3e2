"""TextData: the parts of a run's data, from files or Python values, and their labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar, TypeAlias, cast

from nlptl.artifact import digest_of
from nlptl.config import did_you_mean
from nlptl.data.row_checks import Columns, Origin, names_by_label, names_shown
from nlptl.data.sources import load, open_dataset
from nlptl.data.table import Label, TextTable
from nlptl.errors import DataError
from nlptl.faults import shown

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

TextsLike: TypeAlias = "Sequence[str] | Dataset | TextTable"  # a data set has a column "text"
LabelledLike: TypeAlias = (
    "tuple[Sequence[str], Sequence[Label]] | Sequence[tuple[str, Label]] | pd.DataFrame | Dataset | TextTable"
)
"""Labelled examples: a pair of lists, a list of pairs, or a table with the columns "text" and "label"."""
NamesLike: TypeAlias = "Mapping[str, str] | Mapping[int, str]"  # a few words for each label


@dataclass(frozen=True, init=False)
class TextData:
    """Parts of a run's data; a missing part is None."""

    unlabelled: TextTable | None  # texts for pretraining, and those of the target domain
    source: TextTable | None  # labelled examples of another domain
    labelled: TextTable | None  # the few labelled examples from which the classifier learns
    validation: TextTable | None  # held-out labelled examples: for choosing methods, early stopping and calibration
    test: TextTable | None  # labelled examples for the final scores; nothing learns from them
    label_names: LabelNames | None  # labels in words; may leave some out; the label set if nothing is labelled

    def __init__(
        self,
        *,
        unlabelled: TextsLike | None = None,
        source: LabelledLike | None = None,
        labelled: LabelledLike | None = None,
        validation: LabelledLike | None = None,
        test: LabelledLike | None = None,
        label_names: NamesLike | LabelNames | None = None,
    ) -> None:
        """Accept tables or plain Python values. A bad row raises DataError with its number, counted from 1."""
        values = {"source": source, "labelled": labelled, "validation": validation, "test": test}
        tables = {name: _labelled_table(value, name=name) for name, value in values.items() if value is not None}
        if unlabelled is not None:
            tables["unlabelled"] = _texts_table(unlabelled, name="unlabelled")
        names = label_names if isinstance(label_names, LabelNames | None) else LabelNames.of(label_names)
        for name in ("unlabelled", *values):
            object.__setattr__(self, name, tables.get(name))
        object.__setattr__(self, "label_names", names)
        check_labels(tables, names, where="label_names", place=lambda part, row: tables[part].row_place(row))

    @cached_property
    def label_set(self) -> LabelSet:
        """Sorted labels of `labelled`, else of `source`, else of `label_names`. Raises DataError for fewer than two."""
        naming = self.source if self.labelled is None else self.labelled
        if naming is not None:
            return LabelSet.of(naming)
        if self.label_names is None:
            raise DataError(
                "labelled: without labelled examples or label_names there are no labels. Add labelled examples."
            )
        return LabelSet.named(self.label_names.labels(), where="label_names")


@dataclass(frozen=True)
class LabelNames:
    """Names of labels: what each means, in words."""

    pairs: tuple[tuple[str, str], ...]  # labels with their names, sorted by label
    name: ClassVar[str] = "label_names"

    @classmethod
    def of(cls, names: NamesLike) -> LabelNames:
        """Return the names of labels, which may be whole numbers. Raises DataError for a bad label or name."""
        try:
            return cls(tuple(sorted(names_by_label(names).items())))
        except ValueError as error:
            raise DataError(f"{cls.name}: {error}") from None

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
    def of(cls, table: TextTable) -> LabelSet:
        """Return the labels of `table`, sorted by number if all are numbers, else by name. Raises DataError for one label only."""
        names = _in_order(set(table.labels()))
        if len(names) < 2:
            raise DataError(
                f"{table.name}: all {len(table)} rows have the label {names_shown(names)}. Add rows with another label."
            )
        return cls(names)

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
        positions = {name: position for position, name in enumerate(self.names)}
        try:
            return [positions[label] for label in labels]
        except KeyError as error:
            unknown, meant = error.args[0], did_you_mean(error.args[0], self.names)
            raise DataError(
                f"labels: {unknown!r} is none of the labels {names_shown(self.names)}.{meant} Correct the label."
            ) from None


def _in_order(names: set[str]) -> tuple[str, ...]:
    are_numbers = all(re.fullmatch(r"-?[0-9]+", name) for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if are_numbers else 0, name)))


def check_labels(
    tables: Mapping[str, TextTable], names: LabelNames | None, *, where: str, place: Callable[[str, int], str]
) -> None:
    """Raise DataError unless all parts have the labels of `labelled`, else of `source`, else of `names` (at `where`)."""
    known = tables.get("labelled", tables.get("source", names))
    if isinstance(known, TextTable) and names is not None:
        _check_known(names.labels(), known, place=lambda _: where, remedy="remove its name")
    pairs = [(part, known) for part in ("source", "validation", "test")] + [("labelled", tables.get("source"))]
    for part, other in pairs:
        if part in tables and other is not None and tables[part] is not other:
            check_known_labels(tables[part], other, place=partial(place, part))


def check_known_labels(table: TextTable, labelled: TextTable | LabelNames, *, place: Callable[[int], str]) -> None:
    """Raise DataError for the first row of `table` whose label `labelled` lacks; `place(i)` is the place of row i."""
    remedy = "add labelled rows for it" if isinstance(labelled, TextTable) else "add a name for it"
    _check_known(table.labels(), labelled, place=place, remedy=remedy)


def _check_known(
    labels: Sequence[str], labelled: TextTable | LabelNames, *, place: Callable[[int], str], remedy: str
) -> None:
    known = set(labelled.labels())
    index, label = next(((i, label) for i, label in enumerate(labels) if label not in known), (0, None))
    if label is not None:
        raise DataError(
            f"{place(index)}: {labelled.name} has no label {label!r}; its labels are {names_shown(sorted(known))}."
            f"{did_you_mean(label, known)} Correct the label, or {remedy}."
        )


def _texts_table(value: TextsLike, *, name: str) -> TextTable:
    from datasets import Dataset

    if isinstance(value, TextTable):
        return value
    if isinstance(value, Dataset):
        return load(open_dataset(value, name, Columns()), empty_text="refuse")[0]
    if not _is_list(value):
        raise DataError(
            f"{name}: {shown(value)} ({type(value).__name__}) is not a list of texts. Put the texts in a list."
        )
    return TextTable.from_lists(value, name=name)


def _labelled_table(value: LabelledLike, *, name: str) -> TextTable:
    import pandas as pd
    from datasets import Dataset

    if isinstance(value, TextTable):
        value.labels()
        return value
    if isinstance(value, Dataset):
        return load(open_dataset(value, name, Columns(label="label")), empty_text="refuse")[0]
    if isinstance(value, pd.DataFrame):
        Columns(label="label").check(value.columns, name)
        columns = (value[column].astype(object) for column in ("text", "label"))
        return TextTable.from_lists(*(column.where(column.notna(), None).tolist() for column in columns), name=name)
    if not _is_list(value):
        raise DataError(
            f"{name}: {shown(value)} ({type(value).__name__}) is not a set of examples. Give (texts, labels), a list of "
            "pairs (text, label), a pandas DataFrame or a datasets.Dataset."
        )
    if isinstance(value, tuple) and len(value) == 2 and all(_is_list(part) for part in value):
        return TextTable.from_lists(*cast("tuple[Sequence[str], Sequence[Label]]", value), name=name)
    pairs = cast("Sequence[tuple[str, Label]]", value)
    for number, pair in enumerate(pairs, 1):
        if not _is_list(pair) or len(pair) != 2:
            raise DataError(f"{Origin(name).at(number)}: {shown(pair)} is not a pair (text, label).")
    return TextTable.from_lists([text for text, _ in pairs], [label for _, label in pairs], name=name)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
