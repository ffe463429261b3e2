"""Quarantine: rows of a refresh that are kept from training, why, and the table that a person looks at."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from nlptl.disk.spreadsheets import write_csv
from nlptl.runs.refresh.given_rows import GivenRows

QUARANTINE = "quarantine.csv"

QuarantineReason = Literal[
    "no text", "no label", "kept row", "contradiction", "copy", "near-copies", "language", "planted phrase", "doubtful label"
]  # fmt: skip
TOLD: Mapping[QuarantineReason, str] = {
    "no text": "without text",
    "no label": "without label",
    "kept row": "copies of rows that judge",
    "contradiction": "contradict another row",
    "copy": "copies of known rows",
    "near-copies": "near-copies",
    "language": "in another language",
    "planted phrase": "with a planted phrase",
    "doubtful label": "with a doubtful label",
}
"""Reasons in words, the order in which they are looked for and told."""


@dataclasses.dataclass(frozen=True)
class Quarantined:
    """Why one row is kept from training."""

    reason: QuarantineReason
    detail: str  # one sentence


def write_quarantine(folder: Path, given: GivenRows, quarantined: Mapping[int, Quarantined]) -> int:
    """Write the rows in quarantine with their places, and return how many."""
    texts, labels = given.table.texts(), given.table.labels()
    lines: list[Sequence[object]] = [
        [one.place.file, _number(one.place.number), "no label" if one.text else "no text", "", one.label, one.text]
        for one in given.incomplete
    ]
    for row, why in sorted(quarantined.items()):
        place = given.places[row]
        lines.append([place.file, _number(place.number), why.reason, why.detail, labels[row], texts[row]])
    write_csv(folder / QUARANTINE, ["file", "row", "reason", "detail", "label", "text"], lines)
    return len(lines)


def counts_of(given: GivenRows, quarantined: Mapping[int, Quarantined]) -> dict[QuarantineReason, int]:
    """Return the number of rows in quarantine for each reason that has some."""
    counts = Counter[QuarantineReason](one.reason for one in quarantined.values())
    counts.update("no label" if one.text else "no text" for one in given.incomplete)
    return {reason: counts[reason] for reason in TOLD if counts[reason]}


def _number(number: int | None) -> object:
    return "" if number is None else number
