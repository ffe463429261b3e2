"""What every method of domain adaptation is given and gives back.

Shapes: n examples, t texts of both domains together, B texts, K labels.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from nlptl.evaluation.duplicates import DuplicateGroups, duplicate_groups
from nlptl.evaluation.held_out import dealt_folds
from nlptl.models.classifier import TextClassifier


@dataclasses.dataclass(frozen=True)
class Domains:
    """The texts of a run: source examples first, then labelled target examples, then unlabelled target texts."""

    texts: list[str]
    labels: Tensor
    """(n,) int64 label ids of the examples, which are the first n texts."""
    source: int
    """How many of the texts are of the source domain."""

    @property
    def examples(self) -> Tensor:
        """Row numbers (n,) of all labelled texts."""
        return torch.arange(len(self.labels))

    @property
    def unlabelled(self) -> Tensor:
        """Row numbers of the target texts that have no label."""
        return torch.arange(len(self.labels), len(self.texts))

    @functools.cached_property
    def repeats(self) -> DuplicateGroups:
        """Which examples are copies of others."""
        return duplicate_groups(self.texts[: len(self.labels)], self.labels.tolist())

    def folds(self, parts: int, *, seed: int, once: bool = False) -> list[tuple[Tensor, Tensor]]:
        """Return the (training, held-out) row numbers of the examples in each fold; with `once` only the first pair.

        Each label of either domain is dealt to the folds in equal shares. The source's rarest label limits their number.
        """
        labels, groups = self.labels.cpu().numpy(), self.repeats
        is_source = np.arange(len(labels)) < self.source
        distinct = labels[groups.first[is_source[groups.first]]]
        parts = min(parts, int(np.unique(distinct, return_counts=True)[1].min()))
        found = dealt_folds(2 * labels + is_source, groups, parts=parts, seed=seed)
        return [
            (torch.from_numpy(one.training), torch.from_numpy(one.held_out)) for one in found[: 1 if once else parts]
        ]

    def task(self, rows: Tensor) -> Task:
        """Return the task of learning from the examples `rows` (B,) for the target domain."""
        return Task(rows, self.labels[rows], rows[rows < self.source], self.unlabelled)


@dataclasses.dataclass(frozen=True)
class Task:
    """Learn these labels for use in another domain. Rows are places among the texts of `Domains`."""

    rows: Tensor
    """(B,) texts to learn from."""
    labels: Tensor
    """(B,) their label ids."""
    here: Tensor
    """Those of the rows that are of the domain to come from."""
    there: Tensor
    """Texts of the domain to go to; nothing knows their labels."""


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A classifier that a method has trained."""

    classifier: TextClassifier
    probabilities: Callable[[Tensor], Tensor]
    """Gives those of the labels (B, K) for the texts with row numbers (B,), as the classifier would."""
    trainable: int
    """Parameters that moved."""

    def predict(self, rows: Tensor) -> Tensor:
        """Return the label ids (B,) of the texts with row numbers (B,)."""
        return self.probabilities(rows).argmax(dim=1)


class Method(Protocol):
    """A way of adapting a classifier; holds what all of its fits share, such as vectors that are computed once."""

    name: str
    costly: bool
    """Whether a fit takes so long that texts are held out once instead of in turn."""

    def fit(self, task: Task, *, seed: int) -> Fitted:
        """Train a new classifier; what was given stays as it is."""
