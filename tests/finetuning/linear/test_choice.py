"""The kind of head, and what all kinds promise."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.finetuning.linear import (
    FittedHead,
    LabelledVectors,
    choose_head,
    fit_lda,
    fit_logistic,
    fit_ridge,
    log_losses,
    with_priors,
)
from nlptl.finetuning.linear.fitted import within_one_error
from tests.finetuning.linear.clouds import cloud, prototypes

Fit = Callable[[LabelledVectors], FittedHead]
every_kind = pytest.mark.parametrize("fit", [fit_ridge, fit_lda, fit_logistic])


@every_kind
@settings(deadline=None, max_examples=8)
@given(st.integers(0, 100), st.sampled_from([(9, 2, 4), (9, 2, 20), (14, 4, 6), (70, 3, 5)]), st.booleans())
def test_the_order_of_the_rows_changes_nothing(
    fit: Fit, seed: int, shape: tuple[int, int, int], with_names: bool
) -> None:
    vectors = cloud(*shape, seed=seed)
    order = torch.randperm(shape[0], generator=torch.Generator().manual_seed(seed))
    turned = LabelledVectors.of(vectors.rows[order], vectors.labels[order], shape[1])
    if with_names:
        vectors = vectors.with_prototypes(*prototypes(shape[1], shape[2]), weight=0.3)
        turned = turned.with_prototypes(*prototypes(shape[1], shape[2]), weight=0.3)
    one, other = fit(vectors), fit(turned)
    assert other.strength == one.strength
    assert other.loss == pytest.approx(one.loss, abs=1e-5)
    assert torch.allclose(other.out_of_fold_logits, one.out_of_fold_logits[order], atol=1e-3, rtol=1e-3)
    assert torch.allclose(other.calibrated().weights, one.calibrated().weights, atol=1e-4, rtol=1e-3)


@every_kind
def test_probabilities_are_calibrated_ones(fit: Fit) -> None:
    vectors = cloud(24, 3, 40)
    found = fit(vectors)
    raw, calibrated = found.head.logits(vectors.rows), found.calibrated().logits(vectors.rows)
    assert torch.allclose(calibrated * found.temperature, raw)
    assert torch.equal(calibrated.argmax(1), raw.argmax(1))
    out_of_fold = (found.out_of_fold_logits / found.temperature).softmax(dim=1)
    assert torch.allclose(out_of_fold.sum(1), torch.ones(24).double())
    assert found.loss == pytest.approx(float(log_losses(out_of_fold.log(), vectors.labels).mean()))
    assert found.loss == pytest.approx(float(found.losses().mean()))
    assert float(found.losses().mean()) < math.log(3)


@every_kind
def test_the_only_example_of_a_label_is_never_held_out(fit: Fit) -> None:
    full = cloud(9, 3, 12)
    kept = torch.tensor([0, 1, 2, 3, 4, 6, 7])  # one of label 2
    vectors = LabelledVectors.of(full.rows[kept], full.labels[kept], 3)
    found = fit(vectors)
    assert found.scored.tolist() == [True, True, False, True, True, True, True]
    assert bool(found.out_of_fold_logits[2].isnan().all())
    assert found.loss is not None
    assert math.isfinite(found.loss)
    assert found.how.endswith("; 1 could not be held out, each the only row of its label.")
    named = fit(vectors.with_prototypes(*prototypes(3, 12), weight=0.5))
    assert bool(named.scored.all())


@every_kind
@pytest.mark.parametrize("dim", [1, 5])
def test_one_example_a_label_gives_a_cautious_head(fit: Fit, dim: int) -> None:
    rows = torch.tensor([[0.0], [2.0]]).expand(2, dim)
    found = fit(LabelledVectors.of(rows, torch.tensor([0, 1]), 2))
    assert found.loss is None
    assert bool(found.out_of_fold_logits.isnan().all())
    assert found.how.startswith("No label has a second row, so nothing was held out. The strength is the cautious ")
    probabilities = found.calibrated().probabilities(torch.tensor([[0.0], [1.0], [2.0]]).expand(3, dim))
    expected = torch.tensor([0.75, 0.5, 0.25]).double()  # 1 - 1 / (n + 2)
    assert torch.allclose(probabilities[:, 0], expected, atol=1e-3)


@every_kind
def test_copies_are_not_called_single_rows(fit: Fit) -> None:
    copies = LabelledVectors.of(
        torch.tensor([[0.0, 1.0], [2.0, 1.0]]), torch.tensor([0, 1]), 2, copies=torch.tensor([3, 1])
    )
    assert fit(copies).how.startswith(
        "The rows of each label are copies of one text, so nothing was held out. The strength is the cautious "
    )
    vectors = cloud(7, 2, 3)
    some = LabelledVectors.of(
        vectors.rows, torch.tensor([0, 0, 0, 1, 0, 0, 0]), 2, copies=torch.tensor([1, 1, 1, 4, 1, 1, 1])
    )
    assert fit(some).how.endswith("; 1 could not be held out, each the only text of its label.")


@every_kind
def test_vectors_that_are_all_the_same_say_the_shares(fit: Fit) -> None:
    vectors = LabelledVectors.of(torch.full((9, 4), 0.1), torch.tensor([0, 1, 2] * 2 + [0, 0, 0]), 3)
    found = fit(vectors)
    assert bool(torch.isfinite(found.calibrated().weights).all())
    assert found.loss == pytest.approx(math.log(3), abs=0.25)
    probabilities = found.calibrated().probabilities(vectors.rows)
    assert bool((probabilities.argmax(1) == 0).all())


@every_kind
def test_duplicates_are_no_trouble(fit: Fit) -> None:
    vectors = cloud(8, 2, 20)
    twice = LabelledVectors.of(vectors.rows.repeat(2, 1), vectors.labels.repeat(2), 2)
    found = fit(twice)
    assert bool(torch.isfinite(found.out_of_fold_logits).all())
    assert torch.allclose(found.out_of_fold_logits[:8], found.out_of_fold_logits[8:], atol=1e-3, rtol=1e-3)


@every_kind
def test_a_label_known_by_its_name_alone_is_learnt(fit: Fit) -> None:
    vectors = cloud(8, 2, 6)
    three = LabelledVectors.of(vectors.rows, vectors.labels, 3)
    names = torch.full((1, 6), 9.0)
    found = fit(three.with_prototypes(names, torch.tensor([2]), weight=2.0))
    assert int(with_priors(found.calibrated(), [1 / 3] * 3, shares=found.shares).logits(names).argmax()) == 2
    assert torch.allclose(found.shares, torch.tensor([0.4, 0.4, 0.2]).double())


def test_of_equal_kinds_the_simplest_is_taken() -> None:
    choice = choose_head(cloud(16, 2, 30, apart=3.0))
    assert choice.fitted.method == "logistic"
    assert re.match(r"logistic .* \(logistic \S+, lda \S+, ridge \S+\)\. ", choice.how)
    assert choice.how.endswith(choice.fitted.how)
    assert torch.equal(choice.head.weights, choice.fitted.calibrated().weights)


def test_a_clearly_better_kind_is_taken() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(80) % 2
    rows = torch.randn(80, 20, generator=generator) * torch.tensor([20.0] * 19 + [0.1])
    rows[:, -1] += labels * 0.8  # told apart in the direction of least variance alone
    vectors = LabelledVectors.of(rows, labels, 2)
    blind, seeing = fit_lda(vectors, shrinkages=[1.0]), fit_lda(vectors, shrinkages=[1e-4])
    assert not within_one_error(blind.losses(), seeing.losses())
    assert within_one_error(seeing.losses(), seeing.losses())
    assert fit_lda(vectors, shrinkages=[1.0, 1e-4]).strength == 1e-4


def test_of_strengths_that_do_as_well_the_strongest_is_taken() -> None:
    vectors = cloud(16, 2, 30, apart=3.0)
    assert fit_lda(vectors, shrinkages=[0.5, 0.9, 0.9001]).strength == 0.9001


def test_nothing_held_out_takes_the_first() -> None:
    vectors = LabelledVectors.of(torch.eye(2), torch.tensor([0, 1]), 2)
    assert choose_head(vectors, methods=["lda", "ridge"]).fitted.method == "lda"


def test_one_kind_alone_is_told_with_its_loss_once() -> None:
    choice = choose_head(cloud(16, 2, 30, apart=3.0), methods=["logistic"])
    assert choice.how == (
        f"logistic: held-out log-loss {choice.fitted.loss:.3f}. Leaving one out of 16 examples chose penalty "
        f"{choice.fitted.strength:g} of 7."
    )


def test_a_loss_that_is_no_better_than_a_guess_is_told() -> None:
    rows = torch.tensor([[1.0], [2.0], [1.0], [2.0]] * 4)
    vectors = LabelledVectors.of(rows, torch.tensor([0, 0, 1, 1] * 4), 2)  # the rows say nothing of the labels
    for methods, begin in ((["ridge"], "ridge: held-out log-loss 0."), (["ridge", "lda"], "ridge has the smallest")):
        choice = choose_head(vectors, methods=methods)  # type: ignore[arg-type]
        assert choice.how.startswith(begin)
        assert ", no better than guessing (0.693). " in choice.how
    assert "guessing" not in choose_head(cloud(16, 2, 30, apart=3.0)).how
