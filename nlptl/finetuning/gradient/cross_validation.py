"""How many epochs and how much regularisation: chosen on the labelled examples alone, by stratified cross-validation.

Shapes: B examples of a batch, n labelled examples, K labels.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nlptl.finetuning.gradient.fitting import Examples, Settings, has_collapsed, has_learnt, most_epochs, train_fit
from nlptl.finetuning.gradient.tuner import Fit, Update

PENALTIES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)
WORSE = 2  # looks in a row that must be clearly worse than the best before a fold stops
FALLBACK = (1e-1, 100)  # penalty and epochs when a label has one example, so that nothing can be held out
FALLBACK_COSTLY = 10  # epochs then of a costly update
MANY = 400  # examples from which a costly update holds one part out once, instead of every part in turn
LOOKED_AT = 256  # of its own examples, by which a training is seen to have collapsed
RESTARTS = 3  # other seeds that are tried when a training has collapsed


@dataclasses.dataclass(frozen=True)
class Choice:
    """What was chosen, and on what grounds."""

    l2: float
    epochs: int
    loss: float | None
    """Mean log-loss on held-out examples at this choice; None when nothing was held out."""
    how: str
    """One sentence on how the choice was made."""
    rate: float = 1.0
    """Factor of the update's rate."""


def choose(update: Update, examples: Examples, settings: Settings, *, tick: Callable[[], None]) -> Choice:
    """Choose epochs and penalty by cross-validation; `tick` is called after each fit."""
    if settings.l2 is not None and settings.epochs is not None:
        return Choice(settings.l2, settings.epochs, None, "Epochs and l2 are as the settings say.")
    folds = _folds(update, examples, settings)
    if not folds:
        l2 = FALLBACK[0] if settings.l2 is None else settings.l2
        epochs = settings.epochs or (FALLBACK_COSTLY if update.costly else FALLBACK[1])
        how = "A label has only one example, so nothing could be held out: cautious fixed values were taken."
        return Choice(l2, epochs, None, how)
    table = {(l2, rate, epochs): loss for l2, rate in _grid(update, settings) for epochs, loss in
             _cross_validated(update, examples, settings, folds, l2, rate, tick).items()}  # fmt: skip
    # Of equal losses the stronger penalty, the fewer epochs and the lower rate win.
    best = min(table, key=lambda key: (round(table[key], 6), -key[0], key[2], key[1]))
    (l2, rate, epochs), loss = best, table[best]
    told = f"{epochs} epochs and l2 {l2:g}" + (f" at {rate:g} times the rate" if len(update.rate_factors) > 1 else "")
    split = f"Stratified {len(folds)}-fold cross-validation on the" if len(folds) > 1 else (
        f"Holding out {len(folds[0][1])} of the")  # fmt: skip
    how = (
        f"{split} {examples.training} labelled examples chose {told} (held-out log-loss {loss:.3f}); "
        "refitted on all of them."
    )
    return Choice(l2, epochs, loss, how, rate)


def fits_of(update: Update, settings: Settings, examples: Examples) -> int:
    """Return how many fits `choose` will make."""
    if settings.l2 is not None and settings.epochs is not None:
        return 0
    return len(_folds(update, examples, settings)) * len(_grid(update, settings))


def fit_rows(
    update: Update,
    examples: Examples,
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
        fit = update.start(rows, choice.rate)
        seeded = dataclasses.replace(settings, seed=settings.seed + 7919 * attempt)
        history = train_fit(fit, examples, rows, seeded, choice.l2, choice.epochs, told, final=True)
        if not update.costly or not history or has_learnt(examples, rows, history):
            return fit
        looked_at = rows[torch.linspace(0, len(rows) - 1, min(LOOKED_AT, len(rows))).long()]  # files are often sorted
        start = examples.held_out_loss(update.start(rows, choice.rate), looked_at) / examples.weight_of(looked_at)
        if not has_collapsed(fit, examples, looked_at, start):
            return fit
        again = "it starts again with another seed" if attempt < RESTARTS else "the fitted head is kept as it was"
        if tell is not None:
            tell(f"The training collapsed (one label for every example, or a loss that is no number): {again}.")
    return update.start(rows)


def fit_until(
    update: Update,
    examples: Examples,
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
    best: tuple[float, tuple[float, float], int, Fit] | None = None
    rows, held_out = torch.arange(len(examples.labels)).tensor_split([examples.training])
    for l2, rate in _grid(update, settings):
        fit = update.start(rows, rate)
        stopper = _Stopper(functools.partial(examples.held_out_loss, fit, held_out), settings)
        if fit.least_epochs == 0 and settings.epochs is None:
            stopper.stops(0, fit)

        def told(epoch: int, loss: float, stopper: _Stopper = stopper, fit: Fit = fit, l2: float = l2) -> bool:
            after_epoch(epoch, loss, l2)
            return stopper.stops(epoch, fit)

        train_fit(fit, examples, rows, settings, l2, most_epochs(update, fit, len(rows), settings), told)
        if best is None or stopper.loss < best[0]:
            fit.module.load_state_dict(stopper.state)
            best = (stopper.loss, (l2, rate), stopper.epoch, fit)
    assert best is not None
    loss, (l2, rate), epoch, fit = best
    if not math.isfinite(loss):
        if tell is not None:
            tell("The training collapsed (a validation loss that is no number): the fitted head is kept as it was.")
        fit, epoch = update.start(rows, rate), 0
    mean = loss / max(1, len(held_out))
    how = f"{len(held_out)} validation texts chose {epoch} epochs and l2 {l2:g} (log-loss {mean:.3f})."
    return fit, Choice(l2, epoch, mean, how, rate)


class _Stopper:
    """Remembers the best epoch of one fit, or the last one where the number of epochs is fixed."""

    def __init__(self, measure: Callable[[], float], settings: Settings) -> None:
        self._measure, self._patience, self._fixed = measure, settings.patience, settings.epochs is not None
        self.loss, self.epoch = float("inf"), 0
        self.state: dict[str, Tensor] = {}

    def stops(self, epoch: int, fit: Fit) -> bool:
        loss = self._measure()
        if self._fixed or loss < self.loss or not self.state:
            self.loss, self.epoch, self.state = loss, epoch, copy.deepcopy(fit.module.state_dict())
        return not self._fixed and epoch - self.epoch >= self._patience


def _penalties(settings: Settings) -> Sequence[float]:
    return PENALTIES if settings.l2 is None else (settings.l2,)


def _grid(update: Update, settings: Settings) -> list[tuple[float, float]]:
    """Return the pairs of penalty and factor of the rate that are tried."""
    return [(l2, rate) for l2 in _penalties(settings) for rate in update.rate_factors]


def _folds(update: Update, examples: Examples, settings: Settings) -> list[tuple[Tensor, Tensor]]:
    """Return (training rows, held-out rows) of each fold; none when a label has a single example.

    Copies of an example are in the same part.
    """
    from sklearn.model_selection import StratifiedKFold

    labels, repeats = examples.training_labels.cpu(), examples.repeats
    if repeats is not None:
        labels = labels[repeats.first]
    smallest = int(torch.bincount(labels).min())
    if smallest < 2:
        return []
    splitter = StratifiedKFold(min(settings.folds, smallest), shuffle=True, random_state=settings.seed % 2**32)
    rows_of = (lambda part: part) if repeats is None else repeats.rows_of
    folds = [
        (torch.from_numpy(rows_of(training)), torch.from_numpy(rows_of(held_out)))
        for training, held_out in splitter.split(labels.numpy(), labels.numpy())
    ]
    return folds[:1] if update.costly and len(labels) > MANY else folds


def _cross_validated(
    update: Update,
    examples: Examples,
    settings: Settings,
    folds: list[tuple[Tensor, Tensor]],
    l2: float,
    rate: float,
    tick: Callable[[], None],
) -> dict[int, float]:
    """Return the held-out log-loss at each looked-at number of epochs, over all folds."""
    sums: dict[int, float] = {}
    smallest = min(len(training) for training, _ in folds)
    for training, held_out in folds:
        fit = update.start(training, rate)
        most = most_epochs(update, fit, smallest, settings)  # the same for all folds: each look sums over every one
        looks = [most] if settings.epochs is not None else _looks(fit.least_epochs, most)
        seen = [examples.held_out_loss(fit, held_out)] if looks[0] == 0 else []

        def look(
            epoch: int,
            _: float,
            fit: Fit = fit,
            seen: list[float] = seen,
            rows: Tensor = held_out,
            looks: list[int] = looks,
        ) -> bool:
            if epoch in looks:
                seen.append(examples.held_out_loss(fit, rows))
            return len(seen) > WORSE and min(seen[-WORSE:]) > 1.2 * min(seen)

        train_fit(fit, examples, training, settings, l2, most, look)
        seen = seen or [examples.held_out_loss(fit, held_out)]  # L-BFGS was done before the first look
        seen += [seen[-1]] * (len(looks) - len(seen))  # a fold that got clearly worse is not trained to the end
        for epoch, loss in zip(looks, seen, strict=True):
            sums[epoch] = sums.get(epoch, 0.0) + loss
        tick()
    tested = sum(len(held_out) for _, held_out in folds)
    return {epoch: loss / tested for epoch, loss in sums.items()}


def _looks(least: int, most: int) -> list[int]:
    """Return the numbers of epochs to look at: from the least on, ever wider apart."""
    looks = [*range(least, 1), 1]
    while looks[-1] * 1.5 < most:
        looks.append(max(looks[-1] + 1, int(looks[-1] * 1.5)))
    return [*looks, most] if looks[-1] != most else looks
