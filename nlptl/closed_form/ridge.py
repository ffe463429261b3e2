"""Ridge regression on the labels, with exact leave-one-out predictions for a whole path of penalties.

Shapes: n examples, N rows with prototypes, R dimensions of the span, K labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nlptl.closed_form.fitted import FittedHead, check_strengths, choose_strength, fitted
from nlptl.closed_form.labelled_vectors import LabelledVectors
from nlptl.closed_form.span import Span, span_of

PENALTIES = tuple(10 ** (power / 2) for power in range(-6, 7))
CAUTIOUS = 1.0  # where nothing can be held out


def fit_ridge(vectors: LabelledVectors, *, penalties: Sequence[float] = PENALTIES) -> FittedHead:
    """Regress +1 (the label) and -1 (any other) on x' = (x - centre) / scale, one regression a label.

    Minimises the mean squared error plus penalty |W'|² over W' (K, D) and unpenalised biases; penalties above 0, in
    units of x' (see `Span`), so that they mean the same for every encoder. One eigendecomposition serves all of them.
    Leaving example i out changes its residual to residual / (1 - h_ii), with h the hat matrix, weights and intercept
    included (Allen 1974; Golub, Heath & Wahba 1979); centre and scale of x' stay, which only fixes the unit.
    Held out, a label is one example rarer than it is, so that very strong penalties look a little worse than they are.
    """
    check_strengths(penalties, most=math.inf, what="penalties")
    sums = vectors.label_weights()
    span = span_of(vectors)
    targets = 2.0 * torch.nn.functional.one_hot(vectors.labels, vectors.label_count).to(sums) - 1
    shares = vectors.weights / sums.sum()
    means = shares @ targets
    moments = (span.coordinates * shares[:, None]).T @ (targets - means)
    path = [_leave_one_out(vectors, span, targets, means, moments, penalty) for penalty in penalties]
    chosen = choose_strength(vectors, penalties, path)
    strength = CAUTIOUS if chosen is None else chosen.strength
    weights = (moments / (span.variances + strength)[:, None]).T
    how = f"Leaving one out of {vectors.examples} examples chose penalty {strength:g} of {len(penalties)}"
    return fitted("ridge", vectors, span.head(weights, means), chosen, strength, how)


def _leave_one_out(
    vectors: LabelledVectors, span: Span, targets: Tensor, means: Tensor, moments: Tensor, penalty: float
) -> Tensor:
    """Return predictions (n, K) of each example by the regressions without it."""
    coordinates, targets = span.coordinates[: vectors.examples], targets[: vectors.examples]
    inverse = 1 / (span.variances + penalty)
    predicted = means + coordinates @ (moments * inverse[:, None])
    leverage = (1 + coordinates.pow(2) @ inverse) / vectors.weights.sum()  # an example's weight is 1
    return targets - (targets - predicted) / (1 - leverage)[:, None]
