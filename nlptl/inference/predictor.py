"""Predictor: what a command or a server needs of a classifier, with or without torch.

Shapes: B texts, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nlptl.inference.abstention.abstention import Abstention, PredictionSet
from nlptl.inference.abstention.conformal import SetCoverage

UNTRAINED = (
    "classifier: found a head that was never trained, whose answers say nothing of a text; expected a trained one. Run the stage "
    "finetune, and use its result."
)


class Predictor(Protocol):
    """Text → probabilities. `TextClassifier` is one; an exported classifier is another, which needs no torch."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The K names, in the order of the columns."""

    @property
    def multi_label(self) -> bool:
        """Whether a text may have several labels, or none."""

    @property
    def separator(self) -> str:
        """Sign between the labels of a text in a file's cell."""

    def check_trained(self) -> None:
        """Raise ConfigError for a head into which nothing was ever written."""

    def probabilities(
        self, texts: Sequence[str], *, after_batch: Callable[[int], None] | None = None
    ) -> NDArray[np.float64]:
        """Return probabilities (B, K)."""

    def labels_of(self, probabilities: NDArray[np.float64]) -> list[Any]:
        """Return the most probable label of each row of probabilities (B, K), or a tuple of labels where `multi_label`."""

    def checked_abstention(self, *, where: str) -> Abstention:
        """Return what prediction sets need. Raises ConfigError, which begins with `where`, where it is not there."""

    def sets_and_probabilities(
        self, texts: Sequence[str], coverage: SetCoverage, *, after_batch: Callable[[int], None] | None = None
    ) -> tuple[list[PredictionSet], NDArray[np.float64]]:
        """Return the prediction sets of texts and their probabilities (B, K), at a coverage of `checked_abstention`."""


def labels_of(
    probabilities: NDArray[np.float64], labels: Sequence[str], thresholds: Sequence[float] | None
) -> list[Any]:
    """Return the most probable of the labels (K) in each row of probabilities (B, K).

    With thresholds (K) it is a tuple of all labels whose probability reaches its threshold.
    """
    if thresholds is None:
        return [labels[place] for place in probabilities.argmax(axis=1).tolist()]
    names = np.array(labels, dtype=np.object_)
    return [tuple(names[row].tolist()) for row in probabilities >= np.array(thresholds)]
