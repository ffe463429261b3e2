"""From "steps, epochs or auto" to one training on a pile, through the one training loop."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from typing import TYPE_CHECKING, Protocol

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.pretraining.encoders.pile import Draw, TokenPile
from nlptl.training.batches import shuffled_length_batches
from nlptl.training.compute import Precision
from nlptl.training.distributed import all_reduce_sum
from nlptl.training.loop import ParameterGroup, Schedule, TrainingJob, train

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nlptl.pretraining.encoders.objectives import Course


class Training(Protocol):
    """An objective on a pile, ready to be trained."""

    module: nn.Module
    """All that its state consists of."""
    tokens: int
    """Tokens that the encoder has read so far in training."""

    def groups(self, learning_rate: float) -> list[ParameterGroup]:
        """Return what moves."""

    def loss(self, draw: Draw) -> Tensor:
        """Return the mean loss () of a draw."""

    def share(self, draw: Draw, process: int, processes: int) -> tuple[Draw, float]:
        """Return what process i of n takes of a draw, and its weight."""


@dataclasses.dataclass(frozen=True)
class AutoSteps:
    """What `steps: auto` means for an objective: some passes over the pile, within bounds."""

    passes: int
    least: int
    most: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """How one training runs."""

    name: str
    """Its checkpoints and random draws go by it."""
    steps: int
    batch_size: int
    """Texts of mean length a step."""
    learning_rate: float
    warmup: float
    """Share of the steps."""
    stage: str = "bert"
    """Whose settings these are, for sentences."""

    @property
    def schedule(self) -> Schedule:
        """Rates rise linearly over the warm-up and fall linearly to zero over the rest."""
        up = round(self.warmup * self.steps)
        return Schedule(self.steps, warmup=up, decay=self.steps - up)


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a training can tell."""

    history: list[float]
    """Mean loss of each epoch."""
    seconds: float
    """Since its start or its resumption."""
    tokens: int
    """Read in these seconds, by all processes."""


def batches(pile: TokenPile, epoch: int, *, name: str, batch_size: int, host: RunContext) -> list[Draw]:
    """Return the batches of an epoch; they depend on nothing but seed, name and epoch."""
    generator = host.generator(f"{name}/{epoch}")
    found = shuffled_length_batches(pile.lengths, batch_size=batch_size, generator=generator)
    return [Draw(epoch, rows) for rows in found]


def steps_of(course: Course, pile: TokenPile, auto: AutoSteps, *, name: str, batch_size: int, host: RunContext) -> int:
    """Return the number of steps that settings ask for on this pile."""
    if course.epochs is not None:
        draw = functools.partial(batches, pile, name=name, batch_size=batch_size, host=host)
        return sum(len(draw(epoch)) for epoch in range(1, course.epochs + 1))
    if course.steps != "auto":
        return course.steps
    return max(auto.least, min(auto.most, -(-auto.passes * len(pile) // batch_size)))


def carry_out(training: Training, pile: TokenPile, plan: Plan, host: RunContext, *, precision: Precision) -> Trained:
    """Train to the plan's last step, going on where a killed run stopped; ConfigError when the loss breaks down."""
    begin = time.monotonic()
    done = 0
    with host.progress.task(plan.name.replace("_", " "), total=plan.steps, unit="steps") as task:

        def after_step(step: int, loss: float) -> None:
            nonlocal done
            if not math.isfinite(loss):
                raise ConfigError(
                    f"{plan.stage}: the loss of {plan.name} was {loss} at step {step} with a learning rate of "
                    f"{plan.learning_rate:g}; expected a finite number. Lower learning_rate."
                )
            task.advance(step - done, f"loss {loss:.3f}")
            host.log_step(plan.name, step, loss)
            done = step

        job = TrainingJob(
            model=training.module,
            groups=training.groups(plan.learning_rate),
            batches=functools.partial(batches, pile, name=plan.name, batch_size=plan.batch_size, host=host),
            loss=training.loss,
            epochs=plan.steps,
            seed=host.generator(f"{plan.name}/dropout").initial_seed(),
            schedule=plan.schedule,
            precision=precision,
            share=training.share,
            checkpoints=host.checkpoints(plan.name),
        )
        history = train(job, after_step=after_step)
    return Trained(history, time.monotonic() - begin, round(all_reduce_sum(training.tokens)))
