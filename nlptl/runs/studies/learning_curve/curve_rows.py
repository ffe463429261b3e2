"""Rows of a learning curve: what each fit gets right, a line of a file each. Shapes: K labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nlptl.config import Config
from nlptl.disk.drafts import append_lines, write_text_atomically
from nlptl.results import read_result_lines, result_lines
from nlptl.runs.judging.fit_rows import Seconds
from nlptl.runs.studies.learning_curve.subsets import Subset

Count = Annotated[int, Field(ge=0, le=10**9, strict=True)]


class CurveRow(Config):
    """What one fit of a curve gets right among its judged rows, label by label: all that its scores need."""

    arm: str  # which chain
    identity: str  # of all that shapes the fit
    size: Count  # distinct texts learnt
    draw: Count
    part: Count
    seconds: Seconds
    judged: tuple[Count, ...]  # (K,) judged rows of each label
    predicted: tuple[Count, ...]  # (K,) how often each label was predicted
    right: tuple[Count, ...]  # (K,) of these, how often rightly

    def counts(self) -> NDArray[np.int64]:
        """Return judged, predicted and right (3, K)."""
        return np.array([self.judged, self.predicted, self.right], dtype=np.int64)


def row_of(
    arm: str, subset: Subset, identity: str, *, true: NDArray[np.int64], predicted: NDArray[np.int64], labels: int,
    seconds: float,
) -> CurveRow:  # fmt: skip
    """Return the row of a fit by the label ids of its judged rows."""

    def counted(ids: NDArray[np.int64]) -> tuple[int, ...]:
        return tuple(np.bincount(ids, minlength=labels).tolist())

    return CurveRow(
        arm=arm, identity=identity, size=subset.size, draw=subset.draw, part=subset.part, seconds=round(seconds, 3),
        judged=counted(true), predicted=counted(predicted), right=counted(true[true == predicted]),
    )  # fmt: skip


class CurveRows:
    """File of rows, which a kill cuts by one at most. Lines of other data and settings stay for later calls."""

    def __init__(self, path: Path | None) -> None:
        """Read the whole lines of the file; without a path nothing is kept."""
        self._path = path
        self._known = {} if path is None else {row.identity: row for row in _read(path)}

    def known(self, identity: str) -> CurveRow | None:
        """Return the row of a fit, if the file has it."""
        return self._known.get(identity)

    def add(self, row: CurveRow) -> CurveRow:
        """Add a row to the file, and return it."""
        if self._path is not None:
            append_lines(self._path, result_lines([row]))
        self._known[row.identity] = row
        return row


def _read(path: Path) -> list[CurveRow]:
    rows, _ = read_result_lines(path, CurveRow)
    if path.is_file():
        write_text_atomically(path, result_lines(rows))  # without a line that a kill has cut off
    return rows
