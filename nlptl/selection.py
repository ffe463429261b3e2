"""How many epochs and how much regularisation: chosen on the labelled examples alone, by stratified cross-validation.

Shapes: B examples of a batch, n labelled examples, K labels.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from nlptl.training import TrainingJob, batch_size_for, most_epochs_for, shuffled_batches, train
from nlptl.updates import Fit, Update

PENALTIES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)
MOST_PASSES = 50  # of L-BFGS, which has converged by then
PORTION = 4096  # examples scored at once
WORSE = 2  # looks in a row that must be clearly worse than the best before a fold stops
FALLBACK = (1e-1, 100)  # penalty and epochs when a label has one example, so that nothing can be held out


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is asked of the choice; None means: choose."""

    l2: float | None
    epochs: int | None
    batch_size: int | None
    folds: int
    patience: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Choice:
    """What was chosen, and on what grounds."""

    l2: float
    epochs: int
    loss: float | None
    """Mean log-loss on held-out examples at this choice; None when nothing was held out."""
    how: str
    """One sentence on how the choice was made."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """The labelled examples as the loss sees them."""

    labels: Tensor
    """(n + v,) int64 label ids: the n examples to learn from, then v validation texts."""
    training: int
    """n, how many of them may be learnt from."""
    label_weights: Tensor
    """(K,) weight of each label in the loss; all ones unless labels are balanced."""

    @property
    def training_labels(self) -> Tensor:
        """Label ids (n,) of the examples to learn from."""
        return self.labels[: self.training]

    def loss(self, fit: Fit, rows: Tensor, l2: float) -> Tensor:
        """Return the weighted cross-entropy () of `rows` (B,) plus the penalty."""
        return cross_entropy(fit.logits(rows), self.labels[rows], self.label_weights) + fit.penalty(l2)

    def held_out_loss(self, fit: Fit, rows: Tensor) -> float:
        """Return the summed weighted cross-entropy of `rows` (B,), in portions that fit the caches."""
        fit.module.eval()
        with torch.inference_mode():
            parts = [
                cross_entropy(fit.logits(part), self.labels[part], self.label_weights, reduction="sum")
                for part in torch.tensor_split(rows, list(range(PORTION, len(rows), PORTION)))
            ]
        fit.module.train()
        return float(torch.stack(parts).sum())


def choose(update: Update, examples: Examples, settings: Settings, *, tick: Callable[[], None]) -> Choice:
    """Choose epochs and penalty by cross-validation; `tick` is called after each fit."""
    if settings.l2 is not None and settings.epochs is not None:
        return Choice(settings.l2, settings.epochs, None, "Epochs and l2 are as the settings say.")
    folds = _folds(examples.training_labels, settings)
    if not folds:
        l2 = FALLBACK[0] if settings.l2 is None else settings.l2
        epochs = settings.epochs or FALLBACK[1]
        how = "A label has only one example, so nothing could be held out: cautious fixed values were taken."
        return Choice(l2, epochs, None, how)
    table = {(l2, epochs): loss for l2 in _penalties(settings) for epochs, loss in
             _cross_validated(update, examples, settings, folds, l2, tick).items()}  # fmt: skip
    # Of equal losses the stronger penalty and the fewer epochs win.
    (l2, epochs), loss = min(table.items(), key=lambda item: (round(item[1], 6), -item[0][0], item[0][1]))
    how = (
        f"Stratified {len(folds)}-fold cross-validation on the {examples.training} labelled examples chose "
        f"{epochs} epochs and l2 {l2:g} (held-out log-loss {loss:.3f}); refitted on all of them."
    )
    return Choice(l2, epochs, loss, how)


def fits_of(settings: Settings, examples: Examples) -> int:
    """Return how many fits `choose` will make."""
    if settings.l2 is not None and settings.epochs is not None:
        return 0
    return len(_folds(examples.training_labels, settings)) * len(_penalties(settings))


def fit_rows(
    update: Update,
    examples: Examples,
    choice: Choice,
    settings: Settings,
    rows: Tensor,
    *,
    after_epoch: Callable[[int, float, float], None] | None = None,
) -> Fit:
    """Fit the examples `rows` (B,) with a choice."""
    fit = update.start(rows)

    def told(epoch: int, loss: float) -> bool:
        if after_epoch is not None:
            after_epoch(epoch, loss, choice.l2)
        return False

    _train(fit, examples, rows, settings, choice.l2, choice.epochs, told)
    return fit


def fit_until(
    update: Update, examples: Examples, settings: Settings, *, after_epoch: Callable[[int, float, float], None]
) -> tuple[Fit, Choice]:
    """Fit all examples, stopping when the validation loss has not improved for `patience` epochs, for each penalty.

    Returns the best fit as it was at its best epoch, which is 0 where the start was better than all that followed.
    With fixed epochs nothing stops early and the last epoch counts. `after_epoch` is told epoch, loss and penalty.
    """
    best: tuple[float, float, int, Fit] | None = None
    rows, held_out = torch.arange(len(examples.labels)).tensor_split([examples.training])
    for l2 in _penalties(settings):
        fit = update.start(rows)
        stopper = _Stopper(functools.partial(examples.held_out_loss, fit, held_out), settings)
        if fit.least_epochs == 0 and settings.epochs is None:
            stopper.stops(0, fit)

        def told(epoch: int, loss: float, stopper: _Stopper = stopper, fit: Fit = fit, l2: float = l2) -> bool:
            after_epoch(epoch, loss, l2)
            return stopper.stops(epoch, fit)

        _train(fit, examples, rows, settings, l2, _most_epochs(fit, len(rows), settings), told)
        if best is None or stopper.loss < best[0]:
            fit.module.load_state_dict(stopper.state)
            best = (stopper.loss, l2, stopper.epoch, fit)
    assert best is not None
    loss, l2, epoch, fit = best
    mean = loss / max(1, len(held_out))
    how = f"{len(held_out)} validation texts chose {epoch} epochs and l2 {l2:g} (log-loss {mean:.3f})."
    return fit, Choice(l2, epoch, mean, how)


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


def _folds(labels: Tensor, settings: Settings) -> list[tuple[Tensor, Tensor]]:
    """Return (training rows, held-out rows) of each fold; none when a label has a single example."""
    from sklearn.model_selection import StratifiedKFold

    smallest = int(torch.bincount(labels).min())
    if smallest < 2:
        return []
    splitter = StratifiedKFold(min(settings.folds, smallest), shuffle=True, random_state=settings.seed % 2**32)
    return [
        (torch.from_numpy(training), torch.from_numpy(held_out))
        for training, held_out in splitter.split(labels.cpu().numpy(), labels.cpu().numpy())
    ]


def _cross_validated(
    update: Update,
    examples: Examples,
    settings: Settings,
    folds: list[tuple[Tensor, Tensor]],
    l2: float,
    tick: Callable[[], None],
) -> dict[int, float]:
    """Return the held-out log-loss at each looked-at number of epochs, over all folds."""
    sums: dict[int, float] = {}
    smallest = min(len(training) for training, _ in folds)
    for training, held_out in folds:
        fit = update.start(training)
        most = _most_epochs(fit, smallest, settings)  # the same for all folds: each look sums over every one
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

        _train(fit, examples, training, settings, l2, most, look)
        seen += [seen[-1]] * (len(looks) - len(seen))  # a fold that got clearly worse is not trained to the end
        for epoch, loss in zip(looks, seen, strict=True):
            sums[epoch] = sums.get(epoch, 0.0) + loss
        tick()
    return {epoch: loss / examples.training for epoch, loss in sums.items()}


def _looks(least: int, most: int) -> list[int]:
    """Return the numbers of epochs to look at: from the least on, ever wider apart."""
    looks = [*range(least, 1), 1]
    while looks[-1] * 1.5 < most:
        looks.append(max(looks[-1] + 1, int(looks[-1] * 1.5)))
    return [*looks, most] if looks[-1] != most else looks


def _most_epochs(fit: Fit, rows: int, settings: Settings) -> int:
    if settings.epochs is not None:
        return settings.epochs
    if fit.optimiser == "lbfgs":
        return MOST_PASSES
    return most_epochs_for(rows, settings.batch_size or batch_size_for(rows))


def _train(
    fit: Fit,
    examples: Examples,
    rows: Tensor,
    settings: Settings,
    l2: float,
    epochs: int,
    after_epoch: Callable[[int, float], bool],
) -> None:
    generator = torch.Generator().manual_seed(settings.seed)
    size = settings.batch_size or batch_size_for(len(rows))

    def batches(_: int) -> Iterable[Tensor]:
        if fit.optimiser == "lbfgs":
            return [rows]
        return (rows[part] for part in shuffled_batches(len(rows), batch_size=size, generator=generator))

    job = TrainingJob(
        model=fit.module,
        groups=fit.groups(),
        batches=batches,
        loss=lambda part: examples.loss(fit, part, l2),
        epochs=epochs,
        seed=settings.seed,
        optimiser=fit.optimiser,
    )
    train(job, after_epoch=after_epoch)
