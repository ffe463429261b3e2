"""Softmax regression with an L2 penalty, all folds and penalties solved side by side.

Shapes: n examples, N rows with prototypes, R dimensions of the span, K labels, F folds, S penalties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nlptl.errors import DataError
from nlptl.finetuning.linear.fitted import FittedHead, check_strengths, choose_strength, fitted, held_out_loss
from nlptl.finetuning.linear.labelled_vectors import LabelledVectors
from nlptl.finetuning.linear.newton import Problems, minimise
from nlptl.finetuning.linear.span import Span, span_of

PENALTIES = (1e-3, 1e-2, 1e-1, 3e-1, 1.0, 10.0, 100.0)
CAUTIOUS = 1.0  # where nothing can be held out
FOLDS = 5
FEWEST_FOLDS = 2
ONE_OUT_UP_TO = 64  # examples
WORSE = 1.2  # times the best held-out loss, from which weaker penalties are not tried any more
AT_ONCE = 1_000_000  # numbers in the logits (N, F S, K) that are solved together; small problems all are
SCREENED = 1e-5  # nats of mean loss: how exactly the folds are solved
EXACT = 1e-13  # the same, for the head itself


def fit_logistic(
    vectors: LabelledVectors,
    *,
    penalties: Sequence[float] = PENALTIES,
    folds: int = FOLDS,
    one_out_up_to: int = ONE_OUT_UP_TO,
) -> FittedHead:
    """Minimise mean log-loss + penalty / 2 |W'|² over W' (K, D) and free biases, on x' = (x - centre) / scale.

    Penalties above 0, in units of x' (see `Span`): scikit-learn's C is 1 / (N penalty) on x', and twice that for two
    labels, whose one row of weights it penalises. The penalty is chosen by leaving one out for up to `one_out_up_to`
    examples and by `folds` (at least 2) stratified folds for more, at label shares as in all rows (`training_weights`).
    More folds train on more and take longer; a larger penalty flattens.
    """
    check_strengths(penalties, most=math.inf, what="penalties")
    if folds < FEWEST_FOLDS:
        raise DataError(f"folds: found {folds}; expected at least 2. Raise the number of folds.")
    sums = vectors.label_weights()
    span = span_of(vectors)
    fold = vectors.folds(parts=folds, one_out_up_to=one_out_up_to)
    path = _out_of_fold(vectors, span, fold, penalties) if int(fold.max()) >= 0 else {}
    chosen = choose_strength(vectors, list(path), list(path.values())) if path else None
    strength = CAUTIOUS if chosen is None else chosen.strength
    shares = (vectors.weights / sums.sum())[:, None]
    problems = _problems(vectors, span, shares, torch.full_like(sums[:1], strength))
    theta = minimise(problems, _zeros(problems, len(sums)), tolerance=EXACT)[:, 0]
    count = int(fold.max()) + 1
    split = f"Stratified {count}-fold cross-validation" if count < int((fold >= 0).sum()) else "Leaving one out"
    how = f"{split} of {vectors.examples} examples chose penalty {strength:g} of {len(path)}"
    return fitted("logistic", vectors, span.head(theta[:-1].T, theta[-1]), chosen, strength, how)


def _out_of_fold(vectors: LabelledVectors, span: Span, fold: Tensor, penalties: Sequence[float]) -> dict[float, Tensor]:
    """Return logits (n, K) of the held-out examples for each penalty; 0 for those that are never held out.

    Large problems go from the strongest penalty down in batches, each starting where the last one ended, and stop when
    the held-out loss has become clearly worse: the weakest penalties take the longest.
    """
    weights = (vectors.training_weights(fold) / vectors.weights.sum()).T
    rows, folds = weights.shape
    width = max(1, AT_ONCE // (rows * folds * vectors.label_count))
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
        theta = minimise(problems, start, tolerance=SCREENED)
        for number, penalty in enumerate(part):
            solved = theta[:, number * folds : (number + 1) * folds]
            path[penalty] = _held_out_logits(problems.design[: vectors.examples], solved, fold)
            losses.append(held_out_loss(vectors, path[penalty]))
        if losses[-1] > WORSE * min(losses):
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
