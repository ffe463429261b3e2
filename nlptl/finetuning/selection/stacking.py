"""A classifier and the words together: a product of both, with weights that held-out texts choose.

Shapes: N scored texts, K labels.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlptl.evaluation.calibration import corrected_temperature, log_losses

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0)  # of the words, relative to the classifier
PARTS = 5  # in turn, one is scored and the others choose the weight


@dataclasses.dataclass(frozen=True)
class Stacking:
    """Log-probabilities of held-out texts, those of the words among them where they help."""

    own: Tensor  # (N, K) log-probabilities of the classifier alone
    logits: Tensor  # (N, K) with the words, or as they were
    words_weight: float = 0.0

    def scores(self) -> NDArray[np.float64]:
        """Return what the labels are scored by (N, K)."""
        return self.logits.numpy()

    def temperature(self, labels: Tensor) -> float:
        """Return the temperature that the labels (N,) ask for."""
        return corrected_temperature(self.logits, labels)

    def told(self, labels: NDArray[np.int64]) -> str:
        """Return the accuracy, alone and with the words."""
        alone = f"{(self.own.numpy().argmax(axis=1) == labels).mean():.3f}"
        if not self.words_weight:
            return alone
        return f"{(self.scores().argmax(axis=1) == labels).mean():.3f} with the words ({alone} without)"


def stacked(own: Tensor, words: Tensor | None, labels: Tensor) -> Stacking:
    """Return the classifier's log-probabilities (N, K), with the `words` (N, K) where these help beyond the noise.

    The weight has the least log-loss at its best temperature. Whether it helps is told by texts that did not choose it: the
    log-loss must fall by more than its standard error.
    """
    if words is None:
        return Stacking(own, own)
    losses = torch.stack([_losses(own + weight * words, labels) for weight in WEIGHTS])
    part = torch.arange(len(labels)) % PARTS
    chosen = torch.empty_like(losses[0])
    for number in range(PARTS):
        best = int(losses[:, part != number].mean(dim=1).argmin())
        chosen[part == number] = losses[best, part == number]
    gained = losses[0] - chosen
    weight = WEIGHTS[int(losses.mean(dim=1).argmin())]
    if not weight or not float(gained.mean()) > float(gained.std()) / math.sqrt(len(gained)):
        return Stacking(own, own)
    return Stacking(own, own + weight * words, weight)


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the log-losses (N,) at the temperature that the labels ask for."""
    return log_losses(logits / corrected_temperature(logits, labels), labels)
