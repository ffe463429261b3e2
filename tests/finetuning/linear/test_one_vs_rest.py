"""One logistic regression a label: scikit-learn's OneVsRestClassifier on the same vectors."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from nlptl.finetuning.linear import fit_one_vs_rest

PENALTY = 0.05


def drawn(rows: int = 90, dim: int = 6, labels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    vectors = torch.randn(rows, dim, generator=generator) * 3 + 1
    noise = torch.randn(rows, labels, generator=generator)
    return vectors, ((vectors - 1) @ torch.randn(dim, labels, generator=generator) + 3 * noise > 2).float()


def test_it_is_the_classifier_of_scikit_learn() -> None:
    vectors, targets = drawn()
    found = fit_one_vs_rest(vectors, targets, penalties=(PENALTY,))
    centred = (vectors - vectors.mean(dim=0)).double()
    scaled = (centred / centred.pow(2).mean().sqrt()).numpy()
    oracle = OneVsRestClassifier(LogisticRegression(C=2 / (len(scaled) * PENALTY), tol=1e-10, max_iter=10_000))
    expected = oracle.fit(scaled, targets.numpy()).decision_function(scaled)
    logits = found.head.logits(vectors).numpy()
    temperatures = expected.std(axis=0) / logits.std(axis=0)
    np.testing.assert_allclose(logits * temperatures, expected, atol=1e-4)
    assert np.all(oracle.predict(scaled) == (logits > 0))
    assert found.strengths == (PENALTY,) * 3


def test_held_out_logits_do_not_know_their_example() -> None:
    vectors, targets = drawn()
    flipped = targets.clone()
    flipped[0] = 1 - flipped[0]
    one, other = (fit_one_vs_rest(vectors, some, penalties=(PENALTY,)) for some in (targets, flipped))
    assert torch.isfinite(one.held_out_logits).all()
    accuracy = ((one.held_out_logits > 0) == (targets > 0)).double().mean()
    assert 0.6 < accuracy < ((one.head.logits(vectors) > 0) == (targets > 0)).double().mean()
    assert not torch.equal(one.head.logits(vectors), other.head.logits(vectors))


def test_labels_of_all_of_one_and_of_no_example() -> None:
    vectors, targets = drawn()
    targets[:, 0], targets[:, 1] = 1.0, 0.0
    targets[5, 1] = 1.0
    found = fit_one_vs_rest(vectors, targets)
    assert found.strengths[0] is None
    assert (found.head.logits(vectors)[:, 0] > 4).all()
    assert found.held_out_logits[5, 1].isnan(), "a fit without the only example of a label cannot know it"
    assert found.held_out_logits.isnan().sum() == 1
    assert fit_one_vs_rest(vectors, 1 - targets).head.logits(vectors)[0, 0] < -4
    assert found.how.startswith("One logistic regression for each of 3 labels; held-out examples chose penalties of ")


def test_copies_of_all_change_nothing() -> None:
    vectors, targets = drawn(rows=70)
    once = fit_one_vs_rest(vectors, targets, copies=torch.full((70,), 2), penalties=(PENALTY,))
    alone = fit_one_vs_rest(vectors, targets, penalties=(PENALTY,))
    torch.testing.assert_close(once.head.weights, alone.head.weights, atol=1e-5, rtol=1e-3)
