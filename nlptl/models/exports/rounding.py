"""Rounding of weights to int8."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INT8_MAX, MIN_SIZE = 127, 1e-12  # largest number of int8; largest absolute number of a row, at least

Floats = NDArray[np.float32]


def int8_rows(table: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Return the rows of a table as int8 from -127 to 127, and the scale of each."""
    scales = np.maximum(np.abs(table).max(axis=1), MIN_SIZE) / INT8_MAX
    return np.round(table / scales[:, None]).astype(np.int8), scales.astype(np.float32)
