"""One training on a pile, through the one training loop."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.pretraining.encoders.pile import Draw, TokenPile
from nlptl.training.batches import share_of_rows, shuffled_length_batches
from nlptl.training.compute import Precision
from nlptl.training.distributed import all_reduce_sum
from nlptl.training.loop import ParameterGroup, Schedule, TrainingJob, train

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nlptl.models.encoder import Encoder
    from nlptl.pretraining.encoders.objectives import PileTrainingSettings


class PileTraining(Protocol):
    """Objective on a pile, ready to be trained and measured."""

    encoder: Encoder
    module: nn.Module
    """Module with the whole state of the training."""
    tokens: int
    """Tokens that the encoder has read in training."""

    def groups(self, learning_rate: float) -> list[ParameterGroup]:
        """Return the parameters to train."""

    def loss(self, draw: Draw) -> Tensor:
        """Return the mean loss () of a draw."""

    def share(self, draw: Draw, process: int, processes: int) -> tuple[Draw, float]:
        """Return the part of a draw for one process, and its weight."""

    def measure(self, pile: TokenPile) -> float | None:
        """Return the mean loss, equal for equal weights; None if there is nothing to predict."""


@dataclasses.dataclass(frozen=True)
class AutoSteps:
    """Number of steps under `steps: auto`: some passes over the pile, within bounds."""

    passes: int
    min_steps: int
    max_steps: int


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of one training."""

    name: str
    """Name of its checkpoints and random generators."""
    steps: int
    batch_size: int
    """Texts of mean length in a step."""
    learning_rate: float
    warmup: float
    """Share of the steps."""
    stage: str = "bert"
    """Place of the settings, for error messages."""

    @property
    def schedule(self) -> Schedule:
        """Linear warm-up, then linear decay to zero."""
        up = round(self.warmup * self.steps)
        return Schedule(self.steps, warmup=up, decay=self.steps - up)


@dataclasses.dataclass(frozen=True)
class TrainingHistory:
    """Losses and speed of one training."""

    epoch_losses: list[float]
    seconds: float
    """Seconds since the start, or since it resumed."""
    tokens: int
    """Tokens read in these seconds by all processes."""


def weighted_share(draw: Draw, process: int, processes: int, predicted: Callable[[Draw], int]) -> tuple[Draw, float]:
    """Return the texts of one process, weighted by their predicted tokens."""
    part = Draw(draw.epoch, share_of_rows(draw.rows, process, processes)[0])
    mine = predicted(part) if len(draw.rows) > process else 0
    return part, processes * mine / max(1, predicted(draw))


def epoch_batches(pile: TokenPile, epoch: int, *, name: str, batch_size: int, context: RunContext) -> list[Draw]:
    """Return the batches of an epoch. They depend on the seed, `name` and `epoch` alone."""
    generator = context.generator(f"{name}/{epoch}")
    found = shuffled_length_batches(pile.lengths, batch_size=batch_size, generator=generator)
    return [Draw(epoch, rows) for rows in found]


def step_count(
    settings: PileTrainingSettings, pile: TokenPile, auto: AutoSteps, *, name: str, batch_size: int, context: RunContext
) -> int:
    """Return the number of steps that the settings ask for on this pile."""
    if settings.epochs is not None:
        batches = functools.partial(epoch_batches, pile, name=name, batch_size=batch_size, context=context)
        return sum(len(batches(epoch)) for epoch in range(1, settings.epochs + 1))
    if settings.steps != "auto":
        return settings.steps
    return max(auto.min_steps, min(auto.max_steps, -(-auto.passes * len(pile) // batch_size)))


def train_on_pile(
    training: PileTraining, pile: TokenPile, parameters: Hyperparameters, context: RunContext, *, precision: Precision
) -> TrainingHistory:
    """Train to the last step, from the newest checkpoint if there is one.

    Raises ConfigError if the loss is not finite.
    """
    begin = time.monotonic()
    done = 0
    with context.progress.task(parameters.name.replace("_", " "), total=parameters.steps, unit="steps") as task:

        def after_step(step: int, loss: float) -> None:
            nonlocal done
            if not math.isfinite(loss):
                raise ConfigError(
                    f"{parameters.stage}: the loss of {parameters.name} was {loss} at step {step} with a learning rate of "
                    f"{parameters.learning_rate:g}; expected a finite number. Lower learning_rate."
                )
            task.advance(step - done, f"loss {loss:.3f}")
            context.record.step(parameters.name, step, loss)
            done = step

        job = TrainingJob(
            model=training.module,
            groups=training.groups(parameters.learning_rate),
            batches=functools.partial(
                epoch_batches, pile, name=parameters.name, batch_size=parameters.batch_size, context=context
            ),
            loss=training.loss,
            epochs=parameters.steps,
            seed=context.generator(f"{parameters.name}/dropout").initial_seed(),
            schedule=parameters.schedule,
            precision=precision,
            share=training.share,
            checkpoints=context.checkpoints(parameters.name),
        )
        losses = train(job, after_step=after_step)
    return TrainingHistory(losses, time.monotonic() - begin, round(all_reduce_sum(training.tokens)))
