"""Checks of labels across the parts of the data: all have those that the labelled examples or the names know."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from nlptl.config import did_you_mean
from nlptl.data.collected_faults import MAX_TOLD, CollectedFaults
from nlptl.data.columns import names_shown
from nlptl.data.label_findings import (
    LabelFinding,
    are_split,
    joined_labels,
    look_like_ids,
    parts_told,
    separator_remedy,
)
from nlptl.data.label_names import LabelNames
from nlptl.data.label_spelling import spelt_as_known
from nlptl.data.table import TextTable
from nlptl.errors import DataError
from nlptl.faults import shown

MAX_MEANT = 1_000  # known labels among which the one that is meant is looked for


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


def check_none_joined(
    labels: Iterable[str], known: Iterable[str], *, place: Callable[[str], str], remedy: Callable[[str], str]
) -> None:
    """Raise DataError if labels that are not `known` join others: cells are not split, or by another sign than theirs.

    One sentence says it of all; `remedy` is given the sign.
    """
    unknown = set(labels).difference(known)
    joined = joined_labels(dict.fromkeys([*known, *unknown], 1)) if unknown else {}
    found = [label for label in dict.fromkeys(labels) if label in unknown and label in joined]
    if not found:
        return
    first, others = joined[found[0]], len(found) - 1
    also = f", and {others} more label{'s join' if others > 1 else ' joins'} some" if others else ""
    told = f"{place(found[0])}: the label {shown(found[0])} joins {parts_told(first.parts)}{also}."
    raise DataError(f"{told} {remedy(first.separator)}")


def _check_named(names: LabelNames, table: TextTable, *, where: str) -> None:
    """Raise DataError for a named label without a row that seems to be another one, which has rows and no name.

    Where rows have lists of labels, no label may be without a row.
    """
    unnamed = set(table.label_counts()) - set(names.labels())
    listed = unnamed if len(unnamed) <= MAX_MEANT else set[str]()
    without = labels_without_rows(table, names)
    if table.has_label_sets and without:
        found = f"{len(without)} labels have a name" if len(without) > 1 else "1 label has a name"
        meant = did_you_mean(without[0], listed) if len(without) == 1 else ""
        raise DataError(
            f"{where}: {found} and no example in {table.name} ({names_shown(without, 4)}); where texts may have several labels, "
            f"each label needs an example.{meant} Add rows, correct the label, or remove its name."
        )
    wrong = [(label,) for label in without if did_you_mean(label, listed)]
    remedy = f"name {names_shown(sorted(unnamed))} too"
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
    split = isinstance(labelled, TextTable) and are_split(labelled)
    check_none_joined(
        unknown, known, place=lambda label: place(rows[labels.index(label)]),
        remedy=lambda separator: separator_remedy("" if split else separator),
    )  # fmt: skip
    if len(unknown) > MAX_TOLD:
        known_rows = (
            labelled.label_sets() if isinstance(labelled, TextTable) else [(label,) for label in labelled.labels()]
        )
        _check_no_ids({labelled.name: [label for found in known_rows for label in found], place(0): labels})
    listed, candidates = names_shown(sorted(known)), known if len(known) <= MAX_MEANT else set[str]()
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
