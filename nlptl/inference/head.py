"""A classifier's head in NumPy; `nlptl.models.heads` has it in torch, where it learns.

Shapes: B texts, D dimension, H hidden units, K labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlptl.inference.settings_files import HeadSettings

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ArrayHead:
    """Logits and probabilities of sentence vectors; `nlptl.models.heads.Head` gives the formula."""

    settings: HeadSettings
    arrays: Mapping[str, Any]

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ValueError unless the arrays have these shapes."""
        found = {name: tuple(array.shape) for name, array in self.arrays.items()}
        if found != dict(shapes):
            raise ValueError("arrays of other shapes")

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was ever written into it."""
        learnt = any(array.ndim == 1 and array.any() for array in self.arrays.values())
        return not (self.settings.trained or learnt or (not self.settings.hidden and self.last[0].any()))

    def probabilities(self, vectors: Floats) -> NDArray[np.float64]:
        """Return probabilities (B, K) of sentence vectors (B, D)."""
        return self.probabilities_of(self.logits(vectors).astype(np.float64))

    def probabilities_of(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities (B, K) of logits (B, K)."""
        if self.settings.thresholds is not None:
            return 1 / (1 + np.exp(-logits))
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def logits(self, vectors: Floats) -> Floats:
        """Return logits (B, K) of sentence vectors (B, D)."""
        rows = (vectors - self.arrays["centre"]) / self.arrays["scale"]
        if self.settings.hidden:
            wide = rows @ self.arrays["layers.0.weight"].T + self.arrays["layers.0.bias"]
            rows = 1 / (1 + np.exp(-wide)) if self.settings.activation == "sigmoid" else gelu(wide)
        weight, bias = self.last
        return np.asarray(rows @ weight.T + bias, np.float32)

    @property
    def last_weight(self) -> Floats:
        """Weight (K, D) of the layer that gives the logits, or (K, H) under a hidden layer."""
        return self.last[0]

    @property
    def last(self) -> tuple[Floats, Floats]:
        """Weight and bias (K,) of the layer that gives the logits."""
        name = f"layers.{3 if self.settings.hidden else 1}"
        return self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"]


def gelu(rows: Floats) -> Floats:
    """Return x Φ(x), with the error function of Abramowitz & Stegun (1964), 7.1.26: off by 1.5e-7 at most."""
    size = np.abs(rows) * 0.5**0.5
    t = 1 / (1 + 0.3275911 * size)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    error = np.sign(rows) * (1 - series * np.exp(-size * size))
    return np.asarray(0.5 * rows * (1 + error), np.float32)
