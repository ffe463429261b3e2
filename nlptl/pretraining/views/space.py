"""Space of a view: centre, leading directions and scale of its vectors over the pile.

Shapes: P texts of the pile, D dimension before, R dimension after.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPACE_TEXTS = 50_000  # of the pile that are measured; more change a mean and a covariance little
POWER = 0.25
"""Exponent of the eigenvalues that divide the directions. 0 leaves the few loudest directions alone to speak, 0.5 makes all of
them as loud as the noise; heads on few labels do best in between."""
LEAST_SHARE = 1e-9  # of the largest eigenvalue, below which a direction holds rounding errors


@dataclasses.dataclass(frozen=True)
class Space:
    """y = (x - centre) @ matrix."""

    centre: NDArray[np.float32]  # (D,)
    matrix: NDArray[np.float32]  # (D, R)


def space_of(vectors: NDArray[Any], *, dim: int, length: float = 1.0) -> Space:
    """Return the space of vectors (P, D): their leading directions, `dim` at most, with vectors of mean `length` there.

    Raises ValueError if no two vectors differ.
    """
    centre = vectors.mean(axis=0, dtype=np.float64)
    centred = vectors - centre
    values, directions = np.linalg.eigh(centred.T @ centred / len(vectors))
    values, directions = values[::-1][:dim], directions[:, ::-1][:, :dim]
    told = values > max(values[0] * LEAST_SHARE, np.finfo(np.float32).tiny)
    if not told.any():
        raise ValueError("no two vectors differ")
    matrix = directions[:, told] * values[told] ** -POWER
    matrix *= np.sign(matrix[np.abs(matrix).argmax(axis=0), np.arange(matrix.shape[1])])  # else the library's choice
    matrix *= length / np.linalg.norm(centred @ matrix, axis=1).mean()
    return Space(centre.astype(np.float32), matrix.astype(np.float32))
