"""DataReport: what reading the data found, as JSON and as plain sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from nlptl.data.leaks import Leak
from nlptl.data.row_checks import shown

_UNEVEN = 10
"""How many times as many rows the largest label must have as the smallest before the report says so."""


@dataclass(frozen=True)
class PartReport:
    """What reading one part found."""

    source: str
    """Where its rows came from."""
    rows_read: int
    """Rows with a text."""
    rows_used: int
    """Rows after leaks were dropped and shots drawn."""
    empty_skipped: int
    """Rows left out because their text is empty."""
    duplicates: int
    """Rows read whose text repeats an earlier row of the part."""
    labels: Mapping[str, int] | None
    """Used rows of each label; None for unlabelled text."""
    digest: str
    """sha256 of the rows used."""
    revisions: tuple[str, ...] = ()
    """Commits of hub data sets, where they are known."""


@dataclass(frozen=True)
class DataReport:
    """What reading the data found."""

    parts: Mapping[str, PartReport]
    """By name: unlabelled, source, labelled, validation, test; only those that are there."""
    leaks: tuple[Leak, ...]
    """Texts that one part shares with another that tests it."""
    shots: int | None
    """Rows drawn of each label; None where all are used."""

    def to_json(self) -> dict[str, object]:
        """Return the report as plain JSON values."""
        return {
            "parts": {name: _part_json(part) for name, part in self.parts.items()},
            "leaks": [{**dataclasses.asdict(leak), "examples": list(leak.examples)} for leak in self.leaks],
            "shots": self.shots,
        }

    def sentences(self) -> list[str]:
        """Return the findings worth telling, one sentence each; none where all is well."""
        told = [sentence for name, part in self.parts.items() for sentence in _part_sentences(name, part)]
        return [*told, *map(_leak_sentence, self.leaks), *self._shots_sentence()]

    def _shots_sentence(self) -> list[str]:
        part = self.parts.get("labelled")
        if self.shots is None or part is None or part.labels is None:
            return []
        drawn = f"{_rows(self.shots)} of each of {len(part.labels)} labels"
        return [f"labelled: drew {drawn}, {part.rows_used} of the {_rows(part.rows_read)} read."]


def _part_json(part: PartReport) -> dict[str, object]:
    labels = None if part.labels is None else dict(part.labels)
    return {
        "source": part.source,
        "rows_read": part.rows_read,
        "rows_used": part.rows_used,
        "empty_skipped": part.empty_skipped,
        "duplicates": part.duplicates,
        "labels": labels,
        "digest": part.digest,
        "revisions": list(part.revisions),
    }


def _part_sentences(name: str, part: PartReport) -> list[str]:
    told = []
    if part.empty_skipped:
        told.append(f"{name}: {_rows(part.empty_skipped)} without text {_were(part.empty_skipped)} left out.")
    if part.duplicates:
        verb = "repeats" if part.duplicates == 1 else "repeat"
        told.append(f"{name}: {part.duplicates} of {_rows(part.rows_read)} {verb} the text of an earlier row.")
    if part.labels:
        most = max(part.labels, key=lambda label: part.labels[label] if part.labels else 0)
        least = min(part.labels, key=lambda label: part.labels[label] if part.labels else 0)
        if part.labels[most] >= _UNEVEN * part.labels[least]:
            told.append(
                f"{name}: label {most!r} has {_rows(part.labels[most])}, label {least!r} only {part.labels[least]}."
            )
    return told


def _leak_sentence(leak: Leak) -> str:
    stands = "stands" if leak.rows == 1 else "stand"
    end = "left out" if leak.dropped else "kept (drop_leaks: false)"
    found = f"{_rows(leak.rows)} {stands} in {leak.also_in} too and {_were(leak.rows)} {end}"
    return f"{leak.part}: {found}, for example {shown(leak.examples[0])}."


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
