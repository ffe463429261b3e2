"""Scores of a student beside its teacher."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from nlptl.data import TextData
from nlptl.evaluation.beside_teacher import beside_teacher

LABELS = ("a", "b")


def answering(answers: dict[str, int]) -> Any:
    """Return a classifier that gives each text the label of this number."""
    return SimpleNamespace(
        labels=LABELS,
        probabilities=lambda texts: np.eye(2)[[answers[text] for text in texts]],
        labels_of=lambda shares: [LABELS[place] for place in shares.argmax(axis=1)],
    )


def test_paired_on_the_same_texts() -> None:
    texts = [f"text {number}" for number in range(100)]
    table = TextData(labelled=(texts, ["a", "b"] * 50)).labelled
    assert table is not None
    truth = {text: number % 2 for number, text in enumerate(texts)}
    teacher = answering(
        {text: label if number >= 10 else 1 - label for number, (text, label) in enumerate(truth.items())}
    )
    student = answering(
        {text: label if number >= 20 else 1 - label for number, (text, label) in enumerate(truth.items())}
    )
    found = beside_teacher(student, teacher, table, seed=0)
    assert (found.teacher.value, found.student.value, found.agreement.value, found.texts) == (0.9, 0.8, 0.9, 100)
    assert round(found.difference.value, 9) == -0.1
    assert found.difference.low < -0.1 < found.difference.high < 0
    assert found.sentences() == [
        "Teacher: 0.900 [0.826, 0.945] of the same texts are right.",
        f"Student − teacher: {found.difference.told('+.3f')}, which shows it. Both agree on 0.900 [0.826, 0.945].",
    ]
    same = beside_teacher(teacher, teacher, table, seed=0)
    assert same.sentences()[1] == (
        "Student − teacher: +0.000 (too few texts for an interval), which shows no difference. Both agree on 1.000 "
        "[0.963, 1.000]."
    )
