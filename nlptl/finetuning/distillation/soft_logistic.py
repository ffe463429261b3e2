"""Logistic regression on soft labels, over blocks of dense and sparse features with a penalty each.

Shapes: n texts, F features of a block, K labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlptl.training.compute import one_blas_thread

Floats = NDArray[np.float64]
Block = Any  # NDArray (n, F) or csr_matrix (n, F), of float64

MAX_STEPS = 200
TOLERANCE = 1e-7  # relative change of the loss at which L-BFGS stops
MEMORY = 10  # pairs of steps and gradients of L-BFGS


@dataclasses.dataclass(frozen=True)
class SoftTask:
    """Texts with soft labels: minimise sum_i weights_i loss(sum_b x_b W_b + bias, targets_i) + sum_b penalty_b / 2 |W_b|²."""

    blocks: Sequence[Block]
    targets: Floats  # (n, K)
    weights: Floats  # (n,), which sum to 1
    multi_label: bool = False  # each label is a question of its own: sigmoids in place of the softmax

    def of(self, rows: NDArray[np.int64]) -> SoftTask:
        """Return the task of some texts alone."""
        weights = self.weights[rows]
        blocks = [block[rows] for block in self.blocks]
        return dataclasses.replace(self, blocks=blocks, targets=self.targets[rows], weights=weights / weights.sum())

    def loss(self, logits: Floats) -> float:
        """Return the mean cross-entropy, in nats, of logits (n, K) against the targets."""
        return float(self.weights @ _losses(logits, self.targets, self.multi_label))


@dataclasses.dataclass(frozen=True)
class SoftHead:
    """logits = sum of block @ weights of each block + bias."""

    weights: Sequence[Floats]  # (F, K) each
    bias: Floats  # (K,)

    def logits(self, blocks: Sequence[Block]) -> Floats:
        """Return logits (n, K)."""
        found: Floats = sum((block @ own for block, own in zip(blocks, self.weights, strict=True)), self.bias)
        return found


def fit_soft(task: SoftTask, penalties: Sequence[float], *, start: SoftHead | None = None) -> SoftHead:
    """Return the minimum by L-BFGS (Nocedal 1980), from `start` if it is given. An infinite penalty leaves its block at zero."""
    from scipy.optimize import minimize

    width = task.targets.shape[1]
    used = [place for place, penalty in enumerate(penalties) if np.isfinite(penalty)]
    sizes = [task.blocks[place].shape[1] for place in used]
    blocks = [task.blocks[place] for place in used]
    transposed: list[Block] = [block.T.tocsr() if hasattr(block, "tocsr") else block.T for block in blocks]

    def objective(flat: Floats) -> tuple[float, Floats]:
        *weights, bias = _parts(flat, sizes, width)
        logits = sum((block @ own for block, own in zip(blocks, weights, strict=True)), bias[0])
        errors = (_probabilities(logits, task.multi_label) - task.targets) * task.weights[:, None]
        slopes = [
            turned @ errors + penalties[place] * own
            for turned, place, own in zip(transposed, used, weights, strict=True)
        ]
        shrunk = sum(penalties[place] / 2 * float((own**2).sum()) for place, own in zip(used, weights, strict=True))
        gradient = np.concatenate([*(slope.ravel() for slope in slopes), errors.sum(axis=0)])
        return task.loss(logits) + shrunk, gradient

    first = np.zeros((sum(sizes) + 1) * width)
    if start is not None:
        first = np.concatenate([*(start.weights[place].ravel() for place in used), start.bias])
    with one_blas_thread():
        found = minimize(
            objective, first, jac=True, method="L-BFGS-B", options={"maxiter": MAX_STEPS, "ftol": TOLERANCE, "maxcor": MEMORY}
        )  # fmt: skip
    *solved, bias = _parts(found.x, sizes, width)
    every = [np.zeros((block.shape[1], width)) for block in task.blocks]
    for place, own in zip(used, solved, strict=True):
        every[place] = own
    return SoftHead(every, bias[0])


def _parts(flat: Floats, sizes: Sequence[int], width: int) -> list[Floats]:
    """Return the weights of each block and the bias (1, K), as views of one vector."""
    rows = flat.reshape(-1, width)
    return np.split(rows, np.cumsum(sizes))


def _probabilities(logits: Floats, multi_label: bool) -> Floats:
    if multi_label:
        sigmoid: Floats = 0.5 * (1 + np.tanh(logits / 2))
        return sigmoid
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _losses(logits: Floats, targets: Floats, multi_label: bool) -> Floats:
    """Return the cross-entropy (n,) of each text."""
    if multi_label:
        found: Floats = (np.logaddexp(0, logits) - targets * logits).sum(axis=1)
        return found
    highest = logits.max(axis=1)
    total = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    losses: Floats = total * targets.sum(axis=1) - (targets * logits).sum(axis=1)
    return losses
