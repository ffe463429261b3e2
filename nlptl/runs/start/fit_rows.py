"""Rows of judged.jsonl: what each fit predicts for its held-out texts.

Shapes: J judged rows, K labels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nlptl.config import Config
from nlptl.disk.drafts import append_lines, write_text_atomically
from nlptl.errors import ConfigError
from nlptl.results import read_result_line, result_line
from nlptl.runs.start.judging import Judging
from nlptl.runs.start.outcome import Seconds

ROWS = "judged.jsonl"
DIGITS = 6  # of probabilities in the file

Floats = NDArray[np.float64]

BEFORE = -1  # split of the row that holds what an earlier call's classifier says of the judged texts


class FitRow(Config):
    """A row of judged.jsonl: what one fit predicts for its held-out texts."""

    candidate: str  # kind
    split: Annotated[int, Field(ge=BEFORE, le=10**6, strict=True)]
    identity: str
    seconds: Seconds  # of one training; of answers: how many labelled texts are new
    probabilities: list[list[float]]  # a list a held-out row, in the order of the labels

    def predictions(self) -> Floats:
        """Return the probabilities as an array."""
        return np.asarray(self.probabilities, dtype=np.float64)


def read_rows(path: Path) -> list[FitRow]:
    """Return the whole rows of the file. A line that a kill has cut off is dropped."""
    rows: list[FitRow] = []
    if not path.is_file():
        return rows
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        with contextlib.suppress(ConfigError):
            if line and (found := read_result_line(line)) is not None:
                rows.append(FitRow.model_validate(found))
    write_rows(path, rows)
    return rows


def write_rows(path: Path, rows: Sequence[FitRow]) -> None:
    """Replace the file by these rows."""
    write_text_atomically(path, "".join(result_line(row.model_dump()) + "\n" for row in rows))


def append_row(path: Path, row: FitRow) -> None:
    """Add a row to the file."""
    append_lines(path, result_line(row.model_dump()) + "\n")


def held_out_probabilities(rows: Sequence[FitRow], judging: Judging, *, label_count: int) -> tuple[Floats, Floats]:
    """Return the mean probabilities (J, K) of each judged row over the repeats, and how many fits (J,) held it out."""
    sums, counts = np.zeros((len(judging.table), label_count)), np.zeros(len(judging.table))
    for row in rows:
        judged = judging.splits[row.split].judged
        sums[judged] += row.predictions()
        counts[judged] += 1
    return sums / np.maximum(counts, 1)[:, None], counts
