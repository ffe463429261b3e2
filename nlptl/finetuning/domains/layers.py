"""Methods that train the top of a transformer on two things at once: the labels, and that domains look alike.

Shapes: B texts, N packed tokens, D dimension, K labels.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from nlptl.errors import ConfigError
from nlptl.finetuning.domains.domain_heads import HeadTraining
from nlptl.finetuning.domains.task import Fitted, Task
from nlptl.finetuning.gradient.frozen_layers import FrozenLayers
from nlptl.finetuning.gradient.lora import merged
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder, count_parameters, not_training
from nlptl.models.heads import Head
from nlptl.models.transformer import Transformer
from nlptl.training.batches import length_sorted_batches
from nlptl.training.compute import Precision
from nlptl.training.loop import ParameterGroup, Schedule, TrainingJob, train

HEAD_RATE = 1e-3
SEVERAL = 2  # texts of either domain in a batch, without which there is nothing to align


@dataclasses.dataclass(frozen=True)
class Course:
    """How long and how fast the layers learn."""

    epochs: int
    """Passes over the examples."""
    batch_size: int
    """Texts a step, half of them examples, half of the other domain."""
    learning_rate: float
    """Of what moves in the encoder."""
    top_layers: int | None
    """How many layers take part; None means all. Those below run once per text."""
    precision: Precision


class Alignment(Protocol):
    """What makes two domains look alike."""

    module: nn.Module
    """What it learns itself; gone after training."""

    def loss(self, here: Tensor, there: Tensor, progress: float) -> Tensor:
        """Return the loss () of vectors (B, D) of the two domains, `progress` from 0 to 1 through the training."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What sets one method of this kind apart from another."""

    name: str
    prepare: Callable[[Transformer, int, int], Sequence[nn.Parameter]]
    """Makes a copy ready whose layers above a number of frozen ones take part; returns what moves. Last, a seed."""
    alignment: Callable[[int, int], Alignment]
    """Makes the alignment for vectors of width D and a seed."""
    force: str
    """The setting that says how strongly the domains are aligned."""
    where: str
    """The place of its settings, with which sentences of errors begin."""


@dataclasses.dataclass(frozen=True)
class _Step:
    """One batch: examples, texts of the other domain, and how far the training has come."""

    rows: Tensor
    labels: Tensor
    here: Tensor
    """(B,) bool, which of the rows are of the domain to come from."""
    there: Tensor
    progress: float


class MovingLayers:
    """loss = cross-entropy of the labels + alignment of the sentence vectors of both domains, over the top layers."""

    costly = True

    def __init__(
        self,
        given: TextClassifier,
        texts: Sequence[str],
        vectors: Tensor,
        training: HeadTraining,
        recipe: Recipe,
        course: Course,
        *,
        after_batch: Callable[[int], None] | None = None,
        after_step: Callable[[int, float], None] | None = None,
    ) -> None:
        """`vectors` (t, D) are those before anything moves, to which a head is fitted first (Kumar et al. 2022).

        `after_batch` is told how many texts each batch of the frozen layers held, `after_step` each step and its loss.
        """
        self.name = recipe.name
        self._given, self._vectors, self._training = given, vectors, training
        self._recipe, self._course, self._after_step = recipe, course, after_step
        self._encoder = merged(given.encoder)
        start = self._encoder.transformer
        self._texts = given.encoder.tokenized(texts)
        self._frozen = 0 if course.top_layers is None else max(0, start.used_depth - course.top_layers)
        self._trunk = FrozenLayers(start, self._texts, self._frozen, after_batch=after_batch) if self._frozen else None

    def fit(self, task: Task, *, seed: int) -> Fitted:
        """Train a copy of encoder and fitted head on a task; ConfigError when the loss breaks down."""
        head = self._training.fitted(self._given, self._vectors[task.rows], task.labels, seed=seed)
        old = self._encoder
        encoder = Encoder(
            old.tokenizer, copy.deepcopy(old.transformer), copy.deepcopy(old.pooling), normalized=old.normalized
        )
        for parameter in encoder.transformer.parameters():
            parameter.requires_grad_(False)
        moving = self._recipe.prepare(encoder.transformer, self._frozen, seed)
        self._train(encoder, head, moving, task, seed)
        for parameter in encoder.parameters():
            parameter.requires_grad_(True)
        classifier = TextClassifier(encoder, head, self._given.labels).eval()
        trained = sum(map(count_parameters, (head, encoder.pooling))) + sum(parameter.numel() for parameter in moving)
        return Fitted(classifier, lambda rows: self._probabilities(classifier, rows), trained)

    def _train(self, encoder: Encoder, head: Head, moving: Sequence[nn.Parameter], task: Task, seed: int) -> None:
        alignment = self._recipe.alignment(encoder.dim, seed)
        alignment.module.to(encoder.device)
        above = [*head.parameters(), *encoder.pooling.parameters(), *alignment.module.parameters()]
        plan = _plan(task, self._course, seed)
        steps = sum(map(len, plan))
        labels_on = head.centre.device

        def loss(step: _Step) -> Tensor:
            vectors = self._sentence_vectors(encoder, torch.cat([step.rows, step.there]))
            with torch.autocast(vectors.device.type, enabled=False):
                own, other = vectors[: len(step.rows)], vectors[len(step.rows) :]
                labelled: Tensor = nn.functional.cross_entropy(head(own), step.labels.to(labels_on))
                here = own[step.here.to(own.device)]
                if min(len(here), len(other)) < SEVERAL:
                    return labelled
                scaled = [(part - head.centre) / head.scale for part in (here, other)]
                return labelled + alignment.loss(scaled[0], scaled[1], step.progress)

        job = TrainingJob(
            model=nn.ModuleList([encoder, head, alignment.module]),
            groups=[ParameterGroup(above, HEAD_RATE), ParameterGroup(list(moving), self._course.learning_rate)],
            batches=lambda epoch: plan[epoch - 1],
            loss=loss,
            epochs=self._course.epochs,
            seed=seed,
            schedule=Schedule(steps, warmup=round(0.1 * steps), decay=round(0.3 * steps)),
            precision=self._course.precision,
        )
        train(job, after_step=self._watch)
        if not all(torch.isfinite(parameter).all() for parameter in [*above, *moving]):
            raise self._broken(f"weights were no finite numbers after step {steps}")

    def _watch(self, step: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise self._broken(f"loss was {loss} at step {step}")
        if self._after_step is not None:
            self._after_step(step, loss)

    def _broken(self, found: str) -> ConfigError:
        return ConfigError(
            f"{self._recipe.where}: {self.name}: the {found} with a learning rate of {self._course.learning_rate:g}; expected "
            f"finite numbers. Lower learning_rate or {self._recipe.force}."
        )

    def _sentence_vectors(self, encoder: Encoder, rows: Tensor) -> Tensor:
        """Return sentence vectors (B, D), the frozen layers' part from the cache."""
        token_model, batch = encoder.transformer, self._texts.batch(rows).to(encoder.device)
        below = token_model.lower(batch, 0) if self._trunk is None else self._trunk.of(rows)
        return encoder.pooled(token_model.upper(below, batch, self._frozen).float(), batch)

    def _probabilities(self, classifier: TextClassifier, rows: Tensor) -> Tensor:
        found = torch.empty(len(rows), len(classifier.labels), dtype=torch.float64)
        budget = classifier.encoder.transformer.token_budget
        with torch.inference_mode(), not_training(classifier):
            for part in length_sorted_batches(self._texts.lengths[rows], budget=budget):
                logits = classifier.head(self._sentence_vectors(classifier.encoder, rows[part]))
                found[part] = logits.double().softmax(dim=1).cpu()
        return found


def _plan(task: Task, course: Course, seed: int) -> list[list[_Step]]:
    """Return the batches of every epoch; texts of the other domain come round as often as they are needed."""
    generator = torch.Generator().manual_seed(seed)
    half = max(SEVERAL, course.batch_size // 2)
    own = torch.isin(task.rows, task.here)
    steps = -(-len(task.rows) // half)
    plan: list[list[_Step]] = []
    for epoch in range(course.epochs):
        order = torch.randperm(len(task.rows), generator=generator)
        others = torch.cat([
            torch.randperm(len(task.there), generator=generator) for _ in range(-(-steps * half // len(task.there)))
        ])  # fmt: skip
        plan.append([
            _Step(
                task.rows[part], task.labels[part], own[part], task.there[others[number * half : (number + 1) * half]],
                (epoch * steps + number) / max(1, course.epochs * steps - 1),
            )
            for number, part in enumerate(torch.split(order, half))
        ])  # fmt: skip
    return plan
