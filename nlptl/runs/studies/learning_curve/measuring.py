"""Measuring a learning curve: fits of a chain to subsets, within a time, each kept as soon as it is there."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import digest_of
from nlptl.progress import Progress
from nlptl.runs.judging.fits import Fits
from nlptl.runs.judging.judged_chain import JudgedChain
from nlptl.runs.studies.learning_curve.curve_rows import CurveRow, CurveRows, row_of
from nlptl.runs.studies.learning_curve.subsets import Subset, Subsets


class Measuring:
    """Fits of chains to the subsets of one curve."""

    def __init__(self, subsets: Subsets, rows: CurveRows, progress: Progress) -> None:
        self._subsets, self._rows, self._progress = subsets, rows, progress
        ids = {label: number for number, label in enumerate(subsets.labels)}
        self._true: NDArray[np.int64] = np.array(
            [ids[label] for label in subsets.judging.table.labels()], dtype=np.int64
        )

    def measured(self, chain: JudgedChain, fits: Fits, *, seconds: float) -> list[CurveRow]:
        """Return the rows of the fits that are kept, and of as many further ones as the time allows."""
        begin, rows, over = time.monotonic(), list[CurveRow](), False
        with self._progress.task(chain.name, total=len(self._subsets.fits), unit="fits") as task:
            for split, subset in enumerate(self._subsets.fits):
                identity = self._identity(chain, fits, split, subset)
                expected = time.monotonic() - begin + expected_seconds(rows, subset.size)
                over = over or (bool(rows) and expected > seconds)  # one fit at least
                if (row := self._rows.known(identity)) is None and not over:
                    row = self._rows.add(self._fitted(chain, fits, split, identity))
                if row is not None:
                    rows.append(row)
                task.advance(1)
        return rows

    def first_seconds(self, chain: JudgedChain, fits: Fits) -> float:
        """Return how long a fit to the smallest size takes, kept or made."""
        subsets = self._subsets
        split = min(range(len(subsets.fits)), key=lambda place: subsets.fits[place].size)
        identity = self._identity(chain, fits, split, subsets.fits[split])
        row = self._rows.known(identity) or self._rows.add(self._fitted(chain, fits, split, identity))
        return row.seconds

    def _fitted(self, chain: JudgedChain, fits: Fits, split: int, identity: str) -> CurveRow:
        if chain.stages and chain.reads_all:
            fits.shared(chain)  # whose time is no fit's
        begin = time.monotonic()
        true = self._true[self._subsets.judging.splits[split].judged]
        predicted = fits.predicted(chain, split).argmax(axis=1)
        seconds = time.monotonic() - begin
        return row_of(
            chain.kind, self._subsets.fits[split], identity, true=true, predicted=predicted, labels=len(self._subsets.labels),
            seconds=seconds,
        )  # fmt: skip

    def _identity(self, chain: JudgedChain, fits: Fits, split: int, subset: Subset) -> str:
        return digest_of([fits.identity(chain, split), subset.size, subset.draw, subset.part])


def expected_seconds(rows: Sequence[CurveRow], size: int) -> float:
    """Return about how long a fit to `size` texts takes, by the median of those of the nearest size; 0 where none is known."""
    if not rows:
        return 0.0
    near = min({row.size for row in rows}, key=lambda other: abs(other - size))
    return float(np.median([row.seconds for row in rows if row.size == near])) * max(1.0, size / near)
