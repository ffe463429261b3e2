"""Ridge regression on the labels, with exact leave-one-out predictions for a whole path of penalties.

Shapes: n examples, N rows with prototypes, R dimensions of the span, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from nlptl.finetuning.linear.fitted import FittedHead, choose_strength, fitted
from nlptl.finetuning.linear.labelled_vectors import MIN_WEIGHT, LabelledVectors
from nlptl.finetuning.linear.span import Span, span_of

PENALTIES = tuple(10 ** (power / 2) for power in range(-6, 7))
FALLBACK_PENALTY = 1.0  # if nothing can be held out
MAX_DECOMPOSITION_COST = 2e8  # labels times the cube of the dimensions: about a second


def fit_ridge(vectors: LabelledVectors, *, penalties: Sequence[float] = PENALTIES) -> FittedHead:
    """Regress +1 (the label) and -1 (any other) on x' = (x - centre) / scale, one regression a label.

    Minimises the mean squared error plus penalty |W'|² over W' (K, D) and unpenalised biases. Penalties are above 0, in
    units of x' (see `Span`). One eigendecomposition serves all of them. Leaving example i out changes its residual to
    residual / (1 - h_ii), with h the hat matrix of weights and intercept (Allen 1974; Golub, Heath & Wahba 1979).

    The remaining rows of a label share the weight of the example left out (`LabelledVectors.training_weights`), by one
    decomposition a label and number of copies. Above `MAX_DECOMPOSITION_COST` the label becomes one example rarer.
    """
    sums = vectors.label_weights()
    span = span_of(vectors)
    z, targets = span.coordinates, 2.0 * one_hot(vectors.labels, vectors.label_count).to(sums) - 1
    examples = torch.arange(vectors.examples, device=z.device)
    path = z.new_zeros(len(penalties), vectors.examples, vectors.label_count)
    if not z.shape[
        1
    ]:  # equal rows tell nothing; a temperature would take rounding errors for a sign of the label left out
        path[:] = 2 * sums / sums.sum() - 1
    elif keeps_shares(vectors, span):
        kinds = torch.stack([vectors.labels[examples].to(sums), vectors.weights[examples]], dim=1)
        for kind in torch.unique(kinds, dim=0):  # examples of one label that stand equally often
            label, held = int(kind[0]), examples[(kinds == kind).all(dim=1)]
            left = sums[label] - kind[1]
            heavier = torch.where(vectors.labels == label, sums[label] / left.clamp(min=MIN_WEIGHT), 1.0)
            path[:, held] = _Regression(z, targets, vectors.weights * heavier, sums.sum()).without(held, penalties)
    else:
        path[:] = _Regression(z, targets, vectors.weights, sums.sum()).without(examples, penalties)
    chosen = choose_strength(vectors, penalties, list(path))
    strength = FALLBACK_PENALTY if chosen is None else chosen.strength
    weights, bias = _Regression(z, targets, vectors.weights, sums.sum()).solution(strength)
    how = f"Leaving one out of {vectors.examples} examples chose penalty {strength:g} of {len(penalties)}"
    return fitted("ridge", vectors, span.head(weights, bias), chosen, strength, how)


def keeps_shares(vectors: LabelledVectors, span: Span) -> bool:
    """Tell whether each refit can keep the label shares at little cost."""
    return vectors.label_count * span.coordinates.shape[1] ** 3 <= MAX_DECOMPOSITION_COST


class _Regression:
    """Weighted ridge regressions with intercepts, along the principal axes of the weighted coordinates."""

    def __init__(self, coordinates: Tensor, targets: Tensor, weights: Tensor, total: Tensor) -> None:
        """Decompose coordinates (N, R) with targets (N, K) and weights (N,); `total` is the unit of the penalty."""
        self.targets, self.weights, self.total = targets, weights, total
        shares = weights / weights.sum()
        self.centre, self.means = shares @ coordinates, shares @ targets
        centred = coordinates - self.centre
        scatter, self.axes = torch.linalg.eigh((centred * weights[:, None]).T @ centred)
        self.scatter, self.rows = scatter.clamp(min=0), centred @ self.axes
        self.moments = (self.rows * weights[:, None]).T @ (targets - self.means)

    def solution(self, penalty: float) -> tuple[Tensor, Tensor]:
        """Return weights (K, R) of the coordinates and biases (K,)."""
        weights = (self.axes @ (self.moments / (self.scatter + penalty * self.total)[:, None])).T
        return weights, self.means - weights @ self.centre

    def without(self, held: Tensor, penalties: Sequence[float]) -> Tensor:
        """Return predictions (S, n held, K) of each row `held` by the regressions without it."""
        rows, targets, weights = self.rows[held], self.targets[held], self.weights[held]
        squares, out = rows.pow(2), []
        for penalty in penalties:
            inverse = 1 / (self.scatter + penalty * self.total)
            predicted = self.means + rows @ (self.moments * inverse[:, None])
            leverage = weights * (1 / self.weights.sum() + squares @ inverse)
            out.append(targets - (targets - predicted) / (1 - leverage).clamp(min=MIN_WEIGHT)[:, None])
        return torch.stack(out)
