"""Ridge: scikit-learn's, leaving one out by brute force, and its edges."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import Ridge

from nlptl.finetuning.linear import LabelledVectors, fit_lda, fit_logistic, fit_ridge
from nlptl.finetuning.linear.solver_choice import SolverFit
from nlptl.finetuning.linear.span import span_of
from tests.finetuning.linear.clouds import cloud, copied, prototypes

SHAPES = [(12, 2, 30), (12, 3, 5), (40, 4, 8), (20, 4, 60)]


def oracle(vectors: LabelledVectors, penalty: float, weights: torch.Tensor) -> torch.Tensor:
    """Predictions (N, K) by scikit-learn's on x' of all rows; its penalty is for the sum of squares."""
    span = span_of(vectors)
    inside = ((vectors.rows - span.centre) / span.scale).numpy()
    targets = 2.0 * torch.nn.functional.one_hot(vectors.labels, vectors.label_count).numpy() - 1
    model = Ridge(alpha=penalty * float(vectors.weights.sum()), tol=1e-12)
    return torch.from_numpy(model.fit(inside, targets, weights.numpy()).predict(inside))


@pytest.mark.parametrize("keeps_shares", [True, False])
@pytest.mark.parametrize(("examples", "labels", "dim"), SHAPES)
@pytest.mark.parametrize("penalty", [0.01, 1.0])
@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_equals_scikit_learn_with_and_without_each_example(
    monkeypatch: pytest.MonkeyPatch,
    keeps_shares: bool,
    examples: int,
    labels: int,
    dim: int,
    penalty: float,
    weight: float,
) -> None:
    if not keeps_shares:
        monkeypatch.setattr("nlptl.finetuning.linear.ridge.MAX_DECOMPOSITION_COST", 0)
    vectors = cloud(examples, labels, dim)
    if weight:
        vectors = vectors.with_prototypes(*prototypes(labels, dim), weight=weight)
    found = fit_ridge(vectors, penalties=[penalty])
    assert torch.allclose(found.head.logits(vectors.rows), oracle(vectors, penalty, vectors.weights), atol=1e-8)
    fewer = vectors.training_weights(torch.arange(examples))
    for place in range(examples):
        weights = fewer[place] if keeps_shares else vectors.weights * (torch.arange(len(vectors.rows)) != place)
        expected = oracle(vectors, penalty, weights)[place]
        assert torch.allclose(found.out_of_fold_logits[place], expected, atol=1e-7)


@pytest.mark.parametrize("keeps_shares", [True, False])
def test_leaving_all_copies_out_equals_a_refit(monkeypatch: pytest.MonkeyPatch, keeps_shares: bool) -> None:
    if not keeps_shares:
        monkeypatch.setattr("nlptl.finetuning.linear.ridge.MAX_DECOMPOSITION_COST", 0)
    vectors = copied(cloud(18, 3, 6))
    found = fit_ridge(vectors, penalties=[0.1])
    fewer = vectors.training_weights(torch.arange(18))
    for place in range(18):
        weights = fewer[place] if keeps_shares else vectors.weights * (torch.arange(18) != place)
        assert torch.allclose(found.out_of_fold_logits[place], oracle(vectors, 0.1, weights)[place], atol=1e-7)


def test_the_path_equals_one_penalty_at_a_time() -> None:
    vectors = cloud(18, 3, 40)
    chosen = fit_ridge(vectors)
    alone = fit_ridge(vectors, penalties=[chosen.strength])
    assert torch.equal(chosen.out_of_fold_logits, alone.out_of_fold_logits)
    assert chosen.loss == alone.loss
    assert "Leaving one out of 18 examples chose penalty" in chosen.how


@pytest.mark.parametrize("fit", [fit_ridge, fit_lda, fit_logistic])
@pytest.mark.parametrize("counts", [(4, 4), (3, 5), (7, 2), (30, 11)])
@pytest.mark.parametrize("value", [0.0, 0.3])
def test_equal_rows_tell_no_label(fit: SolverFit, counts: tuple[int, int], value: float) -> None:
    labels = torch.tensor([0] * counts[0] + [1] * counts[1])
    found = fit(LabelledVectors.of(torch.full((len(labels), 3), value), labels, 2))
    assert torch.allclose(found.out_of_fold_logits.softmax(1), found.out_of_fold_logits[:1].softmax(1), atol=1e-12)
    shares = labels.bincount() / len(labels)
    assert found.loss is not None
    assert found.loss >= float(-(shares * shares.log()).sum()) - 1e-6, "no less than the labels' shares alone tell"
