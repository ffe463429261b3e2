"""How many epochs and how much regularisation: chosen on the labelled examples alone, by stratified cross-validation."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from nlptl.evaluation.held_out import Split, folds, folds_of_sets
from nlptl.finetuning.gradient.fitting import Settings, Targets, has_collapsed, has_learnt, most_epochs, train_fit
from nlptl.finetuning.gradient.tuner import Fit, Tuner

PENALTIES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)
WORSE_LOOKS = 2  # in a row, clearly worse than the best, before a fold stops
FALLBACK = (1e-1, 100)  # penalty and epochs where a label has one example, so that nothing can be held out
FALLBACK_COSTLY_EPOCHS = 10
MIN_EXAMPLES_HELD_OUT_ONCE = 400  # from which a costly tuner holds one part out once, instead of every part in turn
COLLAPSE_EXAMPLES = 256  # of its own, by which a training is seen to have collapsed
RESTARTS = 3  # with other seeds, of a training that has collapsed


@dataclasses.dataclass(frozen=True)
class Choice:
    """Penalty and epochs of a fit, and on what grounds."""

    l2: float
    epochs: int
    loss: float | None  # mean log-loss on held-out examples at this choice; None when nothing was held out
    how: str


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
    losses = {
        (l2, epochs): loss
        for l2 in _penalties(settings)
        for epochs, loss in _held_out_losses(tuner, targets, settings, splits, l2, tick).items()
    }
    # Of equal losses the stronger penalty and the fewer epochs win.
    l2, epochs = best = min(losses, key=lambda key: (round(losses[key], 6), -key[0], key[1]))
    split = f"Holding out {len(splits[0].held_out)} of the"
    if len(splits) > 1:
        split = f"Stratified {len(splits)}-fold cross-validation on the"
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

    A costly training that has collapsed starts again with another seed, up to `RESTARTS` times; then its start, the fitted
    head, comes back. `tell` is told each time in one sentence.
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
        count = min(COLLAPSE_EXAMPLES, len(rows))
        some = rows[torch.linspace(0, len(rows) - 1, count).long()]  # evenly, for files are often sorted
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
    """Fit all examples with each penalty, stopping when the validation loss has not improved for `patience` epochs.

    Returns the best fit at its best epoch, 0 being the start. With fixed epochs the last one counts; where its loss is no
    number, the start comes back and `tell` is told so. `after_epoch` is told epoch, loss and penalty.
    """
    rows, held_out = torch.arange(len(targets.labels)).tensor_split([targets.training])

    def best_of(l2: float) -> _Best:
        best = _Best(tuner.start(rows), l2)

        def stops(epoch: int) -> bool:
            loss = targets.held_out_loss(best.fit, held_out)
            if settings.epochs or loss < best.loss or not best.state:
                best.loss, best.epoch, best.state = loss, epoch, copy.deepcopy(best.fit.module.state_dict())
            return not settings.epochs and epoch - best.epoch >= settings.patience

        def look(epoch: int, loss: float) -> bool:
            after_epoch(epoch, loss, l2)
            return stops(epoch)

        if best.fit.least_epochs == 0 and not settings.epochs:
            stops(0)
        most = most_epochs(tuner, best.fit, len(rows), settings)
        train_fit(best.fit, targets, rows, settings, l2, most, look)
        return best

    best = min(map(best_of, _penalties(settings)), key=lambda best: best.loss)
    best.fit.module.load_state_dict(best.state)
    fit, epoch = best.fit, best.epoch
    if not math.isfinite(best.loss):
        if tell is not None:
            tell("The training collapsed (a validation loss that is no number): the fitted head is kept as it was.")
        fit, epoch = tuner.start(rows), 0
    mean = best.loss / max(1, len(held_out))
    how = f"{len(held_out)} validation texts chose {epoch} epochs and l2 {best.l2:g} (log-loss {mean:.3f})."
    return fit, Choice(best.l2, epoch, mean, how)


def out_of_fold_logits(tuner: Tuner, targets: Targets, choice: Choice, settings: Settings) -> Tensor | None:
    """Return the logits (n, K) of each example by a fit of a choice to the other parts; NaN where none held it out.

    None where nothing can be held out.
    """
    splits = _splits(tuner, targets, settings)
    found: Tensor | None = None
    for split in splits:
        training, held_out = torch.from_numpy(split.training), torch.from_numpy(split.held_out)
        fit = fit_rows(tuner, targets, choice, settings, training)
        logits = targets.held_out_logits(fit, held_out)
        if found is None:
            found = torch.full((targets.training, logits.shape[1]), math.nan)
        found[held_out] = logits
    return found


@dataclasses.dataclass
class _Best:
    """The best epoch of one fit, or the last one where the number of epochs is fixed."""

    fit: Fit
    l2: float
    loss: float = math.inf
    epoch: int = 0
    state: dict[str, Tensor] = dataclasses.field(default_factory=dict)


def _penalties(settings: Settings) -> Sequence[float]:
    return PENALTIES if settings.l2 is None else (settings.l2,)


def _splits(tuner: Tuner, targets: Targets, settings: Settings) -> list[Split]:
    """Return the folds; none when a label has a single example. Copies of an example are in the same part."""
    labels = targets.labels[: targets.training].cpu().numpy()
    if not targets.are_sets and int(np.bincount(labels).min()) == 0:
        return []
    distinct = len(labels) if targets.groups is None else len(targets.groups.first)
    dealt = folds_of_sets if targets.are_sets else folds
    splits = dealt(labels, targets.groups, parts=settings.folds, seed=settings.seed)
    return splits[:1] if tuner.costly and distinct > MIN_EXAMPLES_HELD_OUT_ONCE else splits


def _held_out_losses(
    tuner: Tuner, targets: Targets, settings: Settings, splits: Sequence[Split], l2: float, tick: Callable[[], None]
) -> dict[int, float]:
    """Return the held-out log-loss of a penalty at each looked-at number of epochs, over all folds."""
    sums: dict[int, float] = {}
    smallest = min(len(split.training) for split in splits)
    for split in splits:
        for epoch, loss in _fold(tuner, targets, settings, split, l2, smallest).items():
            sums[epoch] = sums.get(epoch, 0.0) + loss
        tick()
    tested = sum(len(split.held_out) for split in splits)
    return {epoch: loss / tested for epoch, loss in sums.items()}


def _fold(tuner: Tuner, targets: Targets, settings: Settings, split: Split, l2: float, least: int) -> dict[int, float]:
    """Return the summed loss of the held-out rows at each look; `least` is the size of the smallest fold."""
    training, held_out = torch.from_numpy(split.training), torch.from_numpy(split.held_out)
    fit = tuner.start(training)
    most = most_epochs(tuner, fit, least, settings)  # the same for all folds: each look sums over every one
    looks = [most] if settings.epochs is not None else _looks(fit.least_epochs, most)
    seen = [targets.held_out_loss(fit, held_out)] if looks[0] == 0 else []

    def look(epoch: int, _: float) -> bool:
        if epoch in looks:
            seen.append(targets.held_out_loss(fit, held_out))
        return len(seen) > WORSE_LOOKS and min(seen[-WORSE_LOOKS:]) > 1.2 * min(seen)

    train_fit(fit, targets, training, settings, l2, most, look)
    seen = seen or [targets.held_out_loss(fit, held_out)]  # L-BFGS was done before the first look
    seen += [seen[-1]] * (len(looks) - len(seen))  # a fold that got clearly worse is not trained to the end
    return dict(zip(looks, seen, strict=True))


def _looks(least: int, most: int) -> list[int]:
    """Return the numbers of epochs to look at: from the least on, ever wider apart."""
    looks = [*range(least, 1), 1]
    while looks[-1] * 1.5 < most:
        looks.append(max(looks[-1] + 1, int(looks[-1] * 1.5)))
    return [*looks, most] if looks[-1] != most else looks
