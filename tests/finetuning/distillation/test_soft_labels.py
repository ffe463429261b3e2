"""Soft labels: kept through a kill, and softened by a temperature."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nlptl.context import RunContext
from nlptl.finetuning.distillation import soft_labels
from nlptl.finetuning.distillation.soft_labels import labelled_by, softened
from nlptl.progress import SilentProgress

TEXTS = [f"text {number}" for number in range(25)]


class Killed(Exception):
    """Stands for a kill."""


class SpokenProgress(SilentProgress):
    """Progress that keeps what is said."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def say(self, text: str) -> None:
        self.said.append(text)


def teacher(fails_at: int | None = None) -> Any:
    """Return a teacher that counts what it reads, and is killed at its part number `fails_at`."""
    read: list[str] = []

    def probabilities(texts: list[str], after_batch: Any) -> np.ndarray:
        if fails_at is not None and len(read) >= fails_at:
            raise Killed
        read.extend(texts)
        after_batch(len(texts))
        share = np.array([int(text.split()[1]) / 100 for text in texts])
        return np.stack([share, 1 - share], axis=1)

    return SimpleNamespace(labels=("a", "b"), probabilities=probabilities, read=read)


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soft_labels, "PART_TEXTS", 10)
    context = RunContext(device="cpu", checkpoint_folder=tmp_path, run_identity="one", checkpoint_every_steps=1)
    with pytest.raises(Killed):
        labelled_by(teacher(fails_at=20), TEXTS, context)
    second, said = teacher(), list[str]()
    watched = dataclasses.replace(context, progress=SpokenProgress(said))
    found = labelled_by(second, TEXTS, watched)
    assert said == ["20 of 25 texts of the pile were labelled before the stop."]
    assert second.read == TEXTS[20:]
    np.testing.assert_array_equal(found.probabilities, labelled_by(teacher(), TEXTS, RunContext()).probabilities)
    assert found.texts_per_second is not None
    third = teacher()
    assert labelled_by(third, TEXTS, context).texts_per_second is None, "all are kept"
    assert third.read == []
    others = teacher()
    labelled_by(others, TEXTS, dataclasses.replace(context, run_identity="two"))
    assert others.read == TEXTS, "labels of another teacher or pile are left alone"


def test_softened() -> None:
    logits = np.array([[2.0, 0.5, -1.0], [0.0, 0.0, 3.0]])

    def softmax(values: np.ndarray) -> np.ndarray:
        return np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)

    np.testing.assert_allclose(softened(softmax(logits), 2.5, multi_label=False), softmax(logits / 2.5))
    sigmoid = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(softened(sigmoid, 2.5, multi_label=True), 1 / (1 + np.exp(-logits / 2.5)))
    hard = np.array([[1.0, 0.0]])
    np.testing.assert_allclose(softened(hard, 1.0, multi_label=False), hard, atol=1e-300)
