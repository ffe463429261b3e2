"""Tuner for the head alone, over fixed sentence vectors."""

from __future__ import annotations

import copy

from torch import Tensor

from nlptl.finetuning.gradient.tuner import Fit
from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head
from nlptl.training.loop import ParameterGroup

LARGEST_SMOOTH = 100_000_000  # numbers in the cached vectors up to which whole passes beat small steps


class HeadTuner:
    """The head alone moves; sentence vectors are computed once."""

    costly = False

    def __init__(self, given: TextClassifier, vectors: Tensor, *, learning_rate: float) -> None:
        """`vectors` (n, D) are the encoder's sentence vectors of the labelled texts."""
        self._given, self._learning_rate = given, learning_rate
        self._vectors = vectors.to(given.head.centre.device)

    def start(self, rows: Tensor) -> HeadFit:
        """Return a copy of the given head, scaled to the examples `rows`."""
        head = copy.deepcopy(self._given.head)
        head.fit_scale(self._vectors[rows])
        return HeadFit(head, self._vectors, self._learning_rate)

    def finish(self, fit: Fit) -> TextClassifier:
        """Return the given encoder (shared, it did not move) under the trained head."""
        return TextClassifier(self._given.encoder, fit.head, self._given.labels).eval()


class HeadFit(Fit):
    """A head on cached sentence vectors."""

    least_epochs = 1

    def __init__(self, head: Head, vectors: Tensor, learning_rate: float) -> None:
        self.module = self.head = head
        if head.dropout == 0 and vectors.numel() <= LARGEST_SMOOTH:
            self.optimiser = "lbfgs"
        self._vectors, self._learning_rate = vectors, learning_rate

    def groups(self) -> list[ParameterGroup]:
        """Return the head's parameters."""
        return [ParameterGroup(list(self.head.parameters()), self._learning_rate)]

    def logits(self, rows: Tensor) -> Tensor:
        """Return logits (B, K) of the cached vectors of `rows` (B,)."""
        logits: Tensor = self.head(self._vectors[rows])
        return logits
