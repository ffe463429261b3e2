"""Gradient reversal: forwards nothing, backwards the other way."""

from __future__ import annotations

import pytest
import torch

from nlptl.finetuning.domains.adversarial import DomainClassifier, reversed_gradient, strength_at


def test_the_gradient_is_that_of_finite_differences_turned_round() -> None:
    weights = torch.tensor([[0.3, -0.7], [1.1, 0.2]], dtype=torch.float64)

    def behind(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ weights).pow(2).sum()

    vectors = torch.tensor([[0.5, -0.2], [0.1, 0.9]], dtype=torch.float64, requires_grad=True)
    passed = reversed_gradient(vectors, 0.4)
    assert torch.equal(passed, vectors)
    behind(passed).backward()
    step = 1e-6
    for place in ((0, 0), (0, 1), (1, 0), (1, 1)):
        up, down = (vectors.detach().clone() for _ in range(2))
        up[place] += step
        down[place] -= step
        slope = float(behind(up) - behind(down)) / (2 * step)
        assert float(vectors.grad[place]) == pytest.approx(-0.4 * slope, abs=1e-8)


def test_the_schedule_is_the_papers() -> None:
    assert strength_at(0.0) == 0.0
    assert strength_at(0.5) == pytest.approx(0.98661, abs=1e-5)  # 2 / (1 + e^-5) - 1
    assert strength_at(1.0) == pytest.approx(0.99991, abs=1e-5)


def test_the_classifier_learns_the_domain_and_the_vectors_are_pushed_together() -> None:
    here = torch.tensor([[1.0, 0.0]] * 4, requires_grad=True)
    there = torch.tensor([[-1.0, 0.0]] * 4, requires_grad=True)
    classifier = DomainClassifier(2, 0, strength=1.0)
    optimiser = torch.optim.Adam(classifier.parameters(), lr=0.05)
    for _ in range(30):
        optimiser.zero_grad()
        loss = classifier(here, there, 0.5)
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.3, "the domain classifier goes down its own gradient"
    here.grad = there.grad = None
    classifier(here, there, 0.5).backward()
    assert (here.grad[:, 0] > 0).all(), "going down it, source vectors move towards the target's"
    assert (there.grad[:, 0] < 0).all()


def test_both_domains_weigh_alike_whatever_their_numbers() -> None:
    classifier = DomainClassifier(2, 0, strength=1.0)
    here, there = torch.randn(8, 2), torch.randn(2, 2)
    once = classifier(here, there, 1.0)
    assert torch.allclose(once, classifier(here, there.repeat(4, 1), 1.0))
