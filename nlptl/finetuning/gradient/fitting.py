"""One fit of some labelled examples: its loss, its batches, its training.

Shapes: B examples of a batch, n labelled examples, K labels.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from nlptl.evaluation.duplicates import DuplicateGroups
from nlptl.finetuning.gradient.tuner import Fit, Tuner
from nlptl.training import batches
from nlptl.training.compute import Precision
from nlptl.training.distributed import broadcast
from nlptl.training.loop import Schedule, TrainingJob, train

MAX_LBFGS_PASSES = 50  # it has converged by then
PORTION_EXAMPLES, PORTION_TOKENS = 4096, 8192  # scored at once
LEARNT_SHARE = 0.9  # of the loss that label frequencies alone reach, below which a fit has learnt from the texts


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the fits; None means: choose."""

    l2: float | None
    epochs: int | None
    batch_size: int | None
    folds: int
    patience: int
    seed: int
    precision: Precision = "float32"


@dataclasses.dataclass(frozen=True)
class Targets:
    """The labels as the loss sees them."""

    labels: (
        Tensor  # (n + V,) int64 label ids, or (n + V, K) of 0 and 1: n examples to learn from, then V validation texts
    )
    training: int  # n
    label_weights: (
        Tensor  # (K,) weight of each label, or of having it, in the loss; all ones unless labels are balanced
    )
    label_smoothing: float = (
        0.0  # share of the truth that is spread over all labels while training (Szegedy et al. 2016)
    )
    groups: DuplicateGroups | None = None  # of examples that are held out together; None where none is another's copy

    @property
    def are_sets(self) -> bool:
        """Whether a text may have several labels."""
        return self.labels.ndim == 2

    def weight_of(self, rows: Tensor) -> float:
        """Return the summed weight of the labels of `rows` (B,); where texts may have several, each text counts alike."""
        if self.are_sets:
            return float(len(rows))
        return float(self.label_weights[self.labels[rows]].sum())

    def loss(self, fit: Fit, rows: Tensor, l2: float) -> Tensor:
        """Return the weighted cross-entropy () of `rows` (B,) plus the penalty."""
        return self.entropy(fit.logits(rows), rows, smoothing=self.label_smoothing) + fit.penalty(l2)

    def entropy(
        self, logits: Tensor, rows: Tensor, *, smoothing: float = 0.0, reduction: Literal["mean", "sum"] = "mean"
    ) -> Tensor:
        """Return the weighted cross-entropy () of logits (B, K); where texts may have several labels, its sum over labels."""
        targets = self.labels[rows]
        if not self.are_sets:
            return cross_entropy(logits, targets, self.label_weights, reduction=reduction, label_smoothing=smoothing)
        smooth = targets * (1 - smoothing) + smoothing / 2
        each = binary_cross_entropy_with_logits(logits, smooth, pos_weight=self.label_weights, reduction="none")
        return each.sum(dim=1).mean() if reduction == "mean" else each.sum()

    def least_loss_alone(self, rows: Tensor) -> float:
        """Return the smallest mean loss of `rows` (B,) that the shares of the labels alone reach."""
        labels, weights = self.labels[rows], self.label_weights.double()
        if self.are_sets:
            having = labels.double().mean(dim=0)
            parts = torch.stack([weights * having, 1 - having])
            return -float(torch.xlogy(parts, parts / parts.sum(dim=0)).sum())
        shares = torch.bincount(labels, weights=weights[labels])
        shares = shares[shares > 0] / shares.sum()
        return -float((shares * shares.log()).sum())

    def held_out_logits(self, fit: Fit, rows: Tensor) -> Tensor:
        """Return logits (B, K) of `rows` (B,), on the CPU, in portions that fit the caches."""
        fit.module.eval()
        with torch.inference_mode():
            found = [(part, fit.logits(part)) for part in portions(fit, rows)]
        fit.module.train()
        order = torch.cat([part for part, _ in found]).argsort()
        return torch.cat([logits for _, logits in found]).float().cpu()[order.cpu()][rows.argsort().argsort().cpu()]

    def held_out_loss(self, fit: Fit, rows: Tensor) -> float:
        """Return the summed weighted cross-entropy of `rows` (B,), in portions that fit the caches.

        All processes take the figure of process 0, so that they choose alike.
        """
        fit.module.eval()
        with torch.inference_mode():
            sums = [self.entropy(fit.logits(part), part, reduction="sum") for part in portions(fit, rows)]
        fit.module.train()
        total = broadcast(float(torch.stack(sums).sum()))
        return math.inf if math.isnan(total) else total


def most_epochs(tuner: Tuner, fit: Fit, rows: int, settings: Settings) -> int:
    """Return the largest number of epochs over so many examples."""
    if settings.epochs is not None:
        return settings.epochs
    if fit.optimiser == "lbfgs":
        return MAX_LBFGS_PASSES
    size = batch_size_of(fit, rows, settings)
    return (
        batches.most_epochs_for(rows, size, steps=100, least=4, most=40)
        if tuner.costly
        else batches.most_epochs_for(rows, size)
    )


def batch_size_of(fit: Fit, rows: int, settings: Settings) -> int:
    """Return the examples of a step: a 32nd of all, from 8 to 256, or to 32 where a text costs much."""
    return settings.batch_size or (
        batches.batch_size_for(rows) if fit.lengths is None else min(32, batches.batch_size_for(rows))
    )


def portions(fit: Fit, rows: Tensor) -> Iterable[Tensor]:
    """Cut row numbers (B,) into portions that fit the caches."""
    if fit.lengths is None:
        return torch.tensor_split(rows, list(range(PORTION_EXAMPLES, len(rows), PORTION_EXAMPLES)))
    return [rows[part] for part in batches.length_sorted_batches(fit.lengths[rows], budget=PORTION_TOKENS)]


def has_learnt(targets: Targets, rows: Tensor, history: Sequence[float]) -> bool:
    """Say whether the last epoch's mean loss is below what the shares of the labels alone reach, with room to spare.

    A fit that gives one answer to everything cannot get there, so nothing need be computed to see that it has not collapsed.
    """
    return bool(broadcast(bool(history) and history[-1] < LEARNT_SHARE * targets.least_loss_alone(rows)))


def has_collapsed(fit: Fit, targets: Targets, rows: Tensor, start: float) -> bool:
    """Say whether a fit gives one answer to all of its own examples (B,) and fits them no better than at the start.

    `start` is their mean loss then; one that is no number now is a collapse too.
    """
    fit.module.eval()
    with torch.inference_mode():
        logits = torch.cat([fit.logits(part) for part in portions(fit, rows)])
    fit.module.train()
    loss = float(targets.entropy(logits, torch.cat(list(portions(fit, rows)))))
    answers = torch.unique(logits > 0, dim=0) if targets.are_sets else torch.unique(logits.argmax(dim=1))
    collapsed = not math.isfinite(loss) or (loss >= start and len(answers) == 1)
    return bool(broadcast(collapsed))


def train_fit(
    fit: Fit,
    targets: Targets,
    rows: Tensor,
    settings: Settings,
    l2: float,
    epochs: int,
    after_epoch: Callable[[int, float], bool],
    *,
    final: bool = False,
) -> list[float]:
    """Train a fit on the examples `rows` (B,); returns the mean loss of each epoch.

    `final` says that it is the one to keep, so that rates cool down.
    """
    size = batch_size_of(fit, len(rows), settings)
    planned = _planned(fit, rows, size, epochs, settings, final)

    def loss(part: Tensor) -> Tensor:
        weight = 1.0 if planned.mean_size is None else len(part) / planned.mean_size
        return weight * targets.loss(fit, part, l2)

    def share(part: Tensor, process: int, processes: int) -> tuple[Tensor, float]:
        own, some = batches.share_of_rows(part, process, processes)
        mine, whole = targets.weight_of(own), targets.weight_of(part)
        return own, processes * mine / whole * len(part) / len(own) if some else 0.0

    job = TrainingJob(
        model=fit.module,
        groups=fit.groups(),
        batches=planned.batches,
        loss=loss,
        epochs=epochs,
        seed=settings.seed,
        optimiser=fit.optimiser,
        schedule=planned.schedule,
        precision="float32" if fit.lengths is None else settings.precision,
        share=None if fit.lengths is None else share,  # vectors at hand cost less than messages
    )
    return train(job, after_epoch=after_epoch)


@dataclasses.dataclass(frozen=True)
class _Planned:
    """The batches of each epoch, and the schedule over all of their steps."""

    batches: Callable[[int], Iterable[Tensor]]
    schedule: Schedule | None = None
    mean_size: float | None = None  # texts a batch, where batches differ in texts: weighed by it each text counts alike


def _planned(fit: Fit, rows: Tensor, size: int, epochs: int, settings: Settings, final: bool) -> _Planned:
    generator, lengths = torch.Generator().manual_seed(settings.seed), fit.lengths
    if fit.optimiser == "lbfgs":
        return _Planned(lambda _: [rows])
    if lengths is None:
        draw = functools.partial(batches.shuffled_batches, len(rows), batch_size=size, generator=generator)
        return _Planned(lambda _: (rows[part] for part in draw()))
    sorted_draw = functools.partial(
        batches.shuffled_length_batches, lengths[rows], batch_size=size, generator=generator
    )
    plan = [[rows[part] for part in sorted_draw()] for _ in range(epochs)]
    steps = sum(map(len, plan))
    schedule = fit.schedule(steps, len(plan[0]) if plan else 0, final=final)
    return _Planned(lambda epoch: plan[epoch - 1], schedule, epochs * len(rows) / max(1, steps))
