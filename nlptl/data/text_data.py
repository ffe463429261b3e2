"""TextData: the parts of a run's data, from files or from plain Python values; and the set of their labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar, TypeAlias, cast

from nlptl.artifact import digest_of
from nlptl.config import did_you_mean
from nlptl.data.row_checks import Columns, Origin, names_by_label, names_shown, no_column, shown
from nlptl.data.sources import DatasetInput, load
from nlptl.data.table import Label, TextTable
from nlptl.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

TextsLike: TypeAlias = "Sequence[str] | Dataset | TextTable"
"""What stands for texts: a list of strings, a 🤗 data set with a column "text", a TextTable."""
LabelledLike: TypeAlias = (
    "tuple[Sequence[str], Sequence[Label]] | Sequence[tuple[str, Label]] | pd.DataFrame | Dataset | TextTable"
)
"""What stands for labelled examples: a pair of lists, a list of pairs, or a table with columns "text" and "label"."""

NamesLike: TypeAlias = "Mapping[str, str] | Mapping[int, str]"
"""What stands for names of labels: a few words for each, the labels as in a table."""


@dataclass(frozen=True, init=False)
class TextData:
    """The parts of a run's data; a part that is not there is None."""

    unlabelled: TextTable | None
    """Texts for stage one, and those of the target domain."""
    source: TextTable | None
    """Labelled examples of another domain."""
    labelled: TextTable | None
    """The few labelled examples that the classifier learns from."""
    validation: TextTable | None
    """Labelled examples for choosing updates and settings, early stopping, and how sure predictions may be."""
    test: TextTable | None
    """Labelled examples that nothing learns from."""
    label_names: LabelNames | None
    """What labels mean in words, where that was given."""

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
        """Take tables or plain Python values; a bad row raises DataError with its number, counted from 1.

        `label_names` says what labels mean in words; it may leave some out, and alone it gives the label set.
        """
        parts = {
            "unlabelled": None if unlabelled is None else _texts_table(unlabelled, name="unlabelled"),
            "source": None if source is None else _labelled_table(source, name="source"),
            "labelled": None if labelled is None else _labelled_table(labelled, name="labelled"),
            "validation": None if validation is None else _labelled_table(validation, name="validation"),
            "test": None if test is None else _labelled_table(test, name="test"),
        }
        for name, table in parts.items():
            object.__setattr__(self, name, table)
        names = label_names if isinstance(label_names, LabelNames | None) else LabelNames.of(label_names)
        object.__setattr__(self, "label_names", names)
        naming = self._naming
        if naming is not None and names is not None:
            check_named_labels(names, naming, where="label_names")
        known = naming or names
        for table in (self.source, self.validation, self.test):
            if known is not None and table is not None:
                check_known_labels(table, known, place=partial(_row_of, table))
        if self.labelled is not None and self.source is not None:
            check_known_labels(self.labelled, self.source, place=partial(_row_of, self.labelled))

    @cached_property
    def label_set(self) -> LabelSet:
        """The labels of `labelled`, else of `source`, else those that `label_names` names, sorted.

        DataError where there is none of them, or only one label.
        """
        if self._naming is not None:
            return LabelSet.of(self._naming)
        if self.label_names is None:
            raise DataError("labelled: found no labelled examples; expected some to take the labels from. Add them.")
        return LabelSet.named(self.label_names.labels(), where="label_names")

    @property
    def _naming(self) -> TextTable | None:
        """The part whose rows name the labels."""
        return self.source if self.labelled is None else self.labelled


@dataclass(frozen=True)
class LabelNames:
    """What labels mean in words."""

    pairs: tuple[tuple[str, str], ...]
    """Label and name, sorted by label."""

    name: ClassVar[str] = "label_names"

    @classmethod
    def of(cls, names: NamesLike) -> LabelNames:
        """Take a name for each label, which may be a whole number; DataError for what is no label or no name."""
        try:
            return cls(tuple(sorted(names_by_label(names).items())))
        except ValueError as error:
            raise DataError(f"{cls.name}: {error}") from None

    def labels(self) -> list[str]:
        """Return the labels that have a name."""
        return [label for label, _ in self.pairs]

    def get(self, label: str) -> str | None:
        """Return the name of a label, if it has one."""
        return dict(self.pairs).get(label)

    @cached_property
    def digest(self) -> str:
        """sha256 of the pairs."""
        return digest_of([list(pair) for pair in self.pairs])


@dataclass(frozen=True)
class LabelSet:
    """The labels a classifier tells apart; a label's id is its position here."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, table: TextTable) -> LabelSet:
        """Return the labels of `table`: by number where all are whole numbers, else by name.

        Raises DataError where there is only one, which leaves nothing to learn.
        """
        names = set(table.labels())
        if len(names) < 2:
            raise DataError(
                f"{table.name}: found only the label {names_shown(names)} in all {len(table)} rows; expected at least "
                "two labels. Add rows with another label."
            )
        return cls(_in_order(names))

    @classmethod
    def named(cls, names: Iterable[str], *, where: str) -> LabelSet:
        """Return the labels with these names, in the order of `of`; DataError where there are fewer than two."""
        found = set(names)
        if len(found) < 2:
            raise DataError(
                f"{where}: found only the label {names_shown(found)}; without labelled examples at least two are expected, "
                "to tell apart. Name all labels."
            )
        return cls(_in_order(found))

    def __len__(self) -> int:
        return len(self.names)

    def ids(self, labels: Iterable[str]) -> list[int]:
        """Return the id of each label; an unknown one raises DataError."""
        positions = self._positions
        try:
            return [positions[label] for label in labels]
        except KeyError as error:
            unknown = str(error.args[0])
            raise DataError(
                f"labels: found {unknown!r}; expected one of {names_shown(self.names)}."
                f"{did_you_mean(unknown, self.names)} Correct the label."
            ) from None

    def name(self, id: int) -> str:
        """Return the label with this id."""
        return self.names[id]

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.names)}


def _in_order(names: set[str]) -> tuple[str, ...]:
    if all(re.fullmatch(r"-?[0-9]+", name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def check_named_labels(names: LabelNames, labelled: TextTable, *, where: str) -> None:
    """Raise DataError for the first label that is named and that `labelled` lacks; `where` is the names' YAML path."""
    known = set(labelled.labels())
    for label in names.labels():
        if label not in known:
            raise DataError(
                f"{where}: found a name for the label {label!r}, which {labelled.name} lacks; expected some of "
                f"{names_shown(sorted(known))}.{did_you_mean(label, known)} Correct the label or remove its name."
            )


def check_known_labels(table: TextTable, labelled: TextTable | LabelNames, *, place: Callable[[int], str]) -> None:
    """Raise DataError for the first row of `table` whose label `labelled` lacks; `place` tells where row i stands."""
    known = set(labelled.labels())
    labels = table.labels()
    if known.issuperset(labels):
        return
    index, label = next((i, label) for i, label in enumerate(labels) if label not in known)
    raise DataError(
        f"{place(index)}: found the label {label!r}, which {labelled.name} lacks; expected one of "
        f"{names_shown(sorted(known))}.{did_you_mean(label, known)} Correct the label or "
        + ("add labelled rows for it." if isinstance(labelled, TextTable) else "say there what it means.")
    )


def _row_of(table: TextTable, index: int) -> str:
    return Origin(table.name).at(index + 1)


def _texts_table(value: TextsLike, *, name: str) -> TextTable:
    from datasets import Dataset

    if isinstance(value, TextTable):
        return value
    if isinstance(value, Dataset):
        return load(DatasetInput(value, name, Columns()), empty_text="refuse").table
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise DataError(
            f"{name}: found {shown(value)} ({type(value).__name__}); expected a list of texts. Put the texts in a list."
        )
    return TextTable.from_lists(value, name=name)


def _labelled_table(value: LabelledLike, *, name: str) -> TextTable:
    import pandas as pd
    from datasets import Dataset

    if isinstance(value, TextTable):
        value.labels()
        return value
    if isinstance(value, Dataset):
        return load(DatasetInput(value, name, Columns(label="label")), empty_text="refuse").table
    if isinstance(value, pd.DataFrame):
        texts = cast("list[str]", _frame_column(value, "text", name))
        return TextTable.from_lists(texts, _frame_column(value, "label", name), name=name)
    if isinstance(value, tuple) and len(value) == 2 and all(_is_list(part) for part in value):
        pair = cast("tuple[Sequence[str], Sequence[Label]]", value)
        return TextTable.from_lists(*pair, name=name)
    return _table_of_pairs(cast("Sequence[tuple[str, Label]]", value), name=name)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _frame_column(frame: pd.DataFrame, column: str, name: str) -> list[Label]:
    if column not in frame.columns:
        raise no_column(name, column, frame.columns, kind="text" if column == "text" else "label")
    values = frame[column].astype(object)
    return values.where(values.notna(), None).tolist()


def _table_of_pairs(pairs: Sequence[tuple[str, Label]], *, name: str) -> TextTable:
    if not _is_list(pairs):
        raise DataError(
            f"{name}: found {shown(pairs)} ({type(pairs).__name__}); expected (texts, labels), a list of pairs "
            "(text, label), a pandas DataFrame or a datasets.Dataset. Give one of these."
        )
    for number, pair in enumerate(pairs, 1):
        if not _is_list(pair) or len(pair) != 2:
            raise DataError(
                f"{Origin(name).at(number)}: found {shown(pair)}; expected a pair (text, label). Write the row so."
            )
    return TextTable.from_lists([pair[0] for pair in pairs], [pair[1] for pair in pairs], name=name)
