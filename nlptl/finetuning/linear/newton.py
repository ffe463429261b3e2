"""Newton's method with conjugate gradients for many softmax regressions on the same rows at once.

Shapes: N rows, P coordinates (the last one constant, for the bias), B problems, K labels.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

MAX_STEPS = 60
MIN_ENERGY = 1e-30  # nats
MIN_CURVATURE_SHARE = 1e-10  # of the diagonal's curvature
MIN_CURVATURE = 1e-12  # so that none is 0
MAX_INNER_STEPS = 200
MAX_HALVINGS = 30


@dataclasses.dataclass(frozen=True)
class Problems:
    """B problems: minimise sum_i weights_i loss(x_i theta, label_i) + penalty / 2 |theta|², with free biases."""

    design: Tensor  # (N, P), the last column constant 1
    labels: Tensor  # (N,)
    weights: Tensor  # (N, B); each problem's sum to 1
    penalties: Tensor  # (B,), above 0

    def of(self, chosen: Tensor) -> Problems:
        """Return the problems `chosen` (indices)."""
        return dataclasses.replace(self, weights=self.weights[:, chosen], penalties=self.penalties[chosen])

    def shrinkage(self) -> Tensor:
        """Return the penalty of each coordinate (P, B, 1); 0 of the bias."""
        free = torch.ones_like(self.design[0])
        free[-1] = 0
        return (free[:, None] * self.penalties)[:, :, None]

    def times(self, theta: Tensor) -> Tensor:
        """Return design theta (N, B, K) in one matrix product."""
        return (self.design @ theta.flatten(1)).view(-1, *theta.shape[1:])

    def gathered(self, errors: Tensor) -> Tensor:
        """Return design' errors (P, B, K)."""
        return (self.design.T @ errors.flatten(1)).view(-1, *errors.shape[1:])

    def squares(self, weights: Tensor) -> Tensor:
        """Return the sums over rows of weights (N, B, K) times squared columns, (P, B, K)."""
        return (self.design.pow(2).T @ weights.flatten(1)).view(-1, *weights.shape[1:])

    def objective(self, logits: Tensor, theta: Tensor) -> Tensor:
        """Return the value of each problem (B,)."""
        own = logits.gather(2, self.labels[:, None, None].expand(-1, logits.shape[1], 1))[:, :, 0]
        fit = (self.weights * (logits.logsumexp(dim=2) - own)).sum(dim=0)
        return fit + (self.shrinkage() * theta.pow(2)).sum(dim=(0, 2)) / 2

    def gradient(self, probabilities: Tensor, theta: Tensor) -> Tensor:
        """Return the gradient (P, B, K) at probabilities (N, B, K)."""
        errors = probabilities * self.weights[:, :, None]
        errors[torch.arange(len(errors)), :, self.labels] -= self.weights
        return self.gathered(errors) + self.shrinkage() * theta


def minimise(problems: Problems, start: Tensor, *, tolerance: float) -> Tensor:
    """Return theta (P, B, K) of every problem, by truncated Newton from `start` (Dembo, Eisenstat & Steihaug 1982).

    A problem is done when half its squared Newton decrement is below `tolerance`, in nats.
    """
    theta = start.clone()
    active = torch.arange(theta.shape[1], device=theta.device)
    for _ in range(MAX_STEPS):
        part, here = problems.of(active), theta[:, active]
        logits = part.times(here)
        probabilities = logits.softmax(dim=2)
        gradient = part.gradient(probabilities, here)
        direction = _newton_direction(part, probabilities, gradient)
        theta[:, active] = _step(part, here, logits, gradient, direction)
        active = active[-(gradient * direction).sum(dim=(0, 2)) / 2 > tolerance]
        if not len(active):
            break
    return theta


def _newton_direction(problems: Problems, probabilities: Tensor, gradient: Tensor) -> Tensor:
    """Solve curvature · direction = -gradient by conjugate gradients, with the diagonal as preconditioner."""
    weighted = probabilities * problems.weights[:, :, None]
    shrinkage = problems.shrinkage()
    inverse = 1 / (problems.squares(weighted * (1 - probabilities)) + shrinkage + MIN_CURVATURE)
    residual = -gradient
    solution = torch.zeros_like(residual)
    search = inverse * residual
    energy = first = (residual * search).sum(dim=(0, 2))
    enough = first * first.sqrt().clamp(max=0.06)
    for _ in range(MAX_INNER_STEPS):
        going = energy > enough + MIN_ENERGY
        if not bool(going.any()):
            break
        moved = problems.times(search)
        pushed = weighted * (moved - (probabilities * moved).sum(dim=2, keepdim=True))
        curved = problems.gathered(pushed) + shrinkage * search
        curvature = (search * curved).sum(dim=(0, 2))
        # equal biases for all labels change nothing
        least = MIN_CURVATURE_SHARE * (search.pow(2) / inverse).sum(dim=(0, 2))
        length = torch.where(going, energy / torch.maximum(curvature, least).clamp(min=1e-300), 0)[:, None]
        solution = solution + length * search
        residual = residual - length * curved
        scaled = inverse * residual
        before, energy = energy, torch.where(going, (residual * scaled).sum(dim=(0, 2)), energy)
        search = scaled + (energy / before.clamp(min=1e-300))[:, None] * search
    return solution


def _step(problems: Problems, theta: Tensor, logits: Tensor, gradient: Tensor, direction: Tensor) -> Tensor:
    """Return theta + length · direction; each length is halved until its objective falls enough (Armijo)."""
    moved = problems.times(direction)
    before = problems.objective(logits, theta)
    slope = (gradient * direction).sum(dim=(0, 2))
    length = torch.ones_like(before)
    rounding = 1e-14 * before.abs() + 1e-300
    for _ in range(MAX_HALVINGS):
        tried = theta + length[:, None] * direction
        value = problems.objective(logits + length[:, None] * moved, tried)
        falls = value <= before + 1e-4 * length * slope + rounding
        if bool(falls.all()):
            return tried
        length = torch.where(falls, length, length / 2)
    return theta + torch.where(falls, length, 0)[:, None] * direction
