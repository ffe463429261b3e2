"""Rounds of self-training: a teacher's soft labels of the pile, and a linear student that becomes the next teacher.

A ridge regression on whitened views learns the soft labels of the whole pile at once (self-training: Yarowsky 1995). The views
see what the teacher does not, which is what makes the student better (co-training: Blum & Mitchell 1998).
The shares of the labels are those that the last teacher predicts (distribution alignment: Berthelot et al. 2020).

Shapes: P texts of the pile, B texts, F features, D dimension, K labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from nlptl.finetuning.linear import LinearHead
from nlptl.pretraining.views.space import Space

POWER = 0.5  # of the space of the encoder's own vectors: weak directions are raised, noise is not made equal to them
SHRINKAGE = 0.3  # of the whitened features in the ridge regression
INVERSE_TEMPERATURE = 3.0  # of scores with a root mean square of 1
SHARE_ROUNDS, SHARE_TOLERANCE = 200, 1e-4  # of fitting the bias to the shares
EQUAL_SHARES = 0.02
"""Weight of equal shares of the labels beside the predicted ones, so that no label dies out. Each round mixes them in twice: with
0.1 a student lost 11 points on piles whose labels are 90 to 10, with this it gains 0.9; on the sets as they are 1.7 and 2.0."""
MIN_SHARE = 1e-9
MIN_SPREAD = 1e-6  # of scores


@dataclasses.dataclass(frozen=True)
class Rounds:
    """Settings of the rounds."""

    rounds: int = 8
    directions: int = 40  # of each view


def predicted_shares(logits: Tensor) -> Tensor:
    """Return the share (K,) of the pile that each label is predicted for, by logits (P, K), mixed with equal shares."""
    counts = torch.bincount(logits.argmax(dim=1), minlength=logits.shape[1]).double()
    return (1 - EQUAL_SHARES) * counts / counts.sum() + EQUAL_SHARES / len(counts)


def share_bias(logits: Tensor, shares: Tensor) -> Tensor:
    """Return the bias (K,) under which the mean probabilities of logits (P, K) are the `shares` (K,)."""
    bias = torch.zeros_like(shares)
    for _ in range(SHARE_ROUNDS):
        step = shares.log() - (logits + bias).softmax(dim=1).mean(dim=0).clamp(min=MIN_SHARE).log()
        bias = bias + step
        if float(step.abs().max()) < SHARE_TOLERANCE:
            break
    return bias


def self_trained(vectors: Sequence[Tensor], teacher: Tensor, settings: Rounds) -> LinearHead:
    """Return a linear head over the joined vectors, learnt from a teacher's logits (P, K) of the pile.

    `vectors` holds the pile's vectors (P, D) in the encoder's own view, then those in the other ones, which have spaces of the
    pile already. The head's logits are not calibrated.
    """
    powers = [POWER, *(0.0 for _ in vectors[1:])]
    pairs = list(zip(vectors, powers, strict=True))
    spaces = [Space.of(view, directions=settings.directions, power=power) for view, power in pairs]
    features = torch.cat([space(view) for space, view in zip(spaces, vectors, strict=True)], dim=1)
    whitening = Space.of(features, directions=features.shape[1], power=1.0, shrinkage=SHRINKAGE)
    white = whitening(features)
    head = LinearHead(white.new_zeros(teacher.shape[1], white.shape[1]), white.new_zeros(teacher.shape[1]))
    scores, shares = _standard(teacher.double()), predicted_shares(teacher)
    for _ in range(settings.rounds):
        logits = INVERSE_TEMPERATURE * scores
        soft = (logits + share_bias(logits, shares)).softmax(dim=1)
        head = _student(white, soft)
        logits = head.logits(white)
        scores, shares = _standard(logits), predicted_shares(logits)
    return _over_vectors(spaces, whitening, head)


def _student(white: Tensor, soft: Tensor) -> LinearHead:
    """Return the head over whitened features (P, F) that learns soft labels (P, K), at their shares."""
    weights = white.T @ (soft - soft.mean(dim=0)) / len(soft)
    weights = weights - weights.mean(dim=1, keepdim=True)
    weights = INVERSE_TEMPERATURE * weights / _spread(white @ weights)
    return LinearHead(weights.T, share_bias(white @ weights, predicted_shares(soft)))


def _standard(scores: Tensor) -> Tensor:
    """Return scores (P, K) without the means of rows and columns, with a root mean square of 1."""
    centred = scores - scores.mean(dim=0)
    centred = centred - centred.mean(dim=1, keepdim=True)
    return centred / _spread(centred)


def _spread(scores: Tensor) -> Tensor:
    return scores.pow(2).mean().sqrt().clamp(min=MIN_SPREAD)


def _over_vectors(spaces: Sequence[Space], whitening: Space, head: LinearHead) -> LinearHead:
    """Return the head over the joined vectors (B, D) as they come, from one over whitened features."""
    by_feature = whitening.axes @ head.weights.T  # (F, K)
    bias = head.bias - whitening.centre @ by_feature
    parts = []
    for space, own in zip(spaces, torch.split(by_feature, [space.axes.shape[1] for space in spaces]), strict=True):
        parts.append(space.axes @ own)
        bias = bias - space.centre @ parts[-1]
    return LinearHead(torch.cat(parts).T, bias)
