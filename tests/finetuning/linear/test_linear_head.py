"""A linear head as a value: temperature, priors, and into a Head."""

from __future__ import annotations

import pytest
import torch

from nlptl.errors import DataError
from nlptl.finetuning.linear import LinearHead, fit_logistic, with_priors, with_temperature, write_head
from nlptl.models.heads import Head
from tests.finetuning.linear.clouds import cloud


@pytest.fixture
def head() -> LinearHead:
    generator = torch.Generator().manual_seed(3)
    draw = torch.randn(3, 6, generator=generator).double()
    return LinearHead(draw[:, :5], draw[:, 5])


@pytest.fixture
def vectors() -> torch.Tensor:
    return torch.randn(20, 5, generator=torch.Generator().manual_seed(4)).double()


def test_a_temperature_divides_the_logits(head: LinearHead, vectors: torch.Tensor) -> None:
    softer = with_temperature(head, 4.0)
    assert torch.allclose(softer.logits(vectors), head.logits(vectors) / 4)
    assert torch.equal(softer.logits(vectors).argmax(1), head.logits(vectors).argmax(1))
    assert torch.allclose(softer.probabilities(vectors).sum(1), torch.ones(20).double())


def test_priors_move_as_bayes_says(head: LinearHead, vectors: torch.Tensor) -> None:
    old, new = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.1, 0.3, 0.6]).double()
    posterior = head.probabilities(vectors)
    expected = posterior / old * new
    expected = expected / expected.sum(1, keepdim=True)
    moved = with_priors(head, new.tolist(), shares=old)
    assert torch.allclose(moved.probabilities(vectors), expected)
    back = with_priors(moved, old.tolist(), shares=new)
    assert torch.allclose(back.probabilities(vectors), posterior)
    assert torch.allclose(with_priors(head, old.tolist(), shares=old).bias, head.bias)


@pytest.mark.parametrize("scaled", [True, False])
def test_a_head_written_from_it_gives_equal_logits(scaled: bool) -> None:
    examples = cloud(40, 4, 16)
    linear = fit_logistic(examples).calibrated()
    head = Head(16, 4)
    if scaled:
        head.fit_scale(examples.rows.float())
        assert float(head.scale) != 1
    write_head(linear, head)
    found = head(examples.rows.float())
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), linear.logits(examples.rows), atol=1e-5)


def test_a_hidden_layer_is_refused(head: LinearHead) -> None:
    with pytest.raises(DataError) as caught:
        write_head(head, Head(5, 3, hidden=7))
    assert str(caught.value) == (
        "head: found a hidden layer of 7 units; a fitted linear head needs hidden=0. Set hidden to 0."
    )


def test_another_shape_is_refused(head: LinearHead) -> None:
    with pytest.raises(DataError) as caught:
        write_head(head, Head(5, 4))
    assert str(caught.value) == (
        "head: found (4, 5) labels and dimensions; the fitted head has (3, 5). Make the head for the same labels and "
        "encoder."
    )


def test_a_wrong_temperature_is_refused(head: LinearHead) -> None:
    with pytest.raises(DataError) as caught:
        with_temperature(head, 0.0)
    assert str(caught.value) == "temperature: found 0; expected a finite number above 0. Fit it again."


def test_wrong_priors_are_refused(head: LinearHead) -> None:
    shares = torch.full((3,), 1 / 3)
    with pytest.raises(DataError) as caught:
        with_priors(head, [0.5, 0.5], shares=shares)
    assert str(caught.value) == "priors: found 2 shares for 3 labels. Give one share for each label."
    with pytest.raises(DataError) as caught:
        with_priors(head, [0.5, 0.5, 0.5], shares=shares)
    assert str(caught.value) == (
        "priors: found shares from 0.5 that sum to 1.5; expected shares above 0 that sum to 1. Correct the shares."
    )
    with pytest.raises(DataError, match="found shares from 0 that sum to 1"):
        with_priors(head, [0.0, 0.5, 0.5], shares=shares)
