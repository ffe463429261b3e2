"""Labelled rows whose label the held-out prediction contradicts.

Shapes: n labelled rows, K labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_SHARE, MIN_ROWS, MAX_ROWS = 0.1, 10, 100  # of the labelled rows, that are told
MIN_LEAD = 0.3  # of the predicted label over the given one, below which the prediction says little

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Suspect:
    """One labelled row whose label may be wrong."""

    row: int
    predicted: int  # label
    own: float  # probability of its label
    other: float  # probability of the predicted one


def suspects(probabilities: Floats, labels: Sequence[int]) -> list[Suspect]:
    """Return the rows whose held-out probabilities (n, K) speak most against their label, the clearest first.

    A row of NaN was never held out.
    """
    found = []
    for row, (given, label) in enumerate(zip(probabilities, labels, strict=True)):
        if np.isnan(given).any():
            continue
        predicted = int(given.argmax())
        if predicted != label and given[predicted] - given[label] >= MIN_LEAD:
            found.append(Suspect(row, predicted, float(given[label]), float(given[predicted])))
    return sorted(found, key=lambda one: one.own - one.other)


def most_told(rows: int) -> int:
    """Return how many suspects of so many labelled rows are told: a tenth, at least 10 and at most 100."""
    return max(MIN_ROWS, min(MAX_ROWS, round(MAX_SHARE * rows)))
