"""LogME: the evidence at its maximum, as a direct search over both precisions finds it, and the noise of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from nlptl.finetuning.linear.evidence import HALVES, evidence_of_halves, gram_of, log_evidence


def cloud(rows: int, dim: int, labels: int, *, apart: float = 2.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return vectors whose first coordinate tells the label, if `apart` is large."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.arange(rows) % labels
    vectors = torch.randn(rows, dim, generator=generator)
    vectors[:, 0] += apart * ids
    return vectors, ids


@pytest.mark.parametrize(("rows", "dim"), [(12, 30), (40, 6), (20, 20)])
def test_evidence_is_the_maximum_over_both_precisions(rows: int, dim: int) -> None:
    vectors, ids = cloud(rows, dim, 3)
    gram, best = gram_of(vectors).numpy(), []
    for label in range(3):
        target = (ids == label).double().numpy()

        def negative(logs: np.ndarray, target: np.ndarray = target) -> float:
            alpha, beta = np.exp(logs)
            covariance = np.eye(rows) / beta + gram / alpha
            return -float(multivariate_normal.logpdf(target, cov=covariance, allow_singular=True))

        best.append(-minimize(negative, [0.0, 0.0], method="Nelder-Mead").fun / rows)
    assert log_evidence(gram_of(vectors), ids, 3, dim) == pytest.approx(np.mean(best), abs=1e-4)


def test_evidence_does_not_depend_on_the_scale_of_vectors() -> None:
    vectors, ids = cloud(24, 8, 2)
    one, other = (log_evidence(gram_of(scale * vectors), ids, 2, 8) for scale in (1.0, 7.0))
    assert one == pytest.approx(other, abs=1e-7)


def test_vectors_that_tell_the_labels_have_more_evidence() -> None:
    telling, blind = (cloud(40, 16, 2, apart=apart) for apart in (3.0, 0.0))
    assert log_evidence(gram_of(telling[0]), telling[1], 2, 16) > log_evidence(gram_of(blind[0]), blind[1], 2, 16) + 0.1


def test_halves_hold_each_label_and_repeat_under_a_seed() -> None:
    vectors, ids = cloud(9, 4, 3)
    gram = gram_of(vectors)
    first, again = (
        evidence_of_halves(gram, ids, 3, 4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1)
    )
    assert torch.equal(first, again)
    assert len(first) == HALVES
    assert float(first.std()) > 0


def test_degenerate_vectors_have_a_finite_evidence() -> None:
    for vectors in (torch.zeros(6, 3), torch.ones(6, 3), torch.eye(6)):
        assert math.isfinite(log_evidence(gram_of(vectors), torch.arange(6) % 2, 2, vectors.shape[1]))
