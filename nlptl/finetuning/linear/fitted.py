"""What a fit gives back, and how one strength is chosen among a path of them.

Shapes: n examples, K labels, S strengths.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nlptl.errors import DataError
from nlptl.evaluation.calibration import fit_temperature, log_losses
from nlptl.finetuning.linear.labelled_vectors import LabelledVectors
from nlptl.finetuning.linear.linear_head import LinearHead, Priors, with_priors, with_temperature

EQUAL = 1e-6  # nats: losses nearer than this are the same one


@dataclasses.dataclass(frozen=True)
class FittedHead:
    """A head fitted on all rows, with what heads that had not seen an example say of it."""

    method: str
    """ridge, lda or logistic."""
    head: LinearHead
    """As fitted: its logits are not calibrated yet."""
    strength: float
    """The penalty or shrinkage that was chosen."""
    out_of_fold_logits: Tensor
    """(n, K): logits of each example by a head fitted without it; NaN where it is the only row of its label."""
    labels: Tensor
    """Label ids of the examples (n,)."""
    shares: Tensor
    """Share of each label in the weight of the rows (K,): the priors that the head was fitted at."""
    temperature: float
    """Of the out-of-fold logits; of the training logits where nothing could be held out."""
    loss: float | None
    """Mean log-loss of the out-of-fold logits at this temperature, in nats; None where nothing could be held out."""
    how: str
    """One sentence on how the strength was chosen."""

    @property
    def scored(self) -> Tensor:
        """Whether each example was held out once (n,), bool."""
        return ~self.out_of_fold_logits.isnan().any(dim=1)

    def accuracy(self) -> float | None:
        """Return the share of scored examples that heads fitted without them get right; None where none was scored."""
        if not bool(self.scored.any()):
            return None
        guessed = self.out_of_fold_logits[self.scored].argmax(dim=1)
        return float((guessed == self.labels[self.scored]).double().mean())

    def losses(self) -> Tensor:
        """Return the log-loss of each scored example at the temperature, in the order of the examples."""
        return self.losses_on(self.scored)

    def losses_on(self, examples: Tensor) -> Tensor:
        """Return the log-losses at the temperature of some scored examples, given as bool (n,)."""
        return log_losses(self.out_of_fold_logits[examples] / self.temperature, self.labels[examples])

    def calibrated(self, *, priors: Priors = "observed") -> LinearHead:
        """Return the head with its temperature folded in, at the given priors."""
        return with_priors(with_temperature(self.head, self.temperature), priors, shares=self.shares)

    def calibrated_out_of_fold(self) -> Tensor:
        """Return out-of-fold probabilities (n, K) at the temperature; NaN where nothing was held out."""
        return (self.out_of_fold_logits / self.temperature).softmax(dim=-1)


@dataclasses.dataclass(frozen=True)
class ChosenStrength:
    """One strength of a path, with its temperature and held-out loss."""

    strength: float
    out_of_fold_logits: Tensor
    temperature: float
    loss: float


def choose_strength(
    vectors: LabelledVectors, strengths: Sequence[float], path: Sequence[Tensor]
) -> ChosenStrength | None:
    """Choose among out-of-fold logits (n, K) of each strength; None where no example could be held out.

    The strongest wins whose mean log-loss, at its own best temperature, is within one standard error of the smallest
    (Breiman et al. 1984), the error being that of the paired differences over examples. With few examples the losses
    of very unlike strengths differ by luck alone, and the weak end then costs more than the strong one, as the
    temperature gives back what a penalty merely shrinks. The count of errors would tell fewer of them apart.
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
    """Tell whether losses (n,) exceed the best ones by at most one standard error of the paired differences."""
    apart = losses - best
    error = float(apart.std(correction=1)) / len(apart) ** 0.5 if len(apart) > 1 else 0.0
    return float(apart.mean()) <= error + EQUAL


def held_out_loss(vectors: LabelledVectors, logits: Tensor) -> float:
    """Return the mean log-loss of out-of-fold logits (n, K) at their best temperature, over what can be held out."""
    scored = vectors.can_be_held_out()
    labels = vectors.labels[: vectors.examples][scored]
    return float(log_losses(logits[scored] / fit_temperature(logits[scored], labels), labels).mean())


def fitted(
    method: str, vectors: LabelledVectors, head: LinearHead, chosen: ChosenStrength | None, strength: float, told: str
) -> FittedHead:
    """Put a fit together; without anything held out the temperature comes from the training logits."""
    labels = vectors.labels[: vectors.examples]
    if chosen is None:
        logits = head.logits(vectors.rows[: vectors.examples])
        temperature, loss = fit_temperature(logits, labels), None
        out_of_fold = torch.full_like(logits, math.nan)
        how = f"No label has a second row, so nothing could be held out: the cautious strength {strength:g} was taken."
    else:
        temperature, loss, out_of_fold = chosen.temperature, chosen.loss, chosen.out_of_fold_logits
        left = vectors.examples - int(vectors.can_be_held_out().sum())
        how = f"{told} (held-out log-loss {loss:.3f})" + (
            f"; {left} could not be held out, each the only row of its label." if left else "."
        )
    sums = vectors.label_weights()
    shares = sums / sums.sum()
    return FittedHead(method, head, strength, out_of_fold, labels, shares, temperature, loss, how)


def check_strengths(strengths: Sequence[float], *, most: float, what: str) -> None:
    """Refuse an empty path, and numbers outside (0, most]; DataError."""
    wrong = [strength for strength in strengths if not 0 < strength <= most or not math.isfinite(strength)]
    if wrong or not strengths:
        found = f"found {wrong[0]:g}" if wrong else "found none"
        limit = f"numbers above 0 and at most {most:g}" if math.isfinite(most) else "finite numbers above 0"
        raise DataError(f"{what}: {found}; expected {limit}. Correct the list.")
