"""MMD against its definition, and its permutation test against chance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import nlptl.evaluation.mmd
from nlptl.evaluation.mmd import median_bandwidth, mmd_squared, permutation_test, rbf_kernel


def samples(shift: float, *, seed: int, sizes: tuple[int, int] = (40, 30)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    one, other = (torch.randn(size, 5, generator=generator) for size in sizes)
    return one, other + shift


def test_mmd_is_its_definition() -> None:
    one, other = samples(0.5, seed=0, sizes=(7, 6))

    def kernel(x: torch.Tensor, y: torch.Tensor) -> float:
        return math.exp(-float(((x - y) ** 2).sum()) / (2 * 1.7))

    m, n = len(one), len(other)
    within_one = sum(kernel(one[i], one[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    within_other = sum(kernel(other[i], other[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    across = sum(kernel(x, y) for x in one for y in other) / (m * n)
    assert float(mmd_squared(one, other, torch.tensor(1.7))) == pytest.approx(
        within_one + within_other - 2 * across, abs=1e-6
    )


def test_the_bandwidth_is_the_median_distance() -> None:
    one, _ = samples(0.0, seed=1)
    apart = [float(((x - y) ** 2).sum()) for i, x in enumerate(one) for y in one[i + 1 :]]
    assert float(median_bandwidth(one)) == pytest.approx(float(torch.tensor(apart).median()), rel=1e-5)
    assert torch.isfinite(rbf_kernel(one[:1], one[:1], median_bandwidth(torch.ones(3, 5)))).all()


def test_the_permutation_test_gives_the_same_value() -> None:
    one, other = samples(0.4, seed=2)
    value, _ = permutation_test(one, other, permutations=39, seed=0)
    bandwidth = median_bandwidth(torch.cat([one, other]).double())
    assert value == pytest.approx(float(mmd_squared(one.double(), other.double(), bandwidth)), abs=1e-9)


def test_p_values_of_equal_samples_are_spread_and_of_shifted_ones_small() -> None:
    equal = [permutation_test(*samples(0.0, seed=seed), permutations=99, seed=seed)[1] for seed in range(40)]
    assert sum(p <= 0.1 for p in equal) <= 9  # of 40, four are expected; more than nine come up once in 100 times
    assert 0.3 < np.mean(equal) < 0.7
    assert permutation_test(*samples(1.0, seed=0), permutations=99, seed=0)[1] == 0.01


def test_exchanges_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = samples(0.2, seed=4)
    whole = permutation_test(one, other, permutations=199, seed=3)
    drawn: list[int] = []

    def parts(count: int, size: int) -> Iterator[int]:
        assert (count, size) == (199, 70)
        yield from (64, 64, 64, 7)

    def watched(orders: list[torch.Tensor], **more: Any) -> torch.Tensor:
        drawn.append(len(orders))
        return stack(orders, **more)

    stack = torch.stack
    monkeypatch.setattr(nlptl.evaluation.mmd, "chunks", parts)
    monkeypatch.setattr(torch, "stack", watched)
    assert permutation_test(one, other, permutations=199, seed=3) == whole
    assert drawn == [64, 64, 64, 7]
