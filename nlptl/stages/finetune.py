"""Stage three: update a classifier on the labelled examples — the head alone, or everything.

Shapes: n labelled examples, K labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from nlptl.artifact import Kind
from nlptl.config import Config, auto_or
from nlptl.errors import DataError
from nlptl.stages.stage import Part, RunContext

if TYPE_CHECKING:
    from torch import Tensor

    from nlptl.data import TextData
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.heads import Head as HeadModule
    from nlptl.selection import Choice, Examples, Settings
    from nlptl.updates import Fit, Update


SMALL = 1_000_000  # numbers in the labelled sentence vectors below which one thread trains faster than two


class Head(Config):
    """The encoder is frozen, only the head learns."""

    method: Literal["head"] = "head"
    """The name of this update."""


class Full(Config):
    """Head and word vectors learn together."""

    method: Literal["full"] = "full"
    """The name of this update."""
    encoder_learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Rate of the word vectors, in units of the spread of the sentence vectors; keep it well below the head's."""
    l2_to_start: float = Field(default=1e-4, ge=0)
    """Pull of each word back to its pretrained vector; larger moves less, 0 lets the labels do what they will."""


class FineTune(Config):
    """Train a classifier on the labelled examples."""

    stage: Literal["finetune"] = "finetune"
    """The name of this stage."""
    update: Annotated[Head | Full, Field(discriminator="method")] = Head()
    """What moves."""
    learning_rate: float = Field(default=1e-2, gt=0, le=1)
    """Rate of AdamW, constant, where it is used: for update: full and with dropout. A smooth head is fitted by L-BFGS."""
    epochs: Annotated[int | Literal["auto"], auto_or(int, least=1)] = "auto"
    """Passes over the labelled examples. auto: chosen by cross-validation on them, or by early stopping when
    data.validation is given."""
    l2: Annotated[float | Literal["auto"], auto_or(float, least=0)] = "auto"
    """Penalty on half the squared weights of the head; larger is smoother. auto: chosen like the epochs."""
    batch_size: Annotated[int | Literal["auto"], auto_or(int, least=1)] = "auto"
    """Examples a step. auto: a thirty-second of the examples, a power of two within 8 and 256."""
    folds: int = Field(default=5, ge=2, le=20)
    """Parts of the stratified cross-validation; fewer when a label has fewer examples."""
    patience: int = Field(default=10, ge=1)
    """With data.validation: epochs without improvement after which training stops."""
    label_weights: Literal["none", "balanced"] = "none"
    """balanced weighs each label by the inverse of its frequency: better recall of rare labels, at the price of
    probabilities that no longer follow the frequencies."""

    takes: ClassVar[Kind | None] = "classifier"
    gives: ClassVar[Kind] = "classifier"
    version: ClassVar[int] = 1

    @property
    def needs(self) -> frozenset[Part]:
        """The labelled examples."""
        return frozenset({"labelled"})

    def reads(self, data: TextData) -> frozenset[Part]:
        """The labelled examples, and the validation texts where given."""
        return self.needs | ({"validation"} if data.validation is not None else set())

    def check(self, *, where: str) -> None:
        """Nothing can be wrong beyond the types."""

    def check_data(self, data: TextData, *, where: str) -> None:
        """Nothing beyond what `needs` says."""

    def outside(self) -> Mapping[str, str]:
        """Nothing outside the data shapes the result."""
        return {}

    def run(self, given: TextClassifier, *, data: TextData, context: RunContext | None = None) -> TextClassifier:
        """Return a new classifier trained on `data.labelled`; `given` stays as it is. DataError without examples."""
        from nlptl.training import one_thread_if

        context = context or RunContext()
        if data.labelled is None:
            raise DataError("finetune: found no labelled examples; it learns from them. Give data.labelled.")
        _check_labels(given, data)
        parts = [data.labelled] if data.validation is None else [data.labelled, data.validation]
        texts = [text for part in parts for text in part.texts()]
        examples = self._examples(given, [label for part in parts for label in part.labels()], len(data.labelled))
        with one_thread_if(len(texts) * given.encoder.dim < SMALL):
            classifier, choice, trained = self._trained(given, texts, examples, context)
        context.record.find("choice", {"epochs": choice.epochs, "l2": choice.l2}, choice.how)
        context.record.find("trainable_parameters", trained)
        return classifier

    def _trained(
        self, given: TextClassifier, texts: list[str], examples: Examples, context: RunContext
    ) -> tuple[TextClassifier, Choice, int]:
        """Return the new classifier, how it was chosen and how many parameters moved."""
        from nlptl.updates import HeadUpdate

        with context.progress.task("encoding the labelled texts", total=len(texts), unit="texts") as task:
            update: Update = HeadUpdate(given, texts, learning_rate=self.learning_rate, after_batch=task.advance)
        fit, choice = self._fit(update, examples, self._settings(context), context)
        if isinstance(self.update, Full):
            update = self._full(self.update, given, texts, update, examples, choice, context)
            settings = dataclasses.replace(self._settings(context), l2=choice.l2)
            fit, choice = self._fit(update, examples, settings, context)
        moved = sum(parameter.numel() for parameter in fit.module.parameters())
        return update.finish(fit), choice, moved

    def _examples(self, given: TextClassifier, names: list[str], training: int) -> Examples:
        import torch

        from nlptl.data import LabelSet
        from nlptl.selection import Examples

        labels = torch.tensor(LabelSet(given.labels).ids(names))
        counts = torch.bincount(labels[:training], minlength=len(given.labels))
        weights = torch.ones(len(given.labels))
        if self.label_weights == "balanced":
            weights = training / (len(given.labels) * counts.clamp(min=1).float())
        device = given.head.centre.device
        return Examples(labels.to(device), training, weights.to(device))

    def _settings(self, context: RunContext) -> Settings:
        from nlptl.selection import Settings

        return Settings(
            l2=None if self.l2 == "auto" else self.l2,
            epochs=None if self.epochs == "auto" else self.epochs,
            batch_size=None if self.batch_size == "auto" else self.batch_size,
            folds=self.folds,
            patience=self.patience,
            seed=context.seed,
        )

    def _full(
        self,
        full: Full,
        given: TextClassifier,
        texts: list[str],
        head: Update,
        examples: Examples,
        choice: Choice,
        context: RunContext,
    ) -> Update:
        """Return the full update that goes on from heads fitted with `choice`."""
        from nlptl.selection import fit_rows
        from nlptl.updates import FullUpdate, HeadFit

        def fitted_head(rows: Tensor) -> HeadModule:
            fit = fit_rows(head, examples, choice, self._settings(context), rows)
            assert isinstance(fit, HeadFit)
            return fit.head

        return FullUpdate(
            given,
            texts,
            fitted_head=fitted_head,
            rates=(self.learning_rate, full.encoder_learning_rate),
            l2_to_start=full.l2_to_start,
        )

    def _fit(self, update: Update, examples: Examples, settings: Settings, context: RunContext) -> tuple[Fit, Choice]:
        import torch

        from nlptl.selection import choose, fit_rows, fit_until, fits_of

        def after_epoch(epoch: int, loss: float, l2: float) -> None:
            context.record.row(epoch=epoch, loss=round(loss, 6), l2=l2)

        if examples.training < len(examples.labels):
            return fit_until(update, examples, settings, after_epoch=after_epoch)
        with context.progress.task("fine-tune", total=fits_of(settings, examples) + 1, unit="fits") as task:
            choice = choose(update, examples, settings, tick=lambda: task.advance(1))
            rows = torch.arange(examples.training)
            fit = fit_rows(update, examples, choice, settings, rows, after_epoch=after_epoch)
            task.advance(1)
        return fit, choice


def _check_labels(given: TextClassifier, data: TextData) -> None:
    missing = set(data.label_set.names) ^ set(given.labels)
    if missing:
        raise DataError(
            f"finetune: the head knows the labels {', '.join(given.labels)}, the examples have "
            f"{', '.join(data.label_set.names)}; both must be equal. Attach a fresh classification_head."
        )
