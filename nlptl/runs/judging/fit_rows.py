"""Rows of fits: what each fit predicts for its held-out texts, a line of a file each.

Shapes: J judged rows, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nlptl.config import Config
from nlptl.disk.drafts import append_lines, write_text_atomically
from nlptl.results import read_result_lines, result_lines
from nlptl.runs.judging.splits import Judging

DIGITS = 6  # of probabilities in the file

Floats = NDArray[np.float64]

Seconds = Annotated[float, Field(ge=0, le=1e9)]


class FitRow(Config):
    """What one fit predicts for its held-out texts."""

    candidate: str  # kind
    split: Annotated[int, Field(ge=-1, le=10**6, strict=True)]  # -1: of no split
    identity: str
    seconds: Seconds  # of one training
    probabilities: list[list[float]]  # a list a held-out row, in the order of the labels

    def predictions(self) -> Floats:
        """Return the probabilities as an array."""
        return np.asarray(self.probabilities, dtype=np.float64)


class FitRows:
    """File of rows, which a kill cuts by one at most, and the rows that were asked for or added."""

    def __init__(self, path: Path | None) -> None:
        """Read the whole rows of the file, if there is one. A line that a kill has cut off is dropped."""
        self._path = path
        self._rows = [] if path is None else _read(path)
        self._used: list[FitRow] = []

    def known(self, identity: str, split: int) -> FitRow | None:
        """Return the row of a fit, if the file has it."""
        return next((row for row in self._rows if (row.identity, row.split) == (identity, split)), None)

    def use(self, row: FitRow) -> FitRow:
        """Mark a row as one that is still wanted, and return it."""
        self._used.append(row)
        return row

    def add(self, row: FitRow) -> FitRow:
        """Add a row to the file, and return it."""
        if self._path is not None:
            append_lines(self._path, result_lines([row]))
        self._rows.append(row)
        return self.use(row)

    def keep_used(self, *, but_split: int | None = None) -> None:
        """Remove from the file what nobody asked for, and rows of the split `but_split`."""
        if self._path is not None:
            write_text_atomically(self._path, result_lines(row for row in self._used if row.split != but_split))


def held_out_probabilities(rows: Sequence[FitRow], judging: Judging, *, label_count: int) -> tuple[Floats, Floats]:
    """Return the mean probabilities (J, K) of each judged row over the repeats, and how many fits (J,) held it out."""
    sums, counts = np.zeros((len(judging.table), label_count)), np.zeros(len(judging.table))
    for row in rows:
        judged = judging.splits[row.split].judged
        sums[judged] += row.predictions()
        counts[judged] += 1
    return sums / np.maximum(counts, 1)[:, None], counts


def _read(path: Path) -> list[FitRow]:
    rows, _ = read_result_lines(path, FitRow)
    if path.is_file():
        write_text_atomically(path, result_lines(rows))  # without a line that a kill has cut off
    return rows
