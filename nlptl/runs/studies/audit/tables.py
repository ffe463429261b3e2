"""Tables of an audit: each finding's rows as CSV, with their places in the user's files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from nlptl.data.row_checks import RowPlace
from nlptl.disk.spreadsheets import write_csv
from nlptl.runs.studies.audit.audited_texts import AuditedTexts
from nlptl.runs.studies.audit.finding_rows import FoundRow
from nlptl.runs.studies.audit.outcome import AuditExample

MAX_ROWS = 10_000  # of a table; the worst ones
MAX_EXAMPLES = 3
MAX_CHARACTERS = 200  # of an example's text
ROW_COLUMNS = ("part", "file", "row", "label")


@dataclasses.dataclass(frozen=True)
class FindingTable:
    """Rows of one finding, which may be in groups, such as copies of one text."""

    name: str  # of the file
    columns: tuple[str, ...]  # of each row's cells, behind `ROW_COLUMNS`
    groups: Sequence[Sequence[FoundRow]]
    is_grouped: bool = False

    def rows(self) -> list[tuple[int, FoundRow]]:
        """Return the rows that are written, each with the number of its group, from 1."""
        found = [(number, one) for number, group in enumerate(self.groups, start=1) for one in group]
        return found[:MAX_ROWS]

    def write(self, folder: Path, texts: AuditedTexts, places: Mapping[int, RowPlace]) -> tuple[AuditExample, ...]:
        """Write the table, or remove an old one where there is no row, and return its first rows."""
        path, found = folder / self.name, self.rows()
        if not found:
            path.unlink(missing_ok=True)
            return ()
        header = [*(["group"] if self.is_grouped else []), *ROW_COLUMNS, *self.columns, "text"]
        lines = []
        for number, one in found:
            place = places[one.row]
            cells = (texts.part(one.row), place.file, _number(place), texts.label(one.row), *one.cells)
            lines.append([*([number] if self.is_grouped else []), *cells, texts.texts[one.row]])
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(path, header, lines)
        firsts = [group[0] for group in self.groups[:MAX_EXAMPLES] if group[0].row in places]
        return tuple(_example(texts, one, places[one.row]) for one in firsts)


def write_labels(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table of labels, or remove an old one where there is none."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, header, rows)


def _example(texts: AuditedTexts, one: FoundRow, place: RowPlace) -> AuditExample:
    text = texts.texts[one.row][:MAX_CHARACTERS]
    return AuditExample(file=place.file, row=place.number, text=text, label=texts.label(one.row), detail=one.detail)


def _number(place: RowPlace) -> object:
    return "" if place.number is None else place.number
