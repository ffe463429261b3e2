"""Softmax regression with an L2 penalty, all folds and penalties solved side by side.

Shapes: n examples, N rows with prototypes, R dimensions of the span, K labels, F folds, S penalties.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nlptl.finetuning.linear.fitted import FittedHead, choose_strength, fitted, held_out_loss
from nlptl.finetuning.linear.labelled_vectors import LabelledVectors
from nlptl.finetuning.linear.newton import Problems, minimise
from nlptl.finetuning.linear.span import Span, span_of

PENALTIES = (1e-3, 1e-2, 1e-1, 3e-1, 1.0, 10.0, 100.0)
FALLBACK_PENALTY = 1.0  # if nothing can be held out
FOLDS = 5
MAX_EXAMPLES_ONE_OUT = 64
STOP_RATIO = 1.2  # of the best held-out loss, from which weaker penalties are not tried
MAX_LOGITS = 1_000_000  # numbers in the logits (N, F S, K) of problems that are solved together
FOLD_TOLERANCE = 1e-5  # nats of mean loss
HEAD_TOLERANCE = 1e-13


def fit_logistic(
    vectors: LabelledVectors, *, penalties: Sequence[float] = PENALTIES, one_out_up_to: int = MAX_EXAMPLES_ONE_OUT
) -> FittedHead:
    """Minimise mean log-loss + penalty / 2 |W'|² over W' (K, D) and free biases, on x' = (x - centre) / scale.

    Penalties are above 0, in units of x' (see `Span`). scikit-learn's C is 1 / (N penalty) on x', and twice that for two
    labels. Up to `one_out_up_to` examples, leaving one out chooses the penalty; for more, stratified cross-validation.
    """
    sums = vectors.label_weights()
    span = span_of(vectors)
    fold = vectors.folds(parts=FOLDS, one_out_up_to=one_out_up_to)
    path = _out_of_fold(vectors, span, fold, penalties) if int(fold.max()) >= 0 else {}
    chosen = choose_strength(vectors, list(path), list(path.values())) if path else None
    strength = FALLBACK_PENALTY if chosen is None else chosen.strength
    shares = (vectors.weights / sums.sum())[:, None]
    problems = _problems(vectors, span, shares, torch.full_like(sums[:1], strength))
    theta = minimise(problems, _zeros(problems, len(sums)), tolerance=HEAD_TOLERANCE)[:, 0]
    count = int(fold.max()) + 1
    split = f"Stratified {count}-fold cross-validation" if count < int((fold >= 0).sum()) else "Leaving one out"
    how = f"{split} of {vectors.examples} examples chose penalty {strength:g} of {len(path)}"
    return fitted("logistic", vectors, span.head(theta[:-1].T, theta[-1]), chosen, strength, how)


def _out_of_fold(vectors: LabelledVectors, span: Span, fold: Tensor, penalties: Sequence[float]) -> dict[float, Tensor]:
    """Return the held-out logits (n, K) for each penalty; 0 for examples that are never held out.

    Large problems go from the strongest penalty down in batches, each from the last solution, until the held-out loss
    is clearly worse: the weakest penalties take the longest.
    """
    weights = (vectors.training_weights(fold) / vectors.weights.sum()).T
    rows, folds = weights.shape
    width = max(1, MAX_LOGITS // (rows * folds * vectors.label_count))
    falling = sorted(set(penalties), reverse=True)
    path: dict[float, Tensor] = {}
    losses: list[float] = []
    theta: Tensor | None = None
    for begin in range(0, len(falling), width):
        part = falling[begin : begin + width]
        strengths = weights.new_tensor(part).repeat_interleave(folds)
        problems = _problems(vectors, span, weights.repeat(1, len(part)), strengths)
        start = _zeros(problems, vectors.label_count)
        if theta is not None:
            start = theta[:, -folds:].repeat(1, len(part), 1)
        theta = minimise(problems, start, tolerance=FOLD_TOLERANCE)
        for number, penalty in enumerate(part):
            solved = theta[:, number * folds : (number + 1) * folds]
            path[penalty] = _held_out_logits(problems.design[: vectors.examples], solved, fold)
            losses.append(held_out_loss(vectors, path[penalty]))
        if losses[-1] > STOP_RATIO * min(losses):
            break
    return path


def _held_out_logits(design: Tensor, theta: Tensor, fold: Tensor) -> Tensor:
    """Return the logits (n, K) of each example by the solution (P, F, K) of its fold."""
    logits = design.new_zeros(len(design), theta.shape[2])
    for number in range(theta.shape[1]):
        rows = (fold == number).nonzero()[:, 0]
        logits[rows] = design[rows] @ theta[:, number]
    return logits


def _problems(vectors: LabelledVectors, span: Span, weights: Tensor, penalties: Tensor) -> Problems:
    one = span.coordinates.new_ones(len(span.coordinates), 1)
    design = torch.cat([span.coordinates, one], dim=1)
    return Problems(design, vectors.labels, weights, penalties)


def _zeros(problems: Problems, label_count: int) -> Tensor:
    return problems.design.new_zeros(problems.design.shape[1], problems.weights.shape[1], label_count)
