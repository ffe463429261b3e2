"""Scores of a student beside its teacher's, on the same labelled texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.intervals import Interval, paired_difference, wilson

if TYPE_CHECKING:
    from nlptl.data import TextTable
    from nlptl.models.classifier import TextClassifier


@dataclasses.dataclass(frozen=True)
class BesideTeacher:
    """Shares of texts whose label, or whole set of labels, is right."""

    teacher: Interval
    student: Interval
    difference: Interval  # student − teacher, on the same texts
    agreement: Interval  # share of texts to which both give the same label
    texts: int

    def sentences(self) -> list[str]:
        """Tell the teacher's share, the difference and what it shows."""
        told = self.difference.told("+.3f")
        shown = "which shows no difference" if self.difference.low <= 0 <= self.difference.high else "which shows it"
        return [
            f"Teacher: {self.teacher} of the same texts are right.",
            f"Student − teacher: {told}, {shown}. Both agree on {self.agreement}.",
        ]


def beside_teacher(student: TextClassifier, teacher: TextClassifier, table: TextTable, *, seed: int) -> BesideTeacher:
    """Score two classifiers of the same labels on a labelled table."""
    from nlptl.data.labelled_parts import spelt_as

    texts, truth = table.texts(), [set(own) for own in spelt_as(table, student.labels).label_sets()]
    labels = [_label_sets(one, texts) for one in (student, teacher)]
    right = [_hits(own, truth) for own in labels]
    shares = [wilson(float(hits.sum()), len(texts)) for hits in right]
    paired = paired_difference(right[1][None], right[0][None], seed=seed).difference
    agreed = float(_hits(*labels).sum())
    return BesideTeacher(shares[1], shares[0], paired, wilson(agreed, len(texts)), len(texts))


def _label_sets(classifier: TextClassifier, texts: Sequence[str]) -> list[set[Any]]:
    found = classifier.labels_of(classifier.probabilities(texts))
    return [{own} if isinstance(own, str) else set(own) for own in found]


def _hits(one: Sequence[set[Any]], other: Sequence[set[Any]]) -> NDArray[np.float64]:
    return np.array([own == theirs for own, theirs in zip(one, other, strict=True)], dtype=np.float64)
