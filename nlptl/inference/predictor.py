"""Predictor: what a command or a server needs of a classifier, with or without torch.

Shapes: B texts, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Predictor(Protocol):
    """Text → probabilities. `TextClassifier` is one; an exported classifier is another, which needs no torch."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The K names, in the order of the columns."""

    @property
    def multi_label(self) -> bool:
        """Whether a text may have several labels, or none."""

    def check_trained(self) -> None:
        """Raise ConfigError for a head into which nothing was ever written."""

    def probabilities(
        self, texts: Sequence[str], *, after_batch: Callable[[int], None] | None = None
    ) -> NDArray[np.float64]:
        """Return probabilities (B, K)."""

    def labels_of(self, probabilities: NDArray[np.float64]) -> list[Any]:
        """Return the most probable label of each row of probabilities (B, K), or a tuple of labels where `multi_label`."""
