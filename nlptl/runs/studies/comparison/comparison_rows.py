"""Rows of a comparison: what an arm predicted for one test under one seed and what that cost, a line of a file each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nlptl.config import Config
from nlptl.runs.studies.comparison.arm_costs import ArmCost


class ComparisonRow(Config):
    """A row of comparison.jsonl: one trial on one test."""

    arm: str
    seed: int
    test: str
    accuracy: float
    texts: str  # digest of the test
    correct: str = Field(pattern="^[01]+$")  # 1 for each text whose label was predicted, 0 for each other
    identity: str  # of the trial
    predicted: list[int] | None = None  # label ids, -1 for one that the tests lack; None in files of earlier versions
    cost: ArmCost | None = None  # of the trial's training

    @property
    def key(self) -> tuple[str, int, str]:
        """What tells a row from others: trial, seed and test."""
        return self.identity, self.seed, self.test

    def hits(self) -> NDArray[np.float64]:
        """Return 1 or 0 for each text of the test."""
        return np.array([int(bit) for bit in self.correct], dtype=float)
