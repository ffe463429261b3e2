"""Temperature: its definition, its pseudo-count, and what it never does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from nlptl.evaluation.calibration import PRIOR_STRENGTH, corrected_temperature, fit_temperature, log_losses


def noisy(count: int, width: int, seed: int, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(width, (count,), generator=generator)
    logits = torch.randn(count, width, generator=generator).double()
    logits[torch.arange(count), labels] += 1.5
    return logits * scale, labels


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("count", "width"), [(8, 2), (50, 2), (40, 7)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_minimises_the_smoothed_log_loss(count: int, width: int, seed: int, scale: float) -> None:
    logits, labels = noisy(count, width, seed, scale)
    noise_rate = 1 / (count + 2)
    targets = torch.full_like(logits, noise_rate / (width - 1))
    targets[torch.arange(count), labels] = 1 - noise_rate

    def loss(log_inverse_temperature: float) -> float:
        return float(-(targets * (logits / scale * np.exp(log_inverse_temperature)).log_softmax(1)).sum())

    best = minimize_scalar(loss, bounds=(-4, 6), method="bounded", options={"xatol": 1e-10}).x
    assert fit_temperature(logits, labels) == pytest.approx(scale / np.exp(best), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("count", "width"), [(8, 2), (50, 2), (40, 7)])
@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
def test_a_correction_minimises_the_log_loss_of_labels_and_own_probabilities(
    count: int, width: int, seed: int, scale: float
) -> None:
    logits, labels = noisy(count, width, seed, scale)
    weights = torch.rand(count, generator=torch.Generator().manual_seed(seed)).double() + 0.1
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    share = effective / (effective + PRIOR_STRENGTH)
    targets = (1 - share) * logits.softmax(1)
    targets[torch.arange(count), labels] += share

    def loss(log_temperature: float) -> float:
        return float(-(weights[:, None] * targets * (logits / np.exp(log_temperature)).log_softmax(1)).sum())

    best = minimize_scalar(loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-10}).x
    assert corrected_temperature(logits, labels, weights=weights) == pytest.approx(np.exp(best), rel=1e-5)


def test_calibrated_logits_are_hardly_corrected_and_wrong_ones_are() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, 3, generator=generator).double()
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    assert corrected_temperature(logits, labels) == pytest.approx(1, abs=0.03)
    assert corrected_temperature(3 * logits, labels) == pytest.approx(3, rel=0.03)
    few = [corrected_temperature(logits[i : i + 20], labels[i : i + 20]) for i in range(0, 4000, 20)]
    raw = [fit_temperature(logits[i : i + 20], labels[i : i + 20]) for i in range(0, 4000, 20)]
    assert abs(np.log(few)).mean() < 0.5 * abs(np.log(raw)).mean()
    assert corrected_temperature(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)) == 1.0
    assert corrected_temperature(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)) == 1.0
    assert corrected_temperature(logits[:5], labels[:5], weights=torch.zeros(5)) == 1.0


def test_eight_examples_that_are_all_right_are_nine_tenths_sure() -> None:
    labels = torch.arange(8) % 2
    logits = torch.nn.functional.one_hot(labels, 2).double() * 50
    sure = (logits / fit_temperature(logits, labels)).softmax(1).gather(1, labels[:, None])
    assert torch.allclose(sure, torch.full_like(sure, 0.9), atol=1e-6)


def test_logits_that_speak_against_the_labels_become_flat() -> None:
    labels = torch.arange(8) % 2
    logits = -torch.nn.functional.one_hot(labels, 2).double() * 50
    probabilities = (logits / fit_temperature(logits, labels)).softmax(1)
    assert torch.allclose(probabilities, torch.full_like(probabilities, 0.5), atol=0.01)


def test_equal_logits_need_no_temperature() -> None:
    labels = torch.tensor([0, 1, 2, 0])
    assert fit_temperature(torch.full((4, 3), 2.0).double(), labels) == 1.0
    rounding = torch.full((4, 3), 2.0).double() * (1 + torch.eye(4, 3).double() * 1e-16)
    rounding[0, 1] = 2.0 + 4.5e-16
    assert fit_temperature(rounding, labels) == 1.0
    assert corrected_temperature(rounding, labels) == 1.0


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 30), st.integers(2, 6), st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_probabilities_sum_to_one_and_the_label_stays(count: int, width: int, seed: int, scale: float) -> None:
    logits, labels = noisy(count, width, seed, scale)
    temperature = fit_temperature(logits, labels)
    assert 0 < temperature < float("inf")
    probabilities = (logits / temperature).softmax(1)
    assert torch.allclose(probabilities.sum(1), torch.ones(count).double())
    assert torch.equal(probabilities.argmax(1), logits.argmax(1))
    twice = fit_temperature(2 * logits, labels)
    assert twice == pytest.approx(2 * temperature, rel=1e-6)


def test_log_losses_are_those_of_torch() -> None:
    logits, labels = noisy(9, 3, 0, 1.0)
    assert torch.allclose(
        log_losses(logits, labels), torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    )
