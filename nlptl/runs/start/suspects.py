"""Labelled rows whose label the held-out prediction contradicts.

Shapes: n labelled rows, K labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_SUSPECTS = 100
MIN_LEAD = 0.1  # of the predicted label over the given one, below which the prediction says nothing

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
    return sorted(found, key=lambda one: one.own - one.other)[:MAX_SUSPECTS]
