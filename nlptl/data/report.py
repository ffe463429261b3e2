"""DataReport: rows, duplicates and leaks of the data, as JSON and as sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from nlptl.data.label_findings import LabelFinding, rows_told
from nlptl.data.labelled_parts import LabelChanges
from nlptl.data.leaks import Leak
from nlptl.data.row_checks import EmptyLabel
from nlptl.faults import shown

_MAX_RENAMED = 4  # labels that a sentence names
_MAX_NAMED = 8  # of those without an example
_UNEVEN_RATIO = 10  # of the largest label's rows to the smallest's, at which the report mentions it


@dataclass(frozen=True)
class PartReport:
    """Counts of one part of the data."""

    source: str
    rows_read: int  # rows with a text
    rows_used: int  # rows left after leaks are dropped and shots are drawn
    empty_skipped: int  # rows without text that were skipped
    duplicates: int  # rows read whose text repeats an earlier row
    labels: Mapping[str, int] | None  # rows used of each label; None for unlabelled text
    digest: str  # sha256 of the rows used
    revisions: tuple[str, ...] = ()  # commits of Hub data sets, where known
    empty_label: EmptyLabel = "refuse"  # treatment of rows without a label
    label_changes: LabelChanges = field(default_factory=LabelChanges)
    label_findings: tuple[LabelFinding, ...] = ()
    remarks: tuple[str, ...] = ()  # sentences on how the files are read, where that is not the plain default
    rows_of_no_label: int | None = None  # rows used to which no label applies; None where each has exactly one


@dataclass(frozen=True)
class DataReport:
    """Report on all parts of the data."""

    parts: Mapping[str, PartReport]  # by name, among unlabelled, source, labelled, validation and test
    leaks: tuple[Leak, ...]  # texts that a part shares with its tests
    shots: int | None  # rows drawn of each label; None if all are used
    hold_out: float | None = None  # share of each label's texts that became the test
    labels_without_rows: tuple[str, ...] = ()  # that have a name only, which stands in

    def to_json(self) -> dict[str, object]:
        """Return the report as plain JSON values."""
        return dataclasses.asdict(self)

    def sentences(self) -> list[str]:
        """Return the findings that a person should read, a sentence each."""
        told = [sentence for name, part in self.parts.items() for sentence in _part_sentences(name, part)]
        told += map(_leak_sentence, self.leaks)
        told += _without_rows_sentences(self.labels_without_rows)
        part = self.parts.get("labelled")
        if self.shots is not None and part is not None and part.labels is not None:
            least = "" if part.rows_of_no_label is None else "at least "
            drawn = f"{least}{rows_told(self.shots)} of each of {len(part.labels)} labels"
            told.append(f"labelled: {drawn} drawn, {part.rows_used} of {rows_told(part.rows_read)} in all.")
        if self.hold_out is not None:
            told.append(
                f"test: {rows_told(self.parts['test'].rows_read)} of labelled are held out, {self.hold_out:.0%} of each label's "
                "texts, with all copies."
            )
        return told


def _part_sentences(name: str, part: PartReport) -> list[str]:
    told = [f"{name}: {remark}" for remark in part.remarks]
    if part.empty_skipped:
        told.append(f"{name}: {rows_told(part.empty_skipped)} without text {_were(part.empty_skipped)} skipped.")
    told += [
        f"{name}: {sentence}"
        for sentence in _change_sentences(
            part.label_changes, joins=name == "labelled" and part.empty_label == "unlabelled"
        )
    ]
    if part.duplicates:
        verb = "repeats" if part.duplicates == 1 else "repeat"
        told.append(f"{name}: {part.duplicates} of {rows_told(part.rows_read)} {verb} the text of an earlier row.")
    if part.labels and part.rows_of_no_label is not None:
        given, count = sum(part.labels.values()), part.rows_of_no_label
        none = f"; {rows_told(count)} {'has' if count == 1 else 'have'} none" if count else ""
        is_split = given > part.rows_used - count
        mean = f"{given / part.rows_used:.2g} on average" if is_split else "but no row has more than one"
        told.append(f"{name}: a row may have several labels, {mean}{none}.")
    if part.labels:
        most, least = (choose(part.labels.items(), key=itemgetter(1)) for choose in (max, min))
        if most[1] >= _UNEVEN_RATIO * least[1]:
            told.append(f"{name}: label {most[0]!r} has {rows_told(most[1])}, label {least[0]!r} only {least[1]}.")
    return told + [f"{name}: {finding.sentence()}" for finding in part.label_findings]


def _change_sentences(changes: LabelChanges, *, joins: bool) -> Iterator[str]:
    if changes.empty:
        count = "counts" if changes.empty == 1 else "count"
        end = f"{count} as unlabelled" if joins else f"{_were(changes.empty)} skipped"
        yield f"{rows_told(changes.empty)} without label {end}."
    if changes.stripped:
        yield f"blanks around the label were removed in {rows_told(changes.stripped)}."
    if changes.renamed:
        names = [f"{shown(label)} as {shown(name)}" for label, name in sorted(changes.renamed.items())]
        more = f" and {len(names) - _MAX_RENAMED} more" if len(names) > _MAX_RENAMED else ""
        yield f"labels are spelt alike: {', '.join(names[:_MAX_RENAMED])}{more}."


def _without_rows_sentences(labels: Sequence[str]) -> Iterator[str]:
    """Tell which labels have no example."""
    if labels:
        count = (
            "1 label has no example; its name stands"
            if len(labels) == 1
            else f"{len(labels)} labels have no example; their names stand"
        )
        more = f" and {len(labels) - _MAX_NAMED} more" if len(labels) > _MAX_NAMED else ""
        yield f"label_names: {count} in: {', '.join(map(shown, labels[:_MAX_NAMED]))}{more}."


def _leak_sentence(leak: Leak) -> str:
    occurs = "occurs" if leak.rows == 1 else "occur"
    end = "left out" if leak.dropped else "kept (drop_leaks: false)"
    found = f"{rows_told(leak.rows)} also {occurs} in {leak.also_in} and {_were(leak.rows)} {end}"
    return f"{leak.part}: {found}, for example {shown(leak.examples[0])}."


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
