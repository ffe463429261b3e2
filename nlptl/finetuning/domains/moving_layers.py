"""Methods that train the top of a transformer on the labels and on an alignment of the domains.

Shapes: B texts, t texts of both domains, D dimension.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.finetuning.domains.adapt_settings import Adversarial, LayerMethod
from nlptl.finetuning.domains.adversarial import DomainClassifier, move_layers
from nlptl.finetuning.domains.bottleneck_adapters import Discrepancy, add_bottlenecks
from nlptl.finetuning.domains.domain_heads import HeadTraining
from nlptl.finetuning.domains.task import AdaptedClassifier, DomainTask
from nlptl.finetuning.gradient.frozen_layers import FrozenLayers
from nlptl.finetuning.gradient.layer_tuner import frozen_depth
from nlptl.finetuning.gradient.lora_adapters import merged
from nlptl.models.at_rest import not_training
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder, count_parameters
from nlptl.models.heads import Head
from nlptl.models.transformer import Transformer
from nlptl.training.batches import length_sorted_batches
from nlptl.training.compute import Precision
from nlptl.training.loop import ParameterGroup, Schedule, TrainingJob, train

HEAD_RATE = 1e-3
MIN_TEXTS = 2  # of either domain in a batch, for an alignment


@dataclasses.dataclass(frozen=True)
class _Step:
    """One batch: examples, and texts of the other domain."""

    rows: Tensor  # (B,)
    labels: Tensor  # (B,)
    here: Tensor  # (B,) bool: which rows are of the domain to start from
    there: Tensor
    progress: float  # of the training, from 0 to 1


class MovingLayers:
    """loss = cross-entropy of the labels + alignment of the sentence vectors of both domains, over the top layers."""

    costly = True

    def __init__(
        self, given: TextClassifier, texts: Sequence[str], vectors: Tensor, training: HeadTraining, settings: LayerMethod,
        *, precision: Precision, where: str, context: RunContext,
    ) -> None:  # fmt: skip
        """`vectors` (t, D) are those before training, to which a head is fitted first (Kumar et al. 2022)."""
        self.name: str = settings.method
        self._given, self._vectors, self._training, self._settings = given, vectors, training, settings
        self._precision, self._where, self._context = precision, where, context
        self._encoder, self._texts = merged(given.encoder), given.encoder.tokenized(texts)
        start = self._encoder.transformer
        with context.progress.task("running the frozen layers", total=len(texts), unit="texts") as task:
            frozen = frozen_depth(start, settings.top_layers)
            self._frozen_layers = FrozenLayers(start, self._texts, frozen, after_batch=task.advance)

    def fit(self, task: DomainTask, *, seed: int) -> AdaptedClassifier:
        """Train a copy of encoder and fitted head on a task; ConfigError if the loss or a weight is not finite."""
        head = self._training.fitted(self._given, self._vectors[task.rows], task.labels, seed=seed)
        old = self._encoder
        transformer, pooling = copy.deepcopy(old.transformer), copy.deepcopy(old.pooling)
        encoder = old.with_parts(token_model=transformer, pooling=pooling)
        moved = self._train(encoder, head, task, seed)
        encoder.requires_grad_(True)
        classifier = TextClassifier(encoder, head, self._given.labels).eval()
        trained = count_parameters(head) + count_parameters(encoder.pooling) + moved
        return AdaptedClassifier(classifier, lambda rows: self._probabilities(classifier, rows), trained)

    def _prepared(self, token_model: Transformer, seed: int) -> tuple[list[nn.Parameter], nn.Module]:
        """Return the parameters that learn, and the loss () of vectors (B, D) of two domains and the progress."""
        settings, frozen = self._settings, self._frozen_layers.layers
        if isinstance(settings, Adversarial):
            return move_layers(token_model, frozen), DomainClassifier(self._encoder.own_dim, seed, settings.strength)
        moving = add_bottlenecks(token_model, frozen, width=settings.width, seed=seed, where=self._where)
        return moving, Discrepancy(settings.weight)

    def _train(self, encoder: Encoder, head: Head, task: DomainTask, seed: int) -> int:
        """Train encoder and head; return the number of parameters of the token model that learnt."""
        encoder.transformer.requires_grad_(False)
        moving, alignment = self._prepared(encoder.transformer, seed)
        alignment.to(encoder.device)
        above = [*head.parameters(), *encoder.pooling.parameters(), *alignment.parameters()]
        plan = _plan(task, self._settings, seed)
        steps = sum(map(len, plan))
        labels_on = head.centre.device

        def loss(step: _Step) -> Tensor:
            vectors = self._frozen_layers.vectors(encoder, torch.cat([step.rows, step.there]))
            with torch.autocast(vectors.device.type, enabled=False):
                own, other = vectors[: len(step.rows)], vectors[len(step.rows) :]
                labelled: Tensor = nn.functional.cross_entropy(head(own), step.labels.to(labels_on))
                here = own[step.here.to(own.device)]
                if min(len(here), len(other)) < MIN_TEXTS:
                    return labelled
                here, other = (((part - head.centre) / head.scale)[:, : encoder.own_dim] for part in (here, other))
                aligned: Tensor = alignment(here, other, step.progress)
                return labelled + aligned

        job = TrainingJob(
            model=nn.ModuleList([encoder, head, alignment]),
            groups=[ParameterGroup(above, HEAD_RATE), ParameterGroup(moving, self._settings.learning_rate)],
            batches=lambda epoch: plan[epoch - 1], loss=loss, epochs=self._settings.epochs, seed=seed,
            schedule=Schedule(steps, warmup=round(0.1 * steps), decay=round(0.3 * steps)), precision=self._precision,
        )  # fmt: skip
        train(job, after_step=self._check_step)
        if not all(torch.isfinite(parameter).all() for parameter in [*above, *moving]):
            raise self._not_finite(f"weights were not finite after step {steps}")
        return sum(parameter.numel() for parameter in moving)

    def _check_step(self, step: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise self._not_finite(f"loss was {loss} at step {step}")
        self._context.record.step(self.name, step, loss)

    def _not_finite(self, found: str) -> ConfigError:
        force = "strength" if isinstance(self._settings, Adversarial) else "weight"
        return ConfigError(
            f"{self._where}: {self.name}: the {found} with a learning rate of {self._settings.learning_rate:g}; "
            f"expected finite numbers. Lower learning_rate or {force}."
        )

    def _probabilities(self, classifier: TextClassifier, rows: Tensor) -> Tensor:
        found = torch.empty(len(rows), len(classifier.labels), dtype=torch.float64)
        budget = classifier.encoder.transformer.token_budget
        with torch.inference_mode(), not_training(classifier):
            for part in length_sorted_batches(self._texts.lengths[rows], budget=budget):
                logits = classifier.head(self._frozen_layers.vectors(classifier.encoder, rows[part]))
                found[part] = logits.double().softmax(dim=1).cpu()
        return found


def _plan(task: DomainTask, settings: LayerMethod, seed: int) -> list[list[_Step]]:
    """Return the batches of every epoch; texts of the other domain are repeated as needed."""
    generator = torch.Generator().manual_seed(seed)
    half = max(MIN_TEXTS, settings.batch_size // 2)
    own = torch.isin(task.rows, task.here)
    steps = -(-len(task.rows) // half)
    plan: list[list[_Step]] = []
    for epoch in range(settings.epochs):
        order = torch.randperm(len(task.rows), generator=generator)
        others = torch.cat([
            torch.randperm(len(task.there), generator=generator) for _ in range(-(-steps * half // len(task.there)))
        ])  # fmt: skip
        plan.append([
            _Step(
                task.rows[part], task.labels[part], own[part], task.there[others[number * half : (number + 1) * half]],
                (epoch * steps + number) / max(1, settings.epochs * steps - 1),
            )
            for number, part in enumerate(torch.split(order, half))
        ])  # fmt: skip
    return plan
