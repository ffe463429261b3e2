"""Labelled rows that a refresh is given: read as the run's own files or as `nlptl start` reads them, with their places."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.artifact import digest_of
from nlptl.data import DataSettings
from nlptl.data.columns import names_shown
from nlptl.data.discovery import discover_settings
from nlptl.data.labelled_parts import spelt_as
from nlptl.data.load import LoadedData, load_parts
from nlptl.data.row_checks import RowPlace
from nlptl.data.rows_without_text import rows_without_text
from nlptl.data.sources import open_source
from nlptl.errors import DataError, NlptlError

if TYPE_CHECKING:
    from nlptl.data import TextTable
    from nlptl.data.columns import Column
    from nlptl.data.discovery import Choose

WHERE = "--labelled"
LAYOUT = ("delimiter", "quoting", "encoding", "header", "sheet")  # settings of files that may be others than the run's


@dataclasses.dataclass(frozen=True)
class IncompleteRow:
    """Row without a text or without a label, which nothing can be learnt from."""

    place: RowPlace
    text: str
    label: str


@dataclasses.dataclass(frozen=True)
class GivenRows:
    """Rows with a text and a label, and those that lack one."""

    table: TextTable
    places: tuple[RowPlace, ...]  # of the rows of the table
    incomplete: tuple[IncompleteRow, ...]
    taken_as: tuple[str, ...]  # sentences on how the files are read

    @property
    def digest(self) -> str:
        """Digest of the texts and labels in order."""
        return self.table.digest

    @classmethod
    def read(
        cls, files: Sequence[Path], *, run: DataSettings, labels: Sequence[str], new_labels: bool = False,
        text: Column | None = None, label: Column | None = None, choose: Choose | None = None,
    ) -> GivenRows:  # fmt: skip
        """Read files. Raises DataError for labels that are not among `labels`, unless `new_labels` permits them."""
        settings, taken_as = _settings(files, run=run, text=text, label=label, choose=choose)
        loaded = load_parts(settings, seed=0, where=WHERE, one_label=True)
        table = loaded.data.labelled
        assert table is not None
        if table.has_label_sets:
            raise DataError(f"{table.name}: its rows have lists of labels; expected one label a text, as the run has.")
        table = spelt_as(table, labels)
        if not new_labels:
            _check_known(table, labels)
        places = loaded.places("labelled", list(range(len(table))))
        return cls(table, tuple(places), tuple(_incomplete(loaded)), tuple(taken_as))

    def key(self, *, made_from: str) -> str:
        """Return a digest by which the same rows for the same classifier are known again."""
        return digest_of([self.digest, made_from])


def _settings(
    files: Sequence[Path], *, run: DataSettings, text: Column | None, label: Column | None, choose: Choose | None
) -> tuple[DataSettings, list[str]]:
    """Return the settings that read files by the run's columns, where they have them; else by what they hold."""
    if text is None and label is None:
        own = {"text_column": run.text_column, "label_column": run.label_column}
        given = {**own, "labelled": list(map(str, files)), "empty_text": "skip", "empty_label": "unlabelled"}
        for more in ({}, {name: getattr(run, name) for name in LAYOUT}):
            try:
                settings = DataSettings.model_validate(given | more)
                for file in files:
                    opened = open_source(str(file), settings=settings, labelled=True, where=WHERE)
                    if not opened.names:  # rows of .jsonl name their columns
                        next(iter(opened.rows()), None)
            except (NlptlError, OSError):
                continue
            return settings, []
    try:
        settings, taken_as = discover_settings(files, text=text, label=label, choose=choose, few_labels=True)
    except DataError as error:
        raise DataError([_in_own_options(fault) for fault in error.faults]) from None
    return settings, [_in_own_options(sentence) for sentence in taken_as]


def _in_own_options(sentence: str) -> str:
    """Return a sentence of `nlptl start` with the options of `nlptl refresh`."""
    return re.sub(r"`--(text|label)`", r"`--\1-column`", re.sub("^FILE: ", f"{WHERE}: ", sentence))


def _check_known(table: TextTable, labels: Sequence[str]) -> None:
    counts = table.label_counts()
    unknown = sorted(label for label in counts if label not in labels)
    if unknown:
        rows = sum(counts[label] for label in unknown)
        raise DataError(
            f"{table.name}: {rows:,} row{'s have' if rows != 1 else ' has'} the label {names_shown(unknown)}, which the run does "
            f"not know; expected {names_shown(sorted(labels))}. Correct them, or add --new-labels to teach it new ones."
        )


def _incomplete(loaded: LoadedData) -> list[IncompleteRow]:
    """Return the rows without a text, then those without a label."""
    found = [
        IncompleteRow(one.place, "", one.label)
        for one in rows_without_text({"labelled": loaded.parts["labelled"]}).first
    ]
    rest = loaded.data.unlabelled
    if rest is not None:
        places = loaded.places("unlabelled", list(range(len(rest))))
        found += [IncompleteRow(place, text, "") for place, text in zip(places, rest.texts(), strict=True)]
    return found
