"""Rows that were left out of the data, since they have no text: how many, and where they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.data.compressed_files import bare_name
from nlptl.data.row_checks import RowPlace, is_missing

if TYPE_CHECKING:
    from nlptl.data.load import ReadPart
    from nlptl.data.sources import OpenedSource

MAX_FIRST = 10_000  # rows whose places are told


@dataclass(frozen=True)
class RowWithoutText:
    """One row without a text."""

    part: str  # of the data
    place: RowPlace
    label: str  # as it is written; empty where there is none


@dataclass(frozen=True)
class RowsWithoutText:
    """All rows without a text."""

    count: int
    first: tuple[RowWithoutText, ...]


def rows_without_text(parts: Mapping[str, ReadPart]) -> RowsWithoutText:
    """Return the rows that were left out of parts, those with labels first. The files of a part with such rows are read again.

    An empty line of a .txt file is no such row: it stands between texts.
    """
    first, count = list[RowWithoutText](), 0
    for name, part in sorted(parts.items(), key=lambda named: named[0] == "unlabelled"):
        tables = [source for source in part.inputs if Path(bare_name(Path(source.origin.name))).suffix != ".txt"]
        for row in (row for source in tables if part.skipped for row in _of(source, name)):
            count += 1
            first += [row] if count <= MAX_FIRST else []
    return RowsWithoutText(count, tuple(first))


def _of(source: OpenedSource, part: str) -> Iterator[RowWithoutText]:
    for raw in source.rows():
        labels = [None] * len(raw.texts) if raw.labels is None else raw.labels
        empty = {
            line: "" if is_missing(label) else str(label)
            for line, text, label in zip(raw.lines, raw.texts, labels, strict=True)
            if is_missing(text) or (isinstance(text, str) and not text.strip())
        }
        shown = source.shown_rows(empty) if empty else {}
        for line, label in empty.items():
            yield RowWithoutText(part, source.origin.place(shown.get(line, line)), label)
