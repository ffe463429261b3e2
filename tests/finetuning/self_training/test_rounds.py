"""Rounds of self-training against the same formulas in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from nlptl.finetuning.self_training.rounds import Rounds, predicted_shares, self_trained, share_bias

Floats = NDArray[np.float64]
LABELS = 3


def drawn(count: int = 300, *, seed: int = 0) -> tuple[list[Floats], Floats]:
    """Return two views of clusters, and what a teacher that is often wrong says of them."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(LABELS, count, p=[0.5, 0.3, 0.2])
    views = [
        generator.normal(size=(LABELS, dim))[labels] + scale * generator.normal(size=(count, dim))
        for dim, scale in ((12, 1.5), (6, 0.7))
    ]
    return views, np.eye(LABELS)[labels] + 1.2 * generator.normal(size=(count, LABELS))


def in_space(view: Floats, directions: int, power: float) -> Floats:
    centred = view - view.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred / len(view))
    found = centred @ (axes[:, -directions:] * values[-directions:] ** (-power / 2))
    return np.asarray(found / np.linalg.norm(found, axis=1).mean())


def shares_of(logits: Floats) -> Floats:
    return 0.98 * np.bincount(logits.argmax(axis=1), minlength=LABELS) / len(logits) + 0.02 / LABELS


def biased(logits: Floats, shares: Floats) -> Floats:
    """Return logits whose softmax has the mean `shares`."""
    bias = np.zeros(LABELS)
    for _ in range(300):
        bias += np.log(shares) - np.log(softmax(logits + bias, axis=1).mean(axis=0))
    return np.asarray(logits + bias)


def standard(scores: Floats) -> Floats:
    scores = scores - scores.mean(axis=0)
    scores -= scores.mean(axis=1, keepdims=True)
    return np.asarray(scores / np.sqrt((scores**2).mean()))


def by_formula(views: list[Floats], teacher: Floats, rounds: int, directions: int) -> Floats:
    """Return logits (P, K): ridge regression of soft labels on the joined views, whose covariance is shrunk to a sphere."""
    features = np.hstack([in_space(view, directions, power) for view, power in zip(views, (0.5, 0.0), strict=True)])
    covariance = features.T @ features / len(features)
    shrunk = 0.7 * covariance + 0.3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    logits = teacher
    for _ in range(rounds):
        soft = softmax(biased(3 * standard(logits), shares_of(logits)), axis=1)
        scores = features @ np.linalg.solve(shrunk, features.T @ (soft - soft.mean(axis=0)))
        scores -= scores.mean(axis=1, keepdims=True)
        logits = biased(3 * scores / np.sqrt((scores**2).mean()), shares_of(soft))
    return logits


@pytest.mark.parametrize("rounds", [1, 4])
def test_the_head_over_the_joined_vectors_gives_what_the_formulas_say(rounds: int) -> None:
    views, teacher = drawn()
    tensors = [torch.from_numpy(view) for view in views]
    head = self_trained(tensors, torch.from_numpy(teacher), Rounds(rounds, directions=5))
    assert head.weights.shape == (LABELS, 18)
    expected = by_formula(views, teacher, rounds, 5)
    np.testing.assert_allclose(head.logits(torch.cat(tensors, dim=1)).numpy(), expected, atol=5e-3)


def test_rounds_do_better_than_their_teacher() -> None:
    views, teacher = drawn(1_000)
    generator = np.random.default_rng(0)
    labels = generator.choice(LABELS, 1_000, p=[0.5, 0.3, 0.2])
    tensors = [torch.from_numpy(view) for view in views]
    head = self_trained(tensors, torch.from_numpy(teacher), Rounds())
    right = (head.logits(torch.cat(tensors, dim=1)).argmax(dim=1).numpy() == labels).mean()
    assert (teacher.argmax(axis=1) == labels).mean() < 0.7
    assert right > 0.9


def test_the_units_of_a_view_do_not_matter() -> None:
    views, teacher = drawn()
    one, other = (
        self_trained(parts, torch.from_numpy(teacher), Rounds(2)).logits(torch.cat(parts, dim=1))
        for parts in (
            [torch.from_numpy(view) for view in views],
            [torch.from_numpy(1_000 * view + 7) for view in views],
        )
    )
    assert torch.allclose(one, other, atol=1e-6)


def test_directions_that_the_pile_does_not_have_weigh_nothing() -> None:
    views, teacher = drawn()
    flat = np.hstack([views[0], np.ones((300, 2))])
    parts = [torch.from_numpy(flat), torch.from_numpy(views[1])]
    assert not self_trained(parts, torch.from_numpy(teacher), Rounds()).weights[:, 12:14].any()


@pytest.mark.parametrize("shares", [[0.9, 0.1], [0.5, 0.5], [0.02, 0.98]])
def test_the_bias_gives_the_shares(shares: list[float]) -> None:
    logits = 5 * torch.randn(400, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = torch.tensor(shares, dtype=torch.float64)
    found = (logits + share_bias(logits, wanted)).softmax(dim=1).mean(dim=0)
    assert torch.allclose(found, wanted, atol=1e-3)


def test_a_label_that_is_never_predicted_keeps_a_share() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]] * 8 + [[0.0, 1.0, 0.0]] * 2)
    assert predicted_shares(logits).tolist() == pytest.approx([0.98 * 0.8 + 0.02 / 3, 0.98 * 0.2 + 0.02 / 3, 0.02 / 3])
