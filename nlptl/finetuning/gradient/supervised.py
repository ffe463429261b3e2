"""Fine-tuning on the labels themselves by gradient descent: the head first, then what learns beside it.

Shapes: n labelled examples, V validation texts, K labels, D dimension, B rows.
"""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import Tensor

from nlptl.context import RunContext
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.gradient.cross_validation import (
    Choice,
    choose,
    fit_rows,
    fit_until,
    fits_of,
    out_of_fold_logits,
)
from nlptl.finetuning.gradient.fitting import MAX_LBFGS_PASSES, Settings, Targets
from nlptl.finetuning.gradient.gradient_settings import GradientSettings
from nlptl.finetuning.gradient.head_tuner import HeadTuner
from nlptl.finetuning.gradient.layer_tuner import LayerPlan, LayerTuner
from nlptl.finetuning.gradient.lora_adapters import merged
from nlptl.finetuning.gradient.tuner import Fit, Tuner
from nlptl.finetuning.gradient.weight_change import weight_change, weight_change_sentence
from nlptl.finetuning.gradient.word_vector_tuner import WordVectorTuner
from nlptl.finetuning.method import Fitted
from nlptl.finetuning.probabilities import Calibration
from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head
from nlptl.progress import byte_size
from nlptl.training.compute import one_thread_if, precision_for
from nlptl.training.distributed import all_reduce_sum

ONE_THREAD_NUMBERS = 1_000_000  # in the labelled sentence vectors, below which one thread trains faster than two
WHERE = {"memory": "in memory", "file": "in a file", "nowhere": "nowhere: too large, they run each time"}


@dataclasses.dataclass(frozen=True)
class WordVectorPlan:
    """How word vectors learn."""

    rates: tuple[float, float]  # learning rates of the head and of the vectors
    l2_to_start: float  # pull of each vector to its start


class Supervised:
    """One training on the labels."""

    def __init__(
        self, given: TextClassifier, examples: LabelledExamples, context: RunContext, settings: GradientSettings
    ) -> None:
        self._given, self._examples, self._context, self._settings = given, examples, context, settings
        validation = examples.validation
        self._texts = [*examples.texts, *(validation.texts if validation else ())]
        ids = torch.cat([examples.targets, *([validation.targets] if validation else [])])
        device, smoothing = given.head.centre.device, settings.label_smoothing
        counts = examples.label_counts()
        weights = torch.ones(len(counts))
        if settings.label_weights == "balanced":
            weights = len(examples) / (len(counts) * counts.clamp(min=1).float())
            if examples.label_sets is not None:  # those with a label count as much as those without it
                weights = (len(examples) - counts).clamp(min=1) / counts.clamp(min=1).float()
        self._targets = Targets(ids.to(device), len(examples), weights.to(device), smoothing, examples.groups)
        self._fitting = Settings(
            l2=None if settings.l2 == "auto" else settings.l2,
            epochs=None if settings.epochs == "auto" else settings.epochs,
            batch_size=None if settings.batch_size == "auto" else settings.batch_size,
            folds=settings.folds,
            patience=settings.patience,
            seed=context.seed,
            precision=precision_for(settings.precision, context.torch_device()),
        )

    def fitted(self, plan: LayerPlan | WordVectorPlan | None = None) -> Fitted:
        """Return the classifier that has learnt the labels; without a plan its head alone learns."""
        small = len(self._texts) * self._given.encoder.dim < ONE_THREAD_NUMBERS
        with one_thread_if(small and self._given.encoder.token_model.kind == "word_vectors"):
            layers = self._layers(plan) if isinstance(plan, LayerPlan) else None
            rate = self._settings.head_rate()
            tuner: Tuner = HeadTuner(self._given, self._vectors(layers), learning_rate=rate)
            settings = self._fitting
            if plan is not None and settings.epochs:  # a head that something learns after is fitted to its end
                settings = dataclasses.replace(settings, epochs=MAX_LBFGS_PASSES)
            with one_thread_if(small):
                fit, choice = self._fit(tuner, settings)
            if plan is not None:
                tuner = self._beyond(tuner, choice, layers, plan)
                fit, choice = self._fit(tuner, dataclasses.replace(self._fitting, l2=choice.l2))
            moved = sum(parameter.numel() for parameter in fit.module.parameters() if parameter.requires_grad)
            classifier = tuner.finish(fit)
            if layers:
                self._tell_work(classifier, layers)
        self._context.record.add_finding("choice", {"epochs": choice.epochs, "l2": choice.l2}, choice.how)
        balanced = self._settings.label_weights == "balanced"
        calibration = Calibration(by_validation=False)
        holds_out = self._examples.validation is None if self._targets.are_sets else plan is None
        held_out = functools.partial(self._held_out, tuner, choice) if holds_out else None
        return Fitted(classifier, moved, calibration=calibration, balanced=balanced, held_out_logits=held_out)

    def _held_out(self, tuner: Tuner, choice: Choice) -> Tensor | None:
        """Return the logits (n, K) of examples by fits without them, for thresholds and prediction sets."""
        small = len(self._texts) * self._given.encoder.dim < ONE_THREAD_NUMBERS
        with one_thread_if(small and self._given.encoder.token_model.kind == "word_vectors"):
            return out_of_fold_logits(tuner, self._targets, choice, self._fitting)

    def _beyond(
        self, head: Tuner, choice: Choice, layers: LayerTuner | None, plan: LayerPlan | WordVectorPlan
    ) -> Tuner:
        """Return the tuner that goes on from fitted heads."""

        def fitted_head(rows: Tensor) -> Head:
            return fit_rows(head, self._targets, choice, self._fitting, rows).head

        if isinstance(plan, WordVectorPlan):
            return WordVectorTuner(self._given, self._texts, fitted_head=fitted_head, **vars(plan))
        assert layers is not None
        layers.start_from(fitted_head)
        return layers

    def _vectors(self, layers: LayerTuner | None) -> Tensor:
        """Return the sentence vectors (n + V, D), from the outputs of the frozen layers where they are at hand."""
        found = layers.sentence_vectors() if layers else None
        if layers and found is not None:
            layers.count(torch.arange(len(self._texts)), training=False)
            return found
        own = self._examples.frozen_vectors(self._given.encoder, progress=self._context.progress)
        if self._examples.validation is None:
            return own
        return torch.cat([own, torch.from_numpy(self._given.encoder.encode(self._examples.validation.texts))])

    def _layers(self, plan: LayerPlan) -> LayerTuner:
        """Return the tuner of a transformer's layers, after the frozen ones have run."""
        made = LayerTuner.of(self._given, self._texts, plan, self._context)
        if made.frozen:
            size = byte_size(made.frozen_layers.bytes)
            told = f"The lowest {made.frozen} layers are frozen: they ran once a text, kept {WHERE[made.frozen_layers.place]}"
            self._context.record.add_finding("frozen_layers", made.frozen, f"{told} ({size}).")
        return made

    def _fit(self, tuner: Tuner, settings: Settings) -> tuple[Fit, Choice]:
        """Return the fit on all examples, and the choice of its epochs and penalty."""
        targets, record = self._targets, self._context.record

        def after_epoch(epoch: int, loss: float, l2: float) -> None:
            record.row(epoch=epoch, loss=round(loss, 6), l2=l2)

        if self._examples.validation is not None:
            return fit_until(tuner, targets, settings, after_epoch=after_epoch, tell=record.warn)
        total = fits_of(tuner, settings, targets) + 1
        with self._context.progress.task("fine-tune", total=total, unit="fits") as task:
            choice = choose(tuner, targets, settings, tick=lambda: task.advance(1))
            rows, tell = torch.arange(targets.training), record.warn
            fit = fit_rows(tuner, targets, choice, settings, rows, after_epoch=after_epoch, tell=tell)
            task.advance(1)
        return fit, choice

    def _tell_work(self, classifier: TextClassifier, layers: LayerTuner) -> None:
        """Record how far each layer moved and what the training took."""
        moved = weight_change(merged(self._given.encoder), merged(classifier.encoder))
        self._context.record.add_finding("weight_change", moved, weight_change_sentence(moved))
        tokens, flops = all_reduce_sum(layers.work.tokens), all_reduce_sum(layers.work.flops)
        told = f"Work: {tokens:,.0f} tokens trained on, {flops / 1e12:.3g} TFLOP, choice of epochs included."
        self._context.record.add_finding("work", {"tokens": round(tokens), "flops": flops}, told)
