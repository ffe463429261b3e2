"""Logistic regression: scikit-learn's coefficients, held-out logits by brute force, and the folds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from nlptl.finetuning.linear import LabelledVectors, fit_logistic
from nlptl.finetuning.linear.labelled_vectors import NEVER
from nlptl.finetuning.linear.span import span_of
from tests.finetuning.linear.clouds import cloud, prototypes

SHAPES = [(12, 2, 30), (12, 3, 5), (40, 4, 8), (40, 2, 8), (24, 4, 60)]


def oracle(vectors: LabelledVectors, penalty: float, weights: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Scikit-learn's weights (K, D) and biases on x' of all rows, as softmax logits."""
    span = span_of(vectors)
    inside = ((vectors.rows - span.centre) / span.scale).numpy()
    two = vectors.label_count == 2
    model = LogisticRegression(C=(2 if two else 1) / (penalty * float(weights.sum())), tol=1e-10, max_iter=10_000)
    model.fit(inside, vectors.labels.numpy(), weights.numpy())
    if two:
        return np.concatenate([-model.coef_, model.coef_]) / 2, np.concatenate(
            [-model.intercept_, model.intercept_]
        ) / 2
    return model.coef_, model.intercept_


@pytest.mark.parametrize(("examples", "labels", "dim"), SHAPES)
@pytest.mark.parametrize("penalty", [0.01, 0.3, 10.0])
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_coefficients_equal_scikit_learn(examples: int, labels: int, dim: int, penalty: float, weight: float) -> None:
    vectors = cloud(examples, labels, dim)
    if weight:
        vectors = vectors.with_prototypes(*prototypes(labels, dim), weight=weight)
    found = fit_logistic(vectors, penalties=[penalty]).head
    weights, bias = oracle(vectors, penalty, vectors.weights)
    span = span_of(vectors)
    assert np.allclose((found.weights * span.scale).numpy(), weights, atol=1e-4)
    at_centre = found.bias + found.weights @ span.centre
    assert np.allclose((at_centre - at_centre.mean()).numpy(), bias - bias.mean(), atol=1e-4)


@pytest.mark.parametrize("one_out_up_to", [0, 100])
@pytest.mark.parametrize(("examples", "labels", "dim"), SHAPES)
def test_held_out_logits_equal_refits(examples: int, labels: int, dim: int, one_out_up_to: int) -> None:
    vectors = cloud(examples, labels, dim).with_prototypes(*prototypes(labels, dim), weight=0.5)
    found = fit_logistic(vectors, penalties=[0.1], one_out_up_to=one_out_up_to)
    fold = vectors.folds(parts=5, one_out_up_to=one_out_up_to)
    span = span_of(vectors)
    inside = ((vectors.rows - span.centre) / span.scale).numpy()
    for number, weights in list(enumerate(vectors.training_weights(fold)))[:3]:
        coefficients, bias = oracle(vectors, 0.1, weights)
        rows = (fold == number).nonzero()[:, 0]
        expected = torch.from_numpy(inside[rows.numpy()] @ coefficients.T + bias).softmax(dim=1)
        assert torch.allclose(found.out_of_fold_logits[rows].softmax(dim=1), expected, atol=2e-3)


def test_strengths_solved_together_equal_strengths_solved_alone() -> None:
    vectors = cloud(30, 3, 20)
    chosen = fit_logistic(vectors, penalties=[10.0, 0.03, 1.0])
    alone = fit_logistic(vectors, penalties=[chosen.strength])
    assert torch.allclose(chosen.out_of_fold_logits, alone.out_of_fold_logits, atol=2e-2)
    assert torch.allclose(chosen.head.weights, alone.head.weights, atol=1e-7)


def test_one_penalty_after_the_other_equals_all_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = cloud(30, 3, 20)
    together = fit_logistic(vectors)
    monkeypatch.setattr("nlptl.finetuning.linear.logistic.MAX_LOGITS", 1)
    apart = fit_logistic(vectors)
    assert apart.strength == together.strength
    assert apart.loss == pytest.approx(together.loss, abs=1e-4)


def test_folds_are_stratified_and_follow_the_rows() -> None:
    vectors = cloud(103, 4, 6)
    fold = vectors.folds(parts=5, one_out_up_to=64)
    counts = torch.bincount(fold)
    assert counts.min() >= counts.max() - 1
    for label in range(4):
        counts = torch.bincount(fold[vectors.labels == label], minlength=5)
        assert counts.min() >= counts.max() - 1
    turned = LabelledVectors.of(vectors.rows.flip(0), vectors.labels.flip(0), 4)
    assert torch.equal(turned.folds(parts=5, one_out_up_to=64), fold.flip(0))


def test_folds_keep_the_shares_of_the_labels() -> None:
    vectors = cloud(11, 3, 6).with_prototypes(*prototypes(3, 6), weight=0.2)
    fold = vectors.folds(parts=4, one_out_up_to=0)
    one_label = torch.nn.functional.one_hot(vectors.labels, 3).double()
    for weights in vectors.training_weights(fold):
        assert torch.allclose(weights @ one_label, vectors.label_weights())
    assert int((fold == NEVER).sum()) == 0


def test_noise_does_not_look_worse_than_knowing_nothing() -> None:
    vectors = cloud(16, 2, 30, apart=0.0)
    strong = fit_logistic(vectors, penalties=[1e6])
    assert float(strong.out_of_fold_logits.diff(dim=1).abs().max()) < 1e-3
    assert strong.loss == pytest.approx(np.log(2), abs=0.1)


def test_how_says_what_was_held_out_with_prototypes_too() -> None:
    vectors = cloud(12, 2, 4).with_prototypes(*prototypes(2, 4), weight=0.5)
    assert fit_logistic(vectors, one_out_up_to=12).how.startswith("Leaving one out of 12 examples chose penalty")
    assert fit_logistic(vectors, one_out_up_to=11).how.startswith("Stratified 5-fold cross-validation of 12 examples")
