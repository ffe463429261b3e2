"""From files that a person has to the settings that read them, and the data that they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nlptl.data.columns import Column, names_shown
from nlptl.data.data_settings import DataSettings, FileSource
from nlptl.data.discovery.column_choice import (
    Choose,
    ChosenColumn,
    ChosenTexts,
    NoLabels,
    choose_label,
    choose_text,
)
from nlptl.data.discovery.seen_files import SeenFiles, folder_sentence, look_at_files
from nlptl.data.discovery.seen_table import SeenTable, joined_tables
from nlptl.data.load import LoadedData, load_parts
from nlptl.data.report import DataReport
from nlptl.data.row_checks import RowPlace
from nlptl.data.text_data import TextData
from nlptl.errors import DataError
from nlptl.progress import Progress

_WHERE = "data"


@dataclass(frozen=True)
class Discovery:
    """Files that were found to hold texts and labels: the settings that read them, their data, and how they were taken."""

    settings: DataSettings
    data: TextData
    report: DataReport
    taken_as: tuple[str, ...]  # sentences for a person
    loaded: LoadedData = field(repr=False)

    def places(self, part: str, rows: Sequence[int]) -> list[RowPlace]:
        """Return where rows (from 0) of a part of the data stand in the files. The files are read again."""
        return self.loaded.places(part, rows)


def discover(
    files: Sequence[Path], *, text: Column | Sequence[Column] | None = None, label: Column | None = None,
    unlabelled: Sequence[Path] = (), test: Path | None = None, choose: Choose | None = None,
    progress: Progress | None = None,
) -> Discovery:  # fmt: skip
    """Find texts and labels in files and folders, and read them. Rows without a label become the pile.

    Several columns of `text` are joined. `choose` answers a question with the name of a column; without it, a question is an
    error. Raises DataError.
    """
    settings, taken_as = discover_settings(
        files, text=text, label=label, unlabelled=unlabelled, test=test, choose=choose
    )
    loaded = load_parts(settings, seed=0, where=_WHERE, progress=progress)
    return Discovery(settings, loaded.data, loaded.report, tuple(taken_as), loaded)


def discover_settings(
    files: Sequence[Path], *, text: Column | Sequence[Column] | None = None, label: Column | None = None,
    unlabelled: Sequence[Path] = (), test: Path | None = None, choose: Choose | None = None, few_labels: bool = False,
) -> tuple[DataSettings, list[str]]:  # fmt: skip
    """Return the settings that read files, and sentences on how these were taken. Raises DataError.

    `few_labels` lets labels pass of which no classifier learns: one alone, or those of a few rows.
    """
    seen = look_at_files(files, where="FILE")
    found = _Found(text, label, choose, few_labels)
    found.add_labelled(seen)
    found.add_unlabelled(look_at_files(unlabelled, where="--unlabelled"))
    if test is not None:
        found.add_test(look_at_files([test], where="--test"))
    return found.settings(), found.taken_as


def discover_pile_settings(
    files: Sequence[Path], *, text: Column | Sequence[Column] | None = None, choose: Choose | None = None
) -> tuple[DataSettings, list[str]]:
    """Return the settings that read the texts of files without their labels, and how these were taken. Raises DataError."""
    found = _Found(text, None, choose)
    found.add_unlabelled(look_at_files(files, where="FILE"))
    return found.settings(), found.taken_as


@dataclass
class _Found:
    """Sources that were found so far."""

    text: Column | Sequence[Column] | None
    label: Column | None
    choose: Choose | None
    few_labels: bool = False
    texts: ChosenTexts | None = None  # of the labelled tables
    labels: ChosenColumn | None = None
    labelled: list[str | FileSource] = field(default_factory=list)
    unlabelled: list[str | FileSource] = field(default_factory=list)
    test: str | FileSource | None = None
    taken_as: list[str] = field(default_factory=list)

    def add_labelled(self, seen: SeenFiles) -> None:
        """Add the files that hold the labels; .txt files and folders without labels join the pile."""
        if not seen.tables and not seen.labelled_folders:
            names = [*map(str, seen.lines), *(str(folder.path) for folder in seen.folders)]
            if not names:
                raise DataError("found no file; expected one with texts and labels. Name it.")
            raise NoLabels(
                f"found texts without labels in {names_shown(names)}; expected labels too. Give a table with a column of labels, "
                "or a folder that holds a folder of .txt files for each label."
            )
        if seen.tables:
            together = joined_tables(seen.tables)
            self.texts = choose_text(together, self.text, self.choose)
            self.labels = choose_label(together, self.texts, self.label, self.choose, few_labels=self.few_labels)
        for table in seen.tables:
            self.labelled.append(table.source())
            self._tell(table, self.texts, self.labels)
        for folder in seen.labelled_folders:
            self.labelled.append(str(folder.path))
            self.taken_as.append(folder_sentence(folder, labelled=True))
        for kind, chosen in (("text", self.texts), ("label", self.labels)):
            if chosen is not None and chosen.why:
                self.taken_as.append(
                    f"The {kind}s are in {chosen.named}: {chosen.why}. `--{kind}` names another column."
                )
        self._add_plain(seen)

    def add_unlabelled(self, seen: SeenFiles) -> None:
        """Add files that hold the pile, whatever else they hold."""
        for table in seen.tables:
            same = None if self.texts is None else self._same(table, self.texts)
            texts = same or choose_text(table, self.text if self.texts is None else None, self.choose)
            usual = None if self.texts is None else self.texts.key
            self.unlabelled.append(table.source(**({} if texts.key == usual else {"text": texts.key})))
            self._tell(table, texts, None)
        for folder in seen.labelled_folders:
            self.unlabelled.append(str(folder.path))
            self.taken_as.append(folder_sentence(folder, labelled=False))
        self._add_plain(seen)

    def add_test(self, seen: SeenFiles) -> None:
        """Add the file that holds the test."""
        for table in seen.tables:
            texts = (None if self.texts is None else self._same(table, self.texts)) or choose_text(
                table, None, self.choose
            )
            same = None if self.labels is None else table.column(self.labels.column.key)
            labels = (
                choose_label(table, texts, None, self.choose, few_labels=self.few_labels)
                if same is None
                else ChosenColumn(same)
            )
            given = {"text": texts.key} if self.texts is None or texts.key != self.texts.key else {}
            if self.labels is None or labels.column.key != self.labels.column.key:
                given["label"] = labels.column.key
            self.test = table.source(**given)
            self._tell(table, texts, labels)
        for folder in seen.labelled_folders:
            self.test = str(folder.path)
            self.taken_as.append(folder_sentence(folder, labelled=True))
        for path in (*seen.lines, *(folder.path for folder in seen.folders)):
            raise DataError(
                f"--test: {path} has no labels; expected texts with their labels. Give a table with a column of labels, or leave "
                "out `--test`."
            )

    def settings(self) -> DataSettings:
        """Return the settings that read all sources."""
        given: dict[str, Any] = {}
        for name, sources in (("labelled", self.labelled), ("unlabelled", self.unlabelled)):
            given |= {name: sources if len(sources) > 1 else sources[0]} if sources else {}
        given |= {} if self.test is None else {"test": self.test}
        given |= {} if self.texts is None else {"text_column": self.texts.key}
        given |= {} if self.labels is None else {"label_column": self.labels.column.key}
        return DataSettings(**given, empty_label="unlabelled", empty_text="skip")

    def _same(self, table: SeenTable, texts: ChosenTexts) -> ChosenTexts | None:
        """Return the columns of the labelled tables' texts in another table; None if one is missing."""
        columns = [table.column(column.key) for column in texts.columns]
        found = tuple(column for column in columns if column is not None)
        return ChosenTexts(found) if len(found) == len(columns) else None

    def _add_plain(self, seen: SeenFiles) -> None:
        for path in seen.lines:
            self.unlabelled.append(str(path))
            self.taken_as.append(f"{path}: a text on each line, without a label.")
        for folder in seen.folders:
            self.unlabelled.append(str(folder.path))
            self.taken_as.append(folder_sentence(folder, labelled=False))

    def _tell(self, table: SeenTable, texts: ChosenTexts | None, labels: ChosenColumn | None) -> None:
        columns = [f"{kind}s in {chosen.named}" for kind, chosen in (("text", texts), ("label", labels)) if chosen]
        self.taken_as.append(f"{table.path}: {', '.join(part for part in (*table.described(), *columns))}.")
