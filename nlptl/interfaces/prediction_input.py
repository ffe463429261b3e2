"""What is to be predicted: one text, a file or the lines of stdin, as batches of rows with the columns to keep."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nlptl.interfaces.standard_input import Lines, lines_in_batches

if TYPE_CHECKING:
    from nlptl.data import DataSettings
    from nlptl.data.row_checks import Origin, RawRows

EmptyText = Literal["refuse", "skip", "empty"]


@dataclass(frozen=True)
class Rows:
    """Batch of rows: their texts, None where there is none, and what is kept of each."""

    texts: Sequence[str | None]
    kept: Sequence[Sequence[object]]


@dataclass
class WithoutText:
    """Rows without a text that were met so far, told at the end."""

    count: int = 0
    first: str = ""  # place of the first one

    def add(self, place: str) -> None:
        """Count one."""
        self.first = self.first or place
        self.count += 1


@dataclass(frozen=True)
class PredictionInput:
    """Rows to predict. `kept` names the columns that are kept; `total` is the number of texts, if known."""

    kept: tuple[str, ...]
    batches: Iterator[Rows]
    total: int | None = None
    without_text: WithoutText = field(default_factory=WithoutText)


def one_text(text: str) -> PredictionInput:
    """Return one text as input."""
    return PredictionInput(("text",), iter([Rows([text], [(text,)])]), total=1)


def from_stdin(*, empty_text: EmptyText) -> PredictionInput:
    """Return the lines of stdin as input. A line without a text gets no prediction, unless `skip` leaves it out."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    without_text = WithoutText()

    def rows(lines: Lines) -> Rows:
        for number, text in enumerate(lines.texts, lines.first):
            if not text.strip():
                without_text.add(f"stdin:{number}")
        kept = [text for text in lines.texts if text.strip() or empty_text != "skip"]
        return Rows([text if text.strip() else None for text in kept], [(text,) for text in kept])

    return PredictionInput(("text",), map(rows, lines_in_batches(sys.stdin)), without_text=without_text)


def from_file(
    path: Path, *, settings: DataSettings, empty_text: EmptyText, keep: tuple[str, ...] | None
) -> PredictionInput:
    """Return the rows of a file as input, all of them checked. DataError names the first row that cannot be predicted.

    A pipe can be read only once; its rows are held in memory.
    """
    from nlptl.data.sources import open_source

    opened = open_source(str(path), settings=settings, labelled=False, where="--file")
    read: Callable[[], Iterator[RawRows]] = opened.rows
    if not path.is_file():
        held = list(opened.rows())
        read = partial(iter, held)
    without_text, total = WithoutText(), 0
    for rows in _checked(read(), opened.origin, empty_text, without_text):
        total += len(rows.texts)
    batches = _checked(read(), opened.origin, empty_text, WithoutText())
    return PredictionInput(("text",), batches, total, without_text)


def _checked(
    found: Iterator[RawRows], origin: Origin, empty_text: EmptyText, without_text: WithoutText
) -> Iterator[Rows]:
    from nlptl.data.row_checks import RawRows, check_rows
    from nlptl.data.table import arrow_batch

    for raw in found:
        filled = [place for place, text in enumerate(raw.texts) if not _is_empty(text)]
        if len(filled) < len(raw.texts) and empty_text != "refuse":
            for place in sorted(set(range(len(raw.texts))) - set(filled)):
                without_text.add(origin.at(raw.lines[place]))
            chosen = RawRows([raw.lines[place] for place in filled], [raw.texts[place] for place in filled], None)
        else:
            chosen = RawRows(raw.lines, raw.texts, None)
        checked = arrow_batch(check_rows(chosen, origin=origin, empty_text="refuse"), origin).column("text").to_pylist()
        texts: list[str | None] = [None] * len(raw.texts) if empty_text == "empty" else checked
        if empty_text == "empty":
            for place, text in zip(filled, checked, strict=True):
                texts[place] = text
        yield Rows(texts, [(text,) for text in texts])


def _is_empty(text: object) -> bool:
    return text is None or text != text or (isinstance(text, str) and not text.strip())
