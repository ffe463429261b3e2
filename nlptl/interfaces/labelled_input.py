"""What is to be scored: the labelled rows of a file, and their places in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nlptl.errors import ConfigError
from nlptl.interfaces.door import in_options
from nlptl.interfaces.terminal import remark

if TYPE_CHECKING:
    from nlptl.data import DataSettings
    from nlptl.data.data_settings import LabelCells
    from nlptl.data.labelled_parts import LabelledPart
    from nlptl.data.row_checks import EmptyLabel, EmptyText
    from nlptl.data.sources import OpenedSource
    from nlptl.models.classifier import TextClassifier


@dataclass(frozen=True)
class LabelledInput:
    """Labelled rows of a file, read once, and how many rows without a text were skipped."""

    part: LabelledPart
    skipped: int
    source: OpenedSource
    empty_text: EmptyText
    empty_label: EmptyLabel

    def place(self, row: int) -> str:
        """Return the place of a row of the table (from 0), such as "test.csv:17"."""
        from nlptl.data.sources import places_of_rows

        numbers = self.part.table.numbers
        number = row if numbers is None else numbers[row] - 1
        return places_of_rows(self.source, [number], empty_text=self.empty_text, empty_label=self.empty_label)[0]


def labelled_input(
    test: Path, settings: DataSettings, *, empty_text: Literal["refuse", "skip", "empty"],
    empty_label: Literal["refuse", "skip", "none"], quiet: bool,
) -> LabelledInput:  # fmt: skip
    """Return the labelled rows of --test. Rows without a text are skipped under "empty" too; they have no prediction."""
    from nlptl.data.labelled_parts import labelled_parts
    from nlptl.data.sources import load, open_source
    from nlptl.interfaces.remedies import EVALUATE_DOOR

    opened = open_source(str(test), settings=settings, labelled=True, where="--test", door=EVALUATE_DOOR)
    for sentence in () if quiet else opened.remarks:
        remark(in_options(sentence))
    without_text: EmptyText = "refuse" if empty_text == "refuse" else "skip"
    without_label: EmptyLabel = "skip" if empty_label == "skip" else "refuse"
    read, skipped = load(opened, empty_text=without_text, empty_label=without_label)
    part = labelled_parts({"test": read})[0]["test"]
    return LabelledInput(part, skipped, opened, without_text, without_label)


def label_cells(classifier: TextClassifier, separator: str | None, *, empty_is_none: bool) -> LabelCells | None:
    """Return how cells hold several labels, or None for a classifier of one. ConfigError for options that do not fit."""
    from nlptl.data.data_settings import LabelCells

    if classifier.multi_label:
        empty: Literal["missing", "no_label"] = "no_label" if empty_is_none else "missing"
        return LabelCells(separator=separator or classifier.separator, empty=empty)
    if separator is not None or empty_is_none:
        option = "--empty-label none" if separator is None else "--label-separator"
        raise ConfigError(f"{option}: belongs to texts with several labels, but RUN gives each one label. Drop it.")
    return None
