"""How many epochs and how much regularisation: chosen on the labelled examples alone, by stratified cross-validation.

Shapes: B examples of a batch, n labelled examples, K labels.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from nlptl.evaluation.held_out import Split, folds
from nlptl.finetuning.gradient.fitting import Settings, Targets, has_collapsed, has_learnt, most_epochs, train_fit
from nlptl.finetuning.gradient.tuner import Fit, Tuner

PENALTIES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)
WORSE_LOOKS = 2
"""Looks in a row that must be clearly worse than the best before a fold stops."""
FALLBACK = (1e-1, 100)
"""Penalty and epochs where a label has one example, so that nothing can be held out."""
FALLBACK_COSTLY_EPOCHS = 10
MIN_EXAMPLES_HELD_OUT_ONCE = 400
"""Distinct examples from which a costly tuner holds one part out once, instead of every part in turn."""
COLLAPSE_EXAMPLES = 256
"""Of its own examples, by which a training is seen to have collapsed."""
RESTARTS = 3
"""Other seeds that are tried when a training has collapsed."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """Penalty and epochs of a fit, and on what grounds."""

    l2: float
    epochs: int
    loss: float | None
    """Mean log-loss on held-out examples at this choice; None when nothing was held out."""
    how: str
    """One sentence on how the choice was made."""


def choose(tuner: Tuner, targets: Targets, settings: Settings, *, tick: Callable[[], None]) -> Choice:
    """Choose epochs and penalty by cross-validation; `tick` is called after each fit."""
    if settings.l2 is not None and settings.epochs is not None:
        return Choice(settings.l2, settings.epochs, None, "Epochs and l2 are as the settings say.")
    splits = _splits(tuner, targets, settings)
    if not splits:
        l2 = FALLBACK[0] if settings.l2 is None else settings.l2
        epochs = settings.epochs or (FALLBACK_COSTLY_EPOCHS if tuner.costly else FALLBACK[1])
        how = "A label has only one example, so nothing could be held out: cautious fixed values were taken."
        return Choice(l2, epochs, None, how)
    validation = _CrossValidation(tuner, targets, settings, splits)
    losses = {(l2, epochs): loss for l2 in _penalties(settings) for epochs, loss in validation.losses(l2, tick).items()}
    # Of equal losses the stronger penalty and the fewer epochs win.
    l2, epochs = best = min(losses, key=lambda key: (round(losses[key], 6), -key[0], key[1]))
    many = len(splits) > 1
    split = (
        f"Stratified {len(splits)}-fold cross-validation on the"
        if many
        else f"Holding out {len(splits[0].held_out)} of the"
    )
    how = (
        f"{split} {targets.training} labelled examples chose {epochs} epochs and l2 {l2:g} (held-out log-loss "
        f"{losses[best]:.3f}); refitted on all of them."
    )
    return Choice(l2, epochs, losses[best], how)


def fits_of(tuner: Tuner, settings: Settings, targets: Targets) -> int:
    """Return how many fits `choose` will make."""
    if settings.l2 is not None and settings.epochs is not None:
        return 0
    return len(_splits(tuner, targets, settings)) * len(_penalties(settings))


def fit_rows(
    tuner: Tuner,
    targets: Targets,
    choice: Choice,
    settings: Settings,
    rows: Tensor,
    *,
    after_epoch: Callable[[int, float, float], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Fit:
    """Fit the examples `rows` (B,) with a choice.

    A costly training that has collapsed starts again with another seed, up to `RESTARTS` times, and after that is left
    out: what comes back then is its start, the fitted head. `tell` is told each time in one sentence.
    """

    def told(epoch: int, loss: float) -> bool:
        if after_epoch is not None:
            after_epoch(epoch, loss, choice.l2)
        return False

    for attempt in range(RESTARTS + 1):
        fit = tuner.start(rows)
        seeded = dataclasses.replace(settings, seed=settings.seed + 7919 * attempt)
        history = train_fit(fit, targets, rows, seeded, choice.l2, choice.epochs, told, final=True)
        if not tuner.costly or not history or has_learnt(targets, rows, history):
            return fit
        some = rows[
            torch.linspace(0, len(rows) - 1, min(COLLAPSE_EXAMPLES, len(rows))).long()
        ]  # files are often sorted
        start = targets.held_out_loss(tuner.start(rows), some) / targets.weight_of(some)
        if not has_collapsed(fit, targets, some, start):
            return fit
        again = "it starts again with another seed" if attempt < RESTARTS else "the fitted head is kept as it was"
        if tell is not None:
            tell(f"The training collapsed (one label for every example, or a loss that is no number): {again}.")
    return tuner.start(rows)


def fit_until(
    tuner: Tuner,
    targets: Targets,
    settings: Settings,
    *,
    after_epoch: Callable[[int, float, float], None],
    tell: Callable[[str], None] | None = None,
) -> tuple[Fit, Choice]:
    """Fit all examples, stopping when the validation loss has not improved for `patience` epochs, for each penalty.

    Returns the best fit as it was at its best epoch, which is 0 where the start was better than all that followed.
    With fixed epochs nothing stops early and the last epoch counts; where its loss is no number, the start comes back
    and `tell` is told so. `after_epoch` is told epoch, loss and penalty.
    """
    rows, held_out = torch.arange(len(targets.labels)).tensor_split([targets.training])
    stoppers = []
    for l2 in _penalties(settings):
        fit = tuner.start(rows)
        stopper = _Stopper(fit, functools.partial(targets.held_out_loss, fit, held_out), settings, l2, after_epoch)
        train_fit(fit, targets, rows, settings, l2, most_epochs(tuner, fit, len(rows), settings), stopper.after_epoch)
        stoppers.append(stopper)
    best = min(stoppers, key=lambda stopper: stopper.loss)
    best.fit.module.load_state_dict(best.state)
    fit, epoch = best.fit, best.epoch
    if not math.isfinite(best.loss):
        if tell is not None:
            tell("The training collapsed (a validation loss that is no number): the fitted head is kept as it was.")
        fit, epoch = tuner.start(rows), 0
    mean = best.loss / max(1, len(held_out))
    how = f"{len(held_out)} validation texts chose {epoch} epochs and l2 {best.l2:g} (log-loss {mean:.3f})."
    return fit, Choice(best.l2, epoch, mean, how)


class _Stopper:
    """The best epoch of one fit, or the last one where the number of epochs is fixed."""

    def __init__(
        self,
        fit: Fit,
        measure: Callable[[], float],
        settings: Settings,
        l2: float,
        tell: Callable[[int, float, float], None],
    ) -> None:
        self.fit, self.l2 = fit, l2
        self._measure, self._patience, self._fixed, self._tell = measure, settings.patience, settings.epochs, tell
        self.loss, self.epoch = float("inf"), 0
        self.state: dict[str, Tensor] = {}
        if fit.least_epochs == 0 and not self._fixed:
            self._look(0)

    def after_epoch(self, epoch: int, loss: float) -> bool:
        """Say whether to stop."""
        self._tell(epoch, loss, self.l2)
        return self._look(epoch)

    def _look(self, epoch: int) -> bool:
        loss = self._measure()
        if self._fixed or loss < self.loss or not self.state:
            self.loss, self.epoch, self.state = loss, epoch, copy.deepcopy(self.fit.module.state_dict())
        return not self._fixed and epoch - self.epoch >= self._patience


def _penalties(settings: Settings) -> Sequence[float]:
    return PENALTIES if settings.l2 is None else (settings.l2,)


def _splits(tuner: Tuner, targets: Targets, settings: Settings) -> list[Split]:
    """Return the folds; none when a label has a single example. Copies of an example are in the same part."""
    labels = targets.training_labels.cpu().numpy()
    if int(np.bincount(labels).min()) == 0:
        return []
    distinct = len(labels) if targets.groups is None else len(targets.groups.first)
    splits = folds(labels, targets.groups, parts=settings.folds, seed=settings.seed)
    return splits[:1] if tuner.costly and distinct > MIN_EXAMPLES_HELD_OUT_ONCE else splits


@dataclasses.dataclass(frozen=True)
class _CrossValidation:
    """The held-out losses of one penalty after another."""

    tuner: Tuner
    targets: Targets
    settings: Settings
    splits: Sequence[Split]

    def losses(self, l2: float, tick: Callable[[], None]) -> dict[int, float]:
        """Return the held-out log-loss at each looked-at number of epochs, over all folds."""
        sums: dict[int, float] = {}
        smallest = min(len(split.training) for split in self.splits)
        for split in self.splits:
            for epoch, loss in self._fold(split, l2, smallest).items():
                sums[epoch] = sums.get(epoch, 0.0) + loss
            tick()
        tested = sum(len(split.held_out) for split in self.splits)
        return {epoch: loss / tested for epoch, loss in sums.items()}

    def _fold(self, split: Split, l2: float, smallest: int) -> dict[int, float]:
        """Return the summed loss of the held-out rows at each look; `smallest` is the size of the smallest fold."""
        training, held_out = torch.from_numpy(split.training), torch.from_numpy(split.held_out)
        fit = self.tuner.start(training)
        most = most_epochs(
            self.tuner, fit, smallest, self.settings
        )  # the same for all folds: each look sums over every one
        looks = [most] if self.settings.epochs is not None else _looks(fit.least_epochs, most)
        seen = [self.targets.held_out_loss(fit, held_out)] if looks[0] == 0 else []

        def look(epoch: int, _: float) -> bool:
            if epoch in looks:
                seen.append(self.targets.held_out_loss(fit, held_out))
            return len(seen) > WORSE_LOOKS and min(seen[-WORSE_LOOKS:]) > 1.2 * min(seen)

        train_fit(fit, self.targets, training, self.settings, l2, most, look)
        seen = seen or [self.targets.held_out_loss(fit, held_out)]  # L-BFGS was done before the first look
        seen += [seen[-1]] * (len(looks) - len(seen))  # a fold that got clearly worse is not trained to the end
        return dict(zip(looks, seen, strict=True))


def _looks(least: int, most: int) -> list[int]:
    """Return the numbers of epochs to look at: from the least on, ever wider apart."""
    looks = [*range(least, 1), 1]
    while looks[-1] * 1.5 < most:
        looks.append(max(looks[-1] + 1, int(looks[-1] * 1.5)))
    return [*looks, most] if looks[-1] != most else looks
