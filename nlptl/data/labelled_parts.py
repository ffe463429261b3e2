"""Labelled parts of the data: their labels spelt alike, and their rows without a label taken out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nlptl.data.label_spelling import spellings, spelt_as_known, stripped
from nlptl.data.row_checks import NO_LABEL, EmptyLabel
from nlptl.data.table import TextTable, concatenate
from nlptl.errors import DataError


@dataclass(frozen=True)
class LabelChanges:
    """What was done to the labels of one part."""

    stripped: int = 0  # rows whose label lost outer blanks
    renamed: Mapping[str, str] = field(default_factory=dict)  # further spellings, such as "true" to "True"
    empty: int = 0  # rows without a label that were taken out


@dataclass(frozen=True)
class LabelledPart:
    """Labelled rows of one part, and the texts of its rows without a label."""

    table: TextTable
    changes: LabelChanges = LabelChanges()
    unlabelled: TextTable | None = None


def labelled_parts(
    tables: Mapping[str, TextTable], *, more_labels: tuple[str, ...] = ()
) -> tuple[dict[str, LabelledPart], dict[str, str]]:
    """Return labelled tables with one spelling of each label, and the name of each label found.

    Whether labels are truth values or whole numbers is decided over all tables and `more_labels` together. A label that
    `labelled`, else `source`, else `more_labels` only spells otherwise is named as there. Raises DataError if no row of a
    table has a label.
    """
    counts = {part: table.label_counts() for part, table in tables.items()}
    names = spellings({label for found in counts.values() for label in found if label != NO_LABEL} | {*more_labels})
    naming = counts.get("labelled") or counts.get("source") or more_labels
    as_known = spelt_as_known(names.values(), {names[label] for label in naming if label != NO_LABEL})
    names = {label: as_known[name] for label, name in names.items()}
    parts = {part: _with_names(table, counts[part], names) for part, table in tables.items()}
    return parts, names


def spelt_as(table: TextTable, known: Iterable[str]) -> TextTable:
    """Return a table whose labels are named as in `known` where they are only spelt otherwise."""
    return table.relabelled(spelt_as_known(table.label_counts(), known))


def with_rows_of(pile: TextTable | None, part: LabelledPart | None, empty_label: EmptyLabel) -> TextTable | None:
    """Return the pile with the texts of `part` that have no label, under `empty_label: unlabelled`."""
    if part is None or part.unlabelled is None or empty_label != "unlabelled":
        return pile
    return part.unlabelled if pile is None else concatenate([pile, part.unlabelled])


def _with_names(table: TextTable, counts: Mapping[str, int], names: Mapping[str, str]) -> LabelledPart:
    changes = LabelChanges(
        stripped=sum(count for label, count in counts.items() if stripped(label) != label),
        renamed={stripped(label): names[label] for label in counts if label and names[label] != stripped(label)},
        empty=counts.get(NO_LABEL, 0),
    )
    if not changes.empty:
        return LabelledPart(table.relabelled({label: names[label] for label in counts}), changes)
    if changes.empty == len(table):
        raise DataError(f"{table.name}: no row has a label. Fill in labels, or give the texts as unlabelled ones.")
    has_label = table.has_label()
    kept = table.keep(has_label).relabelled({label: names[label] for label in counts if label != NO_LABEL})
    rest = table.keep(~has_label).without_labels(name=f"{table.name} (rows without label)")
    return LabelledPart(kept, changes, rest)
