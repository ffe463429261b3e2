"""DataReport: rows, duplicates and leaks of the data, as JSON and as sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from nlptl.data.leaks import Leak
from nlptl.faults import shown

_UNEVEN_RATIO = 10
"""Ratio of the largest label's rows to the smallest's at which the report mentions it."""


@dataclass(frozen=True)
class PartReport:
    """Counts of one part of the data."""

    source: str
    """Source of the rows."""
    rows_read: int
    """Rows with a text."""
    rows_used: int
    """Rows left after leaks are dropped and shots are drawn."""
    empty_skipped: int
    """Rows without text that were skipped."""
    duplicates: int
    """Rows read whose text repeats an earlier row."""
    labels: Mapping[str, int] | None
    """Rows used of each label; None for unlabelled text."""
    digest: str
    """sha256 of the rows used."""
    revisions: tuple[str, ...] = ()
    """Commits of Hub data sets, where known."""


@dataclass(frozen=True)
class DataReport:
    """Report on all parts of the data."""

    parts: Mapping[str, PartReport]
    """By name, among unlabelled, source, labelled, validation and test."""
    leaks: tuple[Leak, ...]
    """Texts that a part shares with its tests."""
    shots: int | None
    """Rows drawn of each label; None if all are used."""

    def to_json(self) -> dict[str, object]:
        """Return the report as plain JSON values."""
        return dataclasses.asdict(self)

    def sentences(self) -> list[str]:
        """Return the findings that a person should read, a sentence each."""
        told = [sentence for name, part in self.parts.items() for sentence in _part_sentences(name, part)]
        return [*told, *map(_leak_sentence, self.leaks), *self._shots_sentence()]

    def _shots_sentence(self) -> list[str]:
        part = self.parts.get("labelled")
        if self.shots is None or part is None or part.labels is None:
            return []
        drawn = f"{_rows(self.shots)} of each of {len(part.labels)} labels"
        return [f"labelled: {drawn} drawn, {part.rows_used} of {_rows(part.rows_read)} in all."]


def _part_sentences(name: str, part: PartReport) -> list[str]:
    told = []
    if part.empty_skipped:
        told.append(f"{name}: {_rows(part.empty_skipped)} without text {_were(part.empty_skipped)} skipped.")
    if part.duplicates:
        verb = "repeats" if part.duplicates == 1 else "repeat"
        told.append(f"{name}: {part.duplicates} of {_rows(part.rows_read)} {verb} the text of an earlier row.")
    if part.labels:
        most = max(part.labels, key=lambda label: part.labels[label] if part.labels else 0)
        least = min(part.labels, key=lambda label: part.labels[label] if part.labels else 0)
        if part.labels[most] >= _UNEVEN_RATIO * part.labels[least]:
            told.append(
                f"{name}: label {most!r} has {_rows(part.labels[most])}, label {least!r} only {part.labels[least]}."
            )
    return told


def _leak_sentence(leak: Leak) -> str:
    occurs = "occurs" if leak.rows == 1 else "occur"
    end = "left out" if leak.dropped else "kept (drop_leaks: false)"
    found = f"{_rows(leak.rows)} also {occurs} in {leak.also_in} and {_were(leak.rows)} {end}"
    return f"{leak.part}: {found}, for example {shown(leak.examples[0])}."


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
