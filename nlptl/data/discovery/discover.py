"""From files that a person has to the settings that read them, and the data that they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlptl.data.columns import Column, names_shown
from nlptl.data.data_settings import DataSettings, FileSource
from nlptl.data.discovery.column_choice import Choose, ChosenColumn, choose_label, choose_text
from nlptl.data.discovery.seen_table import SeenTable, look_at
from nlptl.data.load import LoadedData, load_parts
from nlptl.data.report import DataReport
from nlptl.data.row_checks import RowPlace
from nlptl.data.text_data import TextData
from nlptl.errors import DataError
from nlptl.faults import shown
from nlptl.progress import Progress

_WHERE = "data"


@dataclass(frozen=True)
class Discovery:
    """Files that were found to hold texts and labels: the settings that read them, their data, and how they were taken."""

    settings: DataSettings
    data: TextData
    report: DataReport
    taken_as: tuple[str, ...]  # sentences for a person
    loaded: LoadedData

    def places(self, part: str, rows: Sequence[int]) -> list[RowPlace]:
        """Return where rows (from 0) of a part of the data stand in the files. The files are read again."""
        return self.loaded.places(part, rows)


def discover(
    files: Sequence[Path], *, text: Column | None = None, label: Column | None = None, unlabelled: Sequence[Path] = (),
    test: Path | None = None, choose: Choose | None = None, progress: Progress | None = None,
) -> Discovery:  # fmt: skip
    """Find the columns of texts and labels in files, and read them. Rows without a label become the pile.

    `choose` answers a question with the name of a column; without it, a question is an error. Raises DataError.
    """
    settings, taken_as = discover_settings(
        files, text=text, label=label, unlabelled=unlabelled, test=test, choose=choose
    )
    loaded = load_parts(settings, seed=0, where=_WHERE, progress=progress)
    return Discovery(settings, loaded.data, loaded.report, tuple(taken_as), loaded)


def discover_settings(
    files: Sequence[Path], *, text: Column | None = None, label: Column | None = None, unlabelled: Sequence[Path] = (),
    test: Path | None = None, choose: Choose | None = None,
) -> tuple[DataSettings, list[str]]:  # fmt: skip
    """Return the settings that read files, and sentences on how these were taken. Raises DataError."""
    if not files:
        raise DataError("found no file; expected one with texts and labels. Name it.")
    tables = [look_at(path) for path in files]
    first = tables[0]
    _check_same_columns(tables)
    texts = choose_text(first, text, choose)
    labels = choose_label(first, texts.column, label, choose)
    columns = {"text_column": texts.column.key, "label_column": labels.column.key}
    sources: list[str | FileSource] = [table.source() for table in tables]
    given: dict[str, Any] = {
        **columns, "labelled": sources[0] if len(sources) == 1 else sources, "empty_label": "unlabelled", "empty_text": "skip",
    }  # fmt: skip
    taken_as = [_taken(table, texts, labels) for table in tables]
    taken_as += _reasons(texts, labels)
    return DataSettings(**given), taken_as


def _check_same_columns(tables: Sequence[SeenTable]) -> None:
    first = tables[0]
    wanted = {str(column.key) for column in first.columns}
    for table in tables[1:]:
        found = {str(column.key) for column in table.columns}
        if found != wanted:
            raise DataError(
                f"{table.path}: found the columns {names_shown(sorted(found))}; expected those of {first.path}, "
                f"{names_shown(sorted(wanted))}. Rename the columns, or give the file to another run."
            )


def _taken(table: SeenTable, texts: ChosenColumn, labels: ChosenColumn) -> str:
    how = "".join(f"{part}, " for part in table.described()).removesuffix(", ")
    columns = f"texts in column {shown(texts.column.key)}, labels in column {shown(labels.column.key)}"
    return f"{table.path}: {how}{'; ' if how else ''}{columns}."


def _reasons(texts: ChosenColumn, labels: ChosenColumn) -> list[str]:
    return [
        f"The {kind}s are taken from {shown(chosen.column.key)}: {chosen.why}. Another column is named with `--{kind}`."
        for kind, chosen in (("text", texts), ("label", labels))
        if chosen.why
    ]
