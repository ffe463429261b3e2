"""The gate: whether a pile is of the kind of the labelled texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nlptl.finetuning.self_training.gate import MAX_SEPARATION, separation


def drawn(count: int, *, seed: int, shift: float = 0.0, dim: int = 100) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)) + shift


def test_texts_of_the_same_kind_cannot_be_told_apart() -> None:
    """Sixteen texts in a hundred dimensions would be told from all others by a discriminant that has seen them."""
    found = [separation(drawn(16, seed=seed), drawn(400, seed=100 + seed)) for seed in range(12)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)
    assert max(found) < MAX_SEPARATION


def test_texts_of_another_kind_can() -> None:
    found = [separation(drawn(8, seed=seed, shift=0.7), drawn(400, seed=100 + seed)) for seed in range(6)]
    assert min(found) > 0.85


def test_each_text_is_scored_by_the_mean_of_the_others() -> None:
    """The pile's own axes are turned and scaled, which a rotation of all vectors leaves alone."""
    labelled, pile = drawn(5, seed=1, dim=3), drawn(60, seed=2, dim=3)
    centred = (pile - pile.mean(dim=0)).double().numpy()
    values, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    values = 0.9 * values + 0.1 * values.mean()
    own = (labelled.double().numpy() - pile.double().numpy().mean(axis=0)) @ (axes / np.sqrt(values))
    others = centred @ (axes / np.sqrt(values))
    areas = []
    for row in range(5):
        direction = np.delete(own, row, axis=0).mean(axis=0)
        areas.append((own[row] @ direction > others @ direction).mean())
    assert separation(labelled, pile) == pytest.approx(np.mean(areas))
