"""Logistic regression on soft labels against scikit-learn's on hard ones, and against its own gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from nlptl.finetuning.distillation.soft_logistic import SoftTask, fit_soft

PENALTY = 0.02


def task(*, labels: int = 3, rows: int = 60, multi_label: bool = False, sparse: bool = True) -> SoftTask:
    rng = np.random.default_rng(1)
    dense, words = rng.normal(size=(rows, 4)), rng.poisson(0.4, size=(rows, 7)).astype(float)
    targets = rng.dirichlet(np.ones(labels), size=rows)
    weights = np.full(rows, 1 / rows)
    return SoftTask([dense, csr_matrix(words) if sparse else words], targets, weights, multi_label)


def test_hard_labels_give_the_minimum_of_scikit_learn() -> None:
    soft = task()
    labels = np.tile([0, 1, 2], 20)
    hard = SoftTask(soft.blocks, np.eye(3)[labels], soft.weights)
    found = fit_soft(hard, [PENALTY, PENALTY])
    features = np.concatenate([soft.blocks[0], soft.blocks[1].toarray()], axis=1)
    peer = LogisticRegression(C=1 / (PENALTY * len(labels)), tol=1e-10, max_iter=10_000).fit(features, labels)
    theirs = np.split(peer.coef_.T, [4])
    for own, weights in zip(found.weights, theirs, strict=True):
        np.testing.assert_allclose(own, weights, atol=2e-3)


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_result_is_a_minimum(multi_label: bool) -> None:
    soft = task(multi_label=multi_label)
    found = fit_soft(soft, [PENALTY, 3 * PENALTY])

    def objective(shift: float, block: int, row: int, label: int) -> float:
        moved = [own.copy() for own in found.weights]
        moved[block][row, label] += shift
        logits = sum((b @ w for b, w in zip(soft.blocks, moved, strict=True)), found.bias)
        shrunk = sum(p / 2 * (w**2).sum() for p, w in zip((PENALTY, 3 * PENALTY), moved, strict=True))
        return soft.loss(logits) + shrunk

    for block, row, label in ((0, 0, 0), (0, 3, 2), (1, 0, 1), (1, 6, 2)):
        best = objective(0.0, block, row, label)
        assert objective(0.05, block, row, label) > best
        assert objective(-0.05, block, row, label) > best


def test_dense_and_sparse_rows_are_the_same_and_a_start_changes_nothing() -> None:
    one, two = fit_soft(task(), [PENALTY, PENALTY]), fit_soft(task(sparse=False), [PENALTY, PENALTY])
    np.testing.assert_allclose(one.weights[1], two.weights[1], atol=1e-6)
    again = fit_soft(task(), [PENALTY, PENALTY], start=fit_soft(task(), [1.0, 1.0]))
    np.testing.assert_allclose(again.logits(task().blocks), one.logits(task().blocks), atol=2e-3)


def test_an_infinite_penalty_leaves_a_block_out() -> None:
    soft = task()
    found = fit_soft(soft, [PENALTY, math.inf])
    assert not found.weights[1].any()
    alone = fit_soft(SoftTask(soft.blocks[:1], soft.targets, soft.weights), [PENALTY])
    np.testing.assert_allclose(found.weights[0], alone.weights[0])


def test_a_weight_counts_a_row_as_often() -> None:
    soft = task()
    weights = np.ones(60)
    weights[:20] = 2
    heavy = SoftTask(soft.blocks, soft.targets, weights / weights.sum())
    twice = soft.of(np.concatenate([np.arange(60), np.arange(20)]))
    one, two = fit_soft(heavy, [PENALTY, PENALTY]), fit_soft(twice, [PENALTY, PENALTY])
    np.testing.assert_allclose(one.weights[0], two.weights[0], atol=2e-3)
