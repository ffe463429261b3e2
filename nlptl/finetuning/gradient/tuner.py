"""Contracts of a tuner and of one fit."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head
from nlptl.training.loop import OptimiserName, ParameterGroup, Schedule


class Fit(Protocol):
    """One model that is fitted to some of the labelled examples; its rates are constant by default."""

    module: nn.Module
    head: Head
    optimiser: OptimiserName = "adamw"  # what trains it; lbfgs takes all examples in one batch
    least_epochs: int = 0  # 0 where the start is a fitted classifier already, so that no training is a choice; else 1
    lengths: Tensor | None = None
    """Tokens of each labelled text (n,), where a step's cost follows them: batches then gather texts of equal length."""

    def groups(self) -> list[ParameterGroup]:
        """Return what moves, at which rate."""

    def schedule(self, steps: int, steps_an_epoch: int, *, final: bool) -> Schedule | None:
        """Return how rates change over so many steps, in cross-validation or in the final fit; None for constant."""
        return None

    def logits(self, rows: Tensor) -> Tensor:
        """Return logits (B, K) of the labelled examples with these row numbers (B,)."""

    def penalty(self, l2: float) -> Tensor:
        """Return what is added to the loss (): half the sum of the head's squared weights; biases are free."""
        weights = [parameter for parameter in self.head.parameters() if parameter.ndim == 2]
        return l2 * (0.5 * torch.stack([weight.pow(2).sum() for weight in weights]).sum())


class Tuner(Protocol):
    """Factory of fits; it holds what they share, such as features that are computed once."""

    costly: bool = False  # whether a fit takes so long that many examples are split once instead of into folds

    def start(self, rows: Tensor) -> Fit:
        """Return an untrained fit whose scale is that of the examples `rows` (B,)."""

    def finish(self, fit: Fit) -> TextClassifier:
        """Return a new classifier with what `fit` has learnt."""
