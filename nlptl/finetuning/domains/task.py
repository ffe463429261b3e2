"""Contract of an adaptation method: the task it is given and the classifier it returns.

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
    """Texts of a run: source examples, then labelled target examples, then unlabelled target texts."""

    texts: list[str]
    labels: Tensor  # (n,) int64 label ids of the examples, which are the first n texts
    source_count: int  # number of source texts

    @property
    def examples(self) -> Tensor:
        """Row numbers (n,) of all labelled texts."""
        return torch.arange(len(self.labels))

    @property
    def unlabelled(self) -> Tensor:
        """Row numbers of the target texts without a label."""
        return torch.arange(len(self.labels), len(self.texts))

    @functools.cached_property
    def duplicates(self) -> DuplicateGroups:
        """Groups of equal examples."""
        return duplicate_groups(self.texts[: len(self.labels)], self.labels.tolist())

    def folds(self, parts: int, *, seed: int, once: bool = False) -> list[tuple[Tensor, Tensor]]:
        """Return (training, held-out) row numbers in each fold, stratified by label and domain; `once`: one fold.

        The source's rarest label limits `parts`.
        """
        labels, groups = self.labels.cpu().numpy(), self.duplicates
        is_source = np.arange(len(labels)) < self.source_count
        distinct = labels[groups.first[is_source[groups.first]]]
        parts = min(parts, int(np.unique(distinct, return_counts=True)[1].min()))
        found = dealt_folds(2 * labels + is_source, groups, parts=parts, seed=seed)[: 1 if once else None]
        return [(torch.from_numpy(one.training), torch.from_numpy(one.held_out)) for one in found]

    def task(self, rows: Tensor) -> DomainTask:
        """Return the task to learn from the examples `rows` (B,) for the target domain."""
        return DomainTask(rows, self.labels[rows], rows[rows < self.source_count], self.unlabelled)


@dataclasses.dataclass(frozen=True)
class DomainTask:
    """Labels to learn for use in another domain. Rows are places among the texts of `Domains`."""

    rows: Tensor  # (B,) texts to learn from
    labels: Tensor  # (B,) their label ids
    here: Tensor  # rows of the domain to start from
    there: Tensor  # texts of the domain to adapt to, without labels


@dataclasses.dataclass(frozen=True)
class AdaptedClassifier:
    """Classifier that a method has trained."""

    classifier: TextClassifier
    probabilities: Callable[[Tensor], Tensor]  # (B, K) of the texts with row numbers (B,)
    trainable: int  # number of parameters that learnt

    def predict(self, rows: Tensor) -> Tensor:
        """Return the label ids (B,) of the texts with row numbers (B,)."""
        return self.probabilities(rows).argmax(dim=1)


class AdaptationMethod(Protocol):
    """Method of adaptation; it holds what its fits share, such as vectors that are computed once."""

    name: str
    costly: bool  # whether a fit is so slow that examples are held out once instead of in turn

    def fit(self, task: DomainTask, *, seed: int) -> AdaptedClassifier:
        """Train a new classifier; the given one does not change."""
