"""Methods that train a head on fixed sentence vectors: source only, CORAL, and continued pretraining.

Shapes: t texts, n examples, B texts, D dimension.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from nlptl.finetuning.domains.task import AdaptedClassifier, Domains, DomainTask
from nlptl.finetuning.gradient.cross_validation import Choice, choose, fit_rows
from nlptl.finetuning.gradient.fitting import Settings, Targets
from nlptl.finetuning.gradient.head_tuner import HeadFit, HeadTuner
from nlptl.models.at_rest import not_training
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import count_parameters
from nlptl.models.heads import Head
from nlptl.training.compute import one_thread_if

LEARNING_RATE = 1e-2  # under AdamW, of a head without a smooth loss
ONE_THREAD_NUMBERS = 1_000_000  # in the sentence vectors, below which one thread is faster than two


@dataclasses.dataclass(frozen=True)
class HeadTraining:
    """Training of every head on fixed vectors, so that methods differ in nothing else; layers train it further."""

    settings: Settings
    choice: Choice  # penalty and epochs

    def fitted(self, given: TextClassifier, vectors: Tensor, labels: Tensor, *, seed: int) -> Head:
        """Return a copy of the given head fitted to vectors (B, D) and label ids (B,)."""
        examples = _examples(labels.to(given.head.centre.device), len(given.labels))
        settings = dataclasses.replace(self.settings, seed=seed)
        update = HeadTuner(given, vectors, learning_rate=LEARNING_RATE)
        with one_thread_if(vectors.numel() < ONE_THREAD_NUMBERS):
            fit = fit_rows(update, examples, self.choice, settings, torch.arange(len(labels)))
        assert isinstance(fit, HeadFit)
        return fit.head.eval()


def choose_head_training(
    given: TextClassifier, vectors: Tensor, domains: Domains, settings: Settings, *, tick: Callable[[], None]
) -> HeadTraining:
    """Choose penalty and epochs by cross-validation on the unaligned examples, for all methods."""
    examples = _examples(domains.labels.to(given.head.centre.device), len(given.labels))
    examples = dataclasses.replace(examples, groups=domains.duplicates)
    update = HeadTuner(given, vectors[: len(domains.labels)], learning_rate=LEARNING_RATE)
    with one_thread_if(vectors.numel() < ONE_THREAD_NUMBERS):
        return HeadTraining(settings, choose(update, examples, settings, tick=tick))


@dataclasses.dataclass(eq=False)
class FrozenVectors:
    """Head on the sentence vectors of a frozen encoder: source-only, aligned, or after continued pretraining."""

    name: str
    given: TextClassifier
    vectors: Tensor  # (t, D) of all texts
    training: HeadTraining
    align: Callable[[Tensor, Tensor], Tensor] | None = None  # maps vectors of one domain to another
    moved: int = 0  # parameters of the encoder that were trained before the head
    costly = False

    def fit(self, task: DomainTask, *, seed: int) -> AdaptedClassifier:
        """Train a head on the task's vectors, aligned if they are of the domain to start from."""
        vectors = self.vectors[task.rows].clone()
        if self.align is not None and len(task.here) > 1:
            own = torch.isin(task.rows, task.here)
            with one_thread_if(self.vectors.numel() < ONE_THREAD_NUMBERS):
                vectors[own] = self.align(vectors[own], self.vectors[task.there])
        head = self.training.fitted(self.given, vectors, task.labels, seed=seed)

        def probabilities(rows: Tensor) -> Tensor:
            with torch.inference_mode(), not_training(head):
                logits: Tensor = head(self.vectors[rows].to(head.centre.device))
                return logits.double().softmax(dim=1).cpu()

        classifier = TextClassifier(self.given.encoder, head, self.given.labels).eval()
        return AdaptedClassifier(classifier, probabilities, self.moved + count_parameters(head))


def _examples(labels: Tensor, label_count: int) -> Targets:
    return Targets(labels, len(labels), torch.ones(label_count, device=labels.device))
