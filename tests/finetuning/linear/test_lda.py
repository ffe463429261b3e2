"""Discriminant analysis: scikit-learn's, leaving one out by brute force, Ledoit and Wolf's shrinkage."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from nlptl.finetuning.linear import LabelledVectors, fit_lda
from nlptl.finetuning.linear.lda import _ledoit_wolf, _Within
from tests.finetuning.linear.clouds import cloud, copied, prototypes, without

SHAPES = [(12, 2, 30), (12, 3, 5), (40, 4, 8), (20, 4, 60), (7, 3, 4)]


@pytest.mark.parametrize(("examples", "labels", "dim"), SHAPES)
@pytest.mark.parametrize("shrinkage", [0.05, 0.5, 1.0])
def test_equals_scikit_learn(examples: int, labels: int, dim: int, shrinkage: float) -> None:
    vectors = cloud(examples, labels, dim)
    found = fit_lda(vectors, shrinkages=[shrinkage]).head
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    oracle.fit(vectors.rows.numpy(), vectors.labels.numpy())
    probabilities = found.probabilities(vectors.rows).numpy()
    assert np.allclose(probabilities, oracle.predict_proba(vectors.rows.numpy()), atol=1e-8)
    if labels > 2:
        apart = found.weights - found.weights[:1]
        assert np.allclose(apart.numpy(), oracle.coef_ - oracle.coef_[:1], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("examples", "labels", "dim"), SHAPES)
@pytest.mark.parametrize("shrinkage", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_leaving_one_out_equals_a_refit(examples: int, labels: int, dim: int, shrinkage: float, weight: float) -> None:
    vectors = cloud(examples, labels, dim)
    if weight:
        vectors = vectors.with_prototypes(*prototypes(labels, dim), weight=weight)
    found = fit_lda(vectors, shrinkages=[shrinkage])
    for place in range(examples):
        fewer = without(vectors, place)
        refit = fit_lda(fewer, shrinkages=[shrinkage])
        logits = refit.head.logits(vectors.rows[place]) + found.shares.log() - refit.shares.log()
        ours = found.out_of_fold_logits[place]
        assert torch.allclose(ours.log_softmax(0), logits.log_softmax(0), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("shrinkage", [0.05, 0.5, 1.0])
def test_leaving_all_copies_out_equals_a_refit(shrinkage: float) -> None:
    vectors = copied(cloud(20, 4, 8))
    found = fit_lda(vectors, shrinkages=[shrinkage])
    for place in range(20):
        refit = fit_lda(without(vectors, place), shrinkages=[shrinkage])
        logits = refit.head.logits(vectors.rows[place]) + found.shares.log() - refit.shares.log()
        assert torch.allclose(
            found.out_of_fold_logits[place].log_softmax(0), logits.log_softmax(0), rtol=1e-7, atol=1e-7
        )


@pytest.mark.parametrize(("examples", "labels", "dim"), SHAPES)
def test_ledoit_and_wolf_as_scikit_learn_on_the_residuals(examples: int, labels: int, dim: int) -> None:
    vectors = cloud(examples, labels, dim)
    means = torch.stack([vectors.rows[vectors.labels == label].mean(dim=0) for label in range(labels)])
    expected = ledoit_wolf_shrinkage((vectors.rows - means[vectors.labels]).numpy(), assume_centered=True)
    assert _ledoit_wolf(_Within.of(vectors)) == pytest.approx(expected, rel=1e-8)


def test_one_example_a_label_takes_the_shrinkage_of_ledoit_and_wolf() -> None:
    vectors = LabelledVectors.of(torch.eye(3), torch.arange(3), 3)
    assert fit_lda(vectors).strength == _ledoit_wolf(_Within.of(vectors))


def test_without_spread_within_the_labels_the_nearest_mean_decides() -> None:
    two = torch.tensor([[0.0, 1.0], [4.0, 1.0]])
    vectors = LabelledVectors.of(two.repeat(3, 1), torch.arange(6) % 2, 2)
    found = fit_lda(vectors)
    assert torch.equal(found.out_of_fold_logits.argmax(dim=1), vectors.labels)
    assert torch.allclose(found.head.logits(torch.tensor([[2.0, 7.0]])).diff(), torch.zeros(1).double(), atol=1e-12)
