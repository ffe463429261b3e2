"""Fine-tuning on the labels themselves by gradient descent: the head first, then what learns beside it.

Shapes: n labelled examples, V validation texts, K labels, D dimension, B rows.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from nlptl.finetuning.gradient.cross_validation import choose, fit_rows, fit_until, fits_of
from nlptl.finetuning.gradient.fitting import MAX_LBFGS_PASSES, Settings, Targets
from nlptl.finetuning.gradient.head_tuner import HeadFit, HeadTuner
from nlptl.finetuning.gradient.layer_tuner import LayerTuner, Rates
from nlptl.finetuning.gradient.lora import merged
from nlptl.finetuning.gradient.weight_change import weight_change, weight_change_sentence
from nlptl.finetuning.gradient.word_vector_tuner import WordVectorTuner
from nlptl.finetuning.method import Fitted
from nlptl.finetuning.probabilities import Calibration
from nlptl.training.compute import one_thread_if, precision_for
from nlptl.training.distributed import all_reduce_sum

if TYPE_CHECKING:
    from torch import Tensor

    from nlptl.context import RunContext
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.finetuning.gradient.cross_validation import Choice
    from nlptl.finetuning.gradient.lora import LoraAdapters
    from nlptl.finetuning.gradient.settings import GradientSettings
    from nlptl.finetuning.gradient.tuner import Fit, Tuner
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.heads import Head

ONE_THREAD_NUMBERS = 1_000_000
"""Numbers in the labelled sentence vectors below which one thread trains faster than two."""
HEAD_RATE, HEAD_RATE_OVER_LAYERS = 1e-2, 1e-3
"""Learning rate of the head alone or over word vectors, and over layers that learn."""


@dataclasses.dataclass(frozen=True)
class LayerPlan:
    """What learns in a transformer."""

    rates: Rates
    top_layers: int | None
    """None for all layers, with the embeddings."""
    adapters: LoraAdapters | None = None


@dataclasses.dataclass(frozen=True)
class WordVectorPlan:
    """How word vectors learn."""

    rates: tuple[float, float]
    """Learning rates of the head and of the vectors."""
    l2_to_start: float
    """Pull of each vector to its start."""


def fit_supervised(
    given: TextClassifier,
    examples: LabelledExamples,
    context: RunContext,
    settings: GradientSettings,
    plan: LayerPlan | WordVectorPlan | None = None,
) -> Fitted:
    """Return the classifier that has learnt the labels; without a plan its head alone learns."""
    return _Supervised(given, examples, context, settings).fitted(plan)


class _Supervised:
    """One training on the labels."""

    def __init__(
        self, given: TextClassifier, examples: LabelledExamples, context: RunContext, settings: GradientSettings
    ) -> None:
        self._given, self._examples, self._context, self._settings = given, examples, context, settings
        validation = examples.validation
        self._texts = [*examples.texts, *(validation.texts if validation else ())]
        ids = torch.cat([examples.label_ids, *([validation.label_ids] if validation else [])])
        device = given.head.centre.device
        self._targets = Targets(
            ids.to(device), len(examples), self._weights().to(device), settings.label_smoothing, examples.groups
        )
        self._fitting = Settings(
            l2=None if settings.l2 == "auto" else settings.l2,
            epochs=None if settings.epochs == "auto" else settings.epochs,
            batch_size=None if settings.batch_size == "auto" else settings.batch_size,
            folds=settings.folds,
            patience=settings.patience,
            seed=context.seed,
            precision=precision_for(settings.precision, context.torch_device()),
        )

    def fitted(self, plan: LayerPlan | WordVectorPlan | None) -> Fitted:
        """Return the new classifier; the record tells how it was chosen."""
        small = len(self._texts) * self._given.encoder.dim < ONE_THREAD_NUMBERS
        with one_thread_if(small and self._given.encoder.token_model.kind == "word_vectors"):
            layers = self._layers(plan) if isinstance(plan, LayerPlan) else None
            head, fit, choice = self._head(layers, goes_on=plan is not None, small=small)
            tuner: Tuner = head
            if plan is not None:
                tuner = self._beyond(head, choice, layers, plan)
                fit, choice = self._fit(tuner, dataclasses.replace(self._fitting, l2=choice.l2))
            moved = sum(parameter.numel() for parameter in fit.module.parameters() if parameter.requires_grad)
            classifier = tuner.finish(fit)
            if layers:
                self._tell_work(classifier, layers)
        self._context.record.add_finding("choice", {"epochs": choice.epochs, "l2": choice.l2}, choice.how)
        return Fitted(
            classifier,
            moved,
            calibration=Calibration(by_validation=False),
            balanced=self._settings.label_weights == "balanced",
        )

    def _head(self, layers: LayerTuner | None, *, goes_on: bool, small: bool) -> tuple[HeadTuner, Fit, Choice]:
        """Fit the head alone; where something else learns after it, it is fitted to its end."""
        head = HeadTuner(self._given, self._vectors(layers), learning_rate=self._settings.head_rate(HEAD_RATE))
        settings = self._fitting
        if goes_on and settings.epochs:
            settings = dataclasses.replace(settings, epochs=MAX_LBFGS_PASSES)
        with one_thread_if(small):
            return head, *self._fit(head, settings)

    def _beyond(
        self, head: HeadTuner, choice: Choice, layers: LayerTuner | None, plan: LayerPlan | WordVectorPlan
    ) -> Tuner:
        """Return the tuner that goes on from fitted heads."""

        def fitted_head(rows: Tensor) -> Head:
            fit = fit_rows(head, self._targets, choice, self._fitting, rows)
            assert isinstance(fit, HeadFit)
            return fit.head

        if layers is not None:
            layers.start_from(fitted_head)
            return layers
        assert isinstance(plan, WordVectorPlan)
        return WordVectorTuner(
            self._given, self._texts, fitted_head=fitted_head, rates=plan.rates, l2_to_start=plan.l2_to_start
        )

    def _vectors(self, layers: LayerTuner | None) -> Tensor:
        """Return the sentence vectors (n + V, D), from the outputs of the frozen layers where they are at hand."""
        found = layers.sentence_vectors() if layers else None
        if found is not None:
            return found
        own = self._examples.frozen_vectors(self._given.encoder, progress=self._context.progress)
        if self._examples.validation is None:
            return own
        return torch.cat([own, torch.from_numpy(self._given.encoder.encode(self._examples.validation.texts))])

    def _weights(self) -> Tensor:
        """Return the weight of each label (K,)."""
        counts = self._examples.label_counts()
        if self._settings.label_weights == "none":
            return torch.ones(len(counts))
        return len(self._examples) / (len(counts) * counts.clamp(min=1).float())

    def _layers(self, plan: LayerPlan) -> LayerTuner:
        """Return the tuner of a transformer's layers, after the frozen ones have run."""
        with self._context.progress.task("running the frozen layers", total=len(self._texts), unit="texts") as task:
            made = LayerTuner(
                self._given,
                self._texts,
                rates=plan.rates,
                top_layers=plan.top_layers,
                adapters=plan.adapters,
                seed=self._context.seed,
                after_batch=task.advance,
            )
        if made.frozen_layers is not None:
            size = f"{made.frozen_layers.bytes / 2**20:.0f} MiB"
            where = {"memory": "in memory", "file": "in a file", "nowhere": "nowhere: too large, they run each time"}
            told = f"The lowest {made.frozen} layers are frozen: they ran once a text, kept {where[made.frozen_layers.place]}"
            self._context.record.add_finding("frozen_layers", made.frozen, f"{told} ({size}).")
        return made

    def _fit(self, tuner: Tuner, settings: Settings) -> tuple[Fit, Choice]:
        """Return the fit on all examples, and the choice of its epochs and penalty."""
        record = self._context.record

        def after_epoch(epoch: int, loss: float, l2: float) -> None:
            record.row(epoch=epoch, loss=round(loss, 6), l2=l2)

        if self._examples.validation is not None:
            return fit_until(tuner, self._targets, settings, after_epoch=after_epoch, tell=record.sentences.append)
        total = fits_of(tuner, settings, self._targets) + 1
        with self._context.progress.task("fine-tune", total=total, unit="fits") as task:
            choice = choose(tuner, self._targets, settings, tick=lambda: task.advance(1))
            rows = torch.arange(self._targets.training)
            fit = fit_rows(
                tuner, self._targets, choice, settings, rows, after_epoch=after_epoch, tell=record.sentences.append
            )
            task.advance(1)
        return fit, choice

    def _tell_work(self, classifier: TextClassifier, layers: LayerTuner) -> None:
        """Record how far each layer moved and what the training took."""
        moved = weight_change(merged(self._given.encoder), merged(classifier.encoder))
        self._context.record.add_finding("weight_change", moved, weight_change_sentence(moved))
        tokens, flops = all_reduce_sum(layers.work.tokens), all_reduce_sum(layers.work.flops)
        self._context.record.add_finding(
            "work",
            {"tokens": round(tokens), "flops": flops},
            f"Work: {tokens:,.0f} tokens trained on, {flops / 1e12:.3g} TFLOP, choice of epochs included.",
        )
