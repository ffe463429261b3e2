"""Result of a fit, and the choice of one strength (penalty or shrinkage) among several.

Shapes: n examples, K labels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nlptl.evaluation.calibration import fit_temperature, log_losses
from nlptl.finetuning.linear.labelled_vectors import LabelledVectors
from nlptl.finetuning.linear.linear_head import LinearHead, with_temperature

LOSS_TOLERANCE = 1e-6  # nats: losses that differ by less are equal


@dataclasses.dataclass(frozen=True)
class FittedHead:
    """Head fitted on all rows, with its out-of-fold predictions."""

    method: str  # ridge, lda or logistic
    head: LinearHead  # as fitted; its logits are not calibrated
    strength: float  # the chosen penalty or shrinkage
    out_of_fold_logits: Tensor  # (n, K): logits of each example by a head without it. NaN for the only row of a label.
    labels: Tensor  # label ids of the examples (n,)
    shares: Tensor  # share of each label in the weight of the rows (K,). These are the priors of the head.
    temperature: float  # temperature of the out-of-fold logits, or of the training logits if nothing was held out
    loss: float | None  # mean log-loss of the out-of-fold logits at it, in nats; None if nothing was held out
    how: str  # one sentence on the choice of the strength

    @property
    def scored(self) -> Tensor:
        """Whether each example was held out (n,), bool."""
        return ~self.out_of_fold_logits.isnan().any(dim=1)

    def accuracy(self) -> float | None:
        """Return the held-out accuracy; None if nothing was held out."""
        if not bool(self.scored.any()):
            return None
        predicted = self.out_of_fold_logits[self.scored].argmax(dim=1)
        return float((predicted == self.labels[self.scored]).double().mean())

    def losses(self) -> Tensor:
        """Return the log-loss of each scored example at the temperature."""
        return self.losses_on(self.scored)

    def losses_on(self, examples: Tensor) -> Tensor:
        """Return the log-losses at the temperature of the examples in a mask (n,)."""
        return log_losses(self.out_of_fold_logits[examples] / self.temperature, self.labels[examples])

    def calibrated(self) -> LinearHead:
        """Return the head with its temperature applied."""
        return with_temperature(self.head, self.temperature)


@dataclasses.dataclass(frozen=True)
class ChosenStrength:
    """One strength, with its temperature and held-out loss."""

    strength: float
    out_of_fold_logits: Tensor
    temperature: float
    loss: float


def choose_strength(
    vectors: LabelledVectors, strengths: Sequence[float], path: Sequence[Tensor]
) -> ChosenStrength | None:
    """Choose a strength by its out-of-fold logits (n, K). Return None if no example can be held out.

    Each is scored by its mean log-loss at its own best temperature. The strongest within one standard error of the best
    wins (Breiman et al. 1984), over paired differences. With few examples losses differ by chance, and a strong choice
    costs less, since the temperature undoes plain shrinkage.
    """
    scored = vectors.can_be_held_out()
    if not bool(scored.any()):
        return None
    labels = vectors.labels[: vectors.examples]
    choices, losses = [], []
    for strength, logits in zip(strengths, path, strict=True):
        temperature = fit_temperature(logits[scored], labels[scored])
        losses.append(log_losses(logits[scored] / temperature, labels[scored]))
        hidden = torch.where(scored[:, None], logits, math.nan)
        choices.append(ChosenStrength(strength, hidden, temperature, float(losses[-1].mean())))
    best = min(range(len(choices)), key=lambda place: choices[place].loss)
    alike = [choice for choice, each in zip(choices, losses, strict=True) if within_one_error(each, losses[best])]
    return max(alike, key=lambda choice: choice.strength)


def within_one_error(losses: Tensor, best: Tensor) -> bool:
    """Tell whether losses (n,) exceed the best ones by at most one paired standard error."""
    apart = losses - best
    error = float(apart.std(correction=1)) / len(apart) ** 0.5 if len(apart) > 1 else 0.0
    return float(apart.mean()) <= error + LOSS_TOLERANCE


def held_out_loss(vectors: LabelledVectors, logits: Tensor) -> float:
    """Return the mean log-loss of the held-out rows of logits (n, K), at their best temperature."""
    scored = vectors.can_be_held_out()
    labels = vectors.labels[: vectors.examples][scored]
    return float(log_losses(logits[scored] / fit_temperature(logits[scored], labels), labels).mean())


def fitted(
    method: str, vectors: LabelledVectors, head: LinearHead, chosen: ChosenStrength | None, strength: float, told: str
) -> FittedHead:
    """Return the result of a fit, calibrated on the training logits if nothing was held out."""
    labels = vectors.labels[: vectors.examples]
    if chosen is None:
        logits = head.logits(vectors.rows[: vectors.examples])
        temperature, loss = fit_temperature(logits, labels), None
        out_of_fold = torch.full_like(logits, math.nan)
        why = "The rows of each label are copies of one text" if vectors.has_copies() else "No label has a second row"
        how = f"{why}, so nothing was held out. The strength is the cautious {strength:g}."
    else:
        temperature, loss, out_of_fold = chosen.temperature, chosen.loss, chosen.out_of_fold_logits
        only = "text" if vectors.has_copies() else "row"
        left = vectors.examples - int(vectors.can_be_held_out().sum())
        how = f"{told} (held-out log-loss {loss:.3f})" + (
            f"; {left} could not be held out, each the only {only} of its label." if left else "."
        )
    sums = vectors.label_weights()
    return FittedHead(method, head, strength, out_of_fold, labels, sums / sums.sum(), temperature, loss, how)
