"""Methods that train a head on fixed sentence vectors: source only, CORAL, and an encoder that was trained on.

Shapes: t texts, n examples, B texts, D dimension.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from nlptl.finetuning.domains.coral import aligned
from nlptl.finetuning.domains.task import Domains, Fitted, Task
from nlptl.finetuning.gradient.cross_validation import Choice, choose, fit_rows
from nlptl.finetuning.gradient.fitting import Settings, Targets
from nlptl.finetuning.gradient.head_tuner import HeadFit, HeadTuner
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import count_parameters, not_training
from nlptl.models.heads import Head
from nlptl.training.compute import one_thread_if

RATE = 1e-2  # of a head that is not smooth, under AdamW
SMALL = 1_000_000  # numbers in the sentence vectors below which one thread trains a head faster than two


@dataclasses.dataclass(frozen=True)
class HeadTraining:
    """How every head of the stage is trained on fixed vectors, so that methods differ in nothing else.

    Where layers move, the head begins so and then goes on learning with them, without the penalty.
    """

    settings: Settings
    choice: Choice
    """Penalty and epochs."""

    def fitted(self, given: TextClassifier, vectors: Tensor, labels: Tensor, *, seed: int) -> Head:
        """Return a copy of the given head fitted to vectors (B, D) and label ids (B,)."""
        examples = _examples(labels.to(given.head.centre.device), len(given.labels))
        settings = dataclasses.replace(self.settings, seed=seed)
        update = HeadTuner(given, vectors, learning_rate=RATE)
        with one_thread_if(vectors.numel() < SMALL):
            fit = fit_rows(update, examples, self.choice, settings, torch.arange(len(labels)))
        assert isinstance(fit, HeadFit)
        return fit.head.eval()


def choose_head(
    given: TextClassifier, vectors: Tensor, domains: Domains, settings: Settings, *, tick: Callable[[], None]
) -> HeadTraining:
    """Choose penalty and epochs by cross-validation on the examples as they are; every method then takes them."""
    examples = _examples(domains.labels.to(given.head.centre.device), len(given.labels))
    examples = dataclasses.replace(examples, groups=domains.repeats)
    update = HeadTuner(given, vectors[: len(domains.labels)], learning_rate=RATE)
    with one_thread_if(vectors.numel() < SMALL):
        return HeadTraining(settings, choose(update, examples, settings, tick=tick))


class FrozenVectors:
    """A head on the sentence vectors of an encoder that does not move, aligned before if `align` says how.

    Without `align` it is the source-only classifier, or, over an encoder that was trained on the target's texts,
    continued pretraining.
    """

    costly = False

    def __init__(
        self,
        name: str,
        given: TextClassifier,
        vectors: Tensor,
        training: HeadTraining,
        *,
        align: Callable[[Tensor, Tensor], Tensor] | None = None,
        moved: int = 0,
    ) -> None:
        """`vectors` (t, D) are those of all texts; `align` turns the rows of one domain into those of another.

        `moved` parameters of the encoder were trained on before the head.
        """
        self.name, self._moved = name, moved
        self._given, self._vectors, self._training, self._align = given, vectors, training, align

    def fit(self, task: Task, *, seed: int) -> Fitted:
        """Train a head on the task's vectors, those of its own domain aligned; texts of any domain then come as they are."""
        vectors = self._vectors[task.rows].clone()
        if self._align is not None and len(task.here) > 1:
            own = torch.isin(task.rows, task.here)
            with one_thread_if(self._vectors.numel() < SMALL):
                vectors[own] = self._align(vectors[own], self._vectors[task.there])
        head = self._training.fitted(self._given, vectors, task.labels, seed=seed)

        def probabilities(rows: Tensor) -> Tensor:
            with torch.inference_mode(), not_training(head):
                logits: Tensor = head(self._vectors[rows].to(head.centre.device))
                return logits.double().softmax(dim=1).cpu()

        classifier = TextClassifier(self._given.encoder, head, self._given.labels).eval()
        return Fitted(classifier, probabilities, self._moved + count_parameters(head))


def coral(given: TextClassifier, vectors: Tensor, training: HeadTraining, *, shrinkage: float | None) -> FrozenVectors:
    """Return CORAL: a head on source vectors that were given the target's mean and covariance."""

    def align(source: Tensor, target: Tensor) -> Tensor:
        return aligned(source, target, shrinkage=shrinkage)

    return FrozenVectors("coral", given, vectors, training, align=align)


def _examples(labels: Tensor, names: int) -> Targets:
    return Targets(labels, len(labels), torch.ones(names, device=labels.device))
