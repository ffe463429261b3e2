"""One training on a pile, through the one training loop."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import torch

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.pretraining.encoders.pile import Draw, TokenPile
from nlptl.training.batches import length_sorted_batches, share_of_rows, shuffled_length_batches
from nlptl.training.compute import Precision
from nlptl.training.loop import ParameterGroup, Schedule, TrainingJob, train

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nlptl.models.encoder import Encoder
    from nlptl.pretraining.encoders.objectives import Objective, Scratch

MEASURE_TOKENS = 4096  # tokens of a batch when measuring


class PileTraining(ABC):
    """Objective on a pile, ready to be trained and measured."""

    module: nn.Module  # with the whole state of the training

    def __init__(self, encoder: Encoder, pile: TokenPile) -> None:
        self.encoder, self.pile = encoder, pile
        self.tokens = 0  # that the encoder has read in training

    def groups(self, learning_rate: float) -> list[ParameterGroup]:
        """Return the parameters to train."""
        return [ParameterGroup(list(self.module.parameters()), learning_rate)]

    @abstractmethod
    def loss(self, draw: Draw) -> Tensor:
        """Return the mean loss () of a draw."""

    @abstractmethod
    def share(self, draw: Draw, process: int, processes: int) -> tuple[Draw, float]:
        """Return the part of a draw for one process, and its weight."""

    @abstractmethod
    def measure(self, pile: TokenPile) -> float | None:
        """Return the mean loss, equal for equal weights; None if there is nothing to predict."""


class TokenPrediction(PileTraining):
    """Training by the cross-entropy of predicted tokens. Processes weigh their texts by these tokens."""

    measured_texts: ClassVar[int] = 1  # fewer held-out texts are measured several times

    @abstractmethod
    def loss_sum(self, pile: TokenPile, draw: Draw) -> tuple[Tensor, int, int]:
        """Return the summed loss () of a draw, the number of predicted tokens, and that of tokens read."""

    @abstractmethod
    def predicted(self, draw: Draw) -> int:
        """Return the number of predicted tokens of a draw."""

    def loss(self, draw: Draw) -> Tensor:
        """Return the mean loss () of the predicted tokens."""
        total, predicted, read = self.loss_sum(self.pile, draw)
        self.tokens += read
        return total / max(1, predicted)

    def share(self, draw: Draw, process: int, processes: int) -> tuple[Draw, float]:
        """Return the texts of one process, weighted by their predicted tokens."""
        part = Draw(draw.epoch, share_of_rows(draw.rows, process, processes)[0])
        mine = self.predicted(part) if len(draw.rows) > process else 0
        return part, processes * mine / max(1, self.predicted(draw))

    @torch.inference_mode()
    def measure(self, pile: TokenPile) -> float | None:
        """Return the mean loss under fixed draws. Its exponential is the perplexity."""
        total, predicted = 0.0, 0
        self.encoder.eval(), self.module.eval()
        for again in range(min(50, -(-self.measured_texts // len(pile)))):
            for rows in length_sorted_batches(pile.lengths, budget=MEASURE_TOKENS):
                loss, count, _ = self.loss_sum(pile, Draw(-again, rows))
                total, predicted = total + float(loss), predicted + count
        return total / predicted if predicted else None


def epoch_batches(
    pile: TokenPile, settings: Objective | Scratch, context: RunContext, *, name: str
) -> Callable[[int], list[Draw]]:
    """Return a function that draws the batches of an epoch by the seed, `name` and the epoch alone."""

    def batches(epoch: int) -> list[Draw]:
        generator = context.generator(f"{name}/{epoch}")
        found = shuffled_length_batches(pile.lengths, batch_size=settings.batch_size, generator=generator)
        return [Draw(epoch, rows) for rows in found]

    return batches


def train_on_pile(
    training: PileTraining, settings: Objective | Scratch, context: RunContext,
    *, name: str, steps: int, precision: Precision, stage: str,
) -> list[float]:  # fmt: skip
    """Train from the newest checkpoint, if any, to the last step. Return the mean loss of each epoch.

    `name` is that of checkpoints and random generators. Raises ConfigError, at `stage`, if the loss is not finite.
    """
    done, warmup = 0, round(settings.warmup * steps)
    with context.progress.task(name.replace("_", " "), total=steps, unit="steps") as task:

        def after_step(step: int, loss: float) -> None:
            nonlocal done
            if not math.isfinite(loss):
                raise ConfigError(
                    f"{stage}: the loss of {name} was {loss} at step {step} with a learning rate of "
                    f"{settings.learning_rate:g}; expected a finite number. Lower learning_rate."
                )
            task.advance(step - done, f"loss {loss:.3f}")
            context.record.step(name, step, loss)
            done = step

        job = TrainingJob(
            model=training.module,
            groups=training.groups(settings.learning_rate),
            batches=epoch_batches(training.pile, settings, context, name=name),
            loss=training.loss,
            epochs=steps,
            seed=context.generator(f"{name}/dropout").initial_seed(),
            schedule=Schedule(steps, warmup=warmup, decay=steps - warmup),
            precision=precision,
            share=training.share,
            checkpoints=context.checkpoints(name),
        )
        return train(job, after_step=after_step)
