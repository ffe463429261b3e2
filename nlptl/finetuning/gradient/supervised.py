"""The updates that learn the labels themselves, step by step: the head, some layers, adapters, or everything.

Shapes: n labelled examples, K labels, D dimension, B rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from nlptl.context import RunContext
from nlptl.finetuning.methods.union import Full, Head, Lora, Partial, adapters_of, pull_of, rates_of

if TYPE_CHECKING:
    from torch import Tensor

    from nlptl.data import TextData
    from nlptl.finetuning.gradient.cross_validation import Choice
    from nlptl.finetuning.gradient.fitting import Examples, Settings
    from nlptl.finetuning.gradient.head_tuner import HeadTuner
    from nlptl.finetuning.gradient.layer_tuner import LayerTuner
    from nlptl.finetuning.gradient.tuner import Fit, Update
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.heads import Head as HeadModule
    from nlptl.stages.finetune import FineTune

SMALL = 1_000_000  # numbers in the labelled sentence vectors below which one thread trains faster than two
SCRATCH_RATE, LAYERS_RATE = 1e-2, 1e-3  # of the head: alone or over word vectors, over moving layers


class StepByStep:
    """One training by such an update, with the settings of the stage."""

    def __init__(self, stage: FineTune, given: TextClassifier, context: RunContext) -> None:
        """`stage` has the update and its settings; `given` is trained further and stays as it is."""
        self._stage, self._given, self._context = stage, given, context

    def classifier(self, data: TextData) -> TextClassifier:
        """Return the classifier that has learnt the labelled examples; the record tells how."""
        from nlptl.training.compute import one_thread_if

        assert data.labelled is not None
        parts = [data.labelled] if data.validation is None else [data.labelled, data.validation]
        texts = [text for part in parts for text in part.texts()]
        names = [label for part in parts for label in part.labels()]
        examples = self._examples(texts, names, len(data.labelled))
        small = self._given.encoder.token_model.kind == "word_vectors" and len(texts) * self._given.encoder.dim < SMALL
        with one_thread_if(small):
            classifier, choice, trained = self._trained(texts, examples)
        found = {"epochs": choice.epochs, "l2": choice.l2, "rate": choice.rate}
        self._context.record.add_finding("choice", found, choice.how)
        self._context.record.trainable_parameters = trained
        return classifier

    def _trained(self, texts: list[str], examples: Examples) -> tuple[TextClassifier, Choice, int]:
        """Return the new classifier, how it was chosen and how many parameters moved."""
        from nlptl.finetuning.gradient.fitting import MOST_PASSES
        from nlptl.finetuning.gradient.head_tuner import HeadTuner
        from nlptl.training.compute import one_thread_if

        settings = self._settings()
        transformer = self._given.encoder.token_model.kind == "transformer"
        more = isinstance(self._stage.update, Full | Partial | Lora) or self._given.encoder.pooling.query is not None
        layers = self._layers(texts) if transformer and more else None
        rate = SCRATCH_RATE if self._stage.learning_rate == "auto" else self._stage.learning_rate
        head = HeadTuner(self._given, self._vectors(texts, layers), learning_rate=rate)
        with one_thread_if(len(texts) * self._given.encoder.dim < SMALL):
            # Fixed epochs are those of what goes on from the head; the head itself is fitted to its end.
            first = dataclasses.replace(settings, epochs=MOST_PASSES) if more and settings.epochs else settings
            fit, choice = self._fit(head, examples, first)
        update: Update = head
        if more:
            fitted = self._fitted_head(head, examples, choice)
            update = layers or self._word_vectors(texts, fitted)
            if layers:
                layers.start_from(fitted)
            fit, choice = self._fit(update, examples, dataclasses.replace(settings, l2=choice.l2))
        moved = sum(parameter.numel() for parameter in fit.module.parameters() if parameter.requires_grad)
        classifier = update.finish(fit)
        if layers:
            _tell_work(self._given, classifier, layers, self._context)
        return classifier, choice, moved

    def _vectors(self, texts: list[str], layers: LayerTuner | None) -> Tensor:
        """Return the sentence vectors (n, D) of the labelled texts, from the frozen layers' outputs where they are."""
        import torch

        found = layers.sentence_vectors() if layers else None
        if found is not None:
            return found
        with self._context.progress.task("encoding the labelled texts", total=len(texts), unit="texts") as task:
            return torch.from_numpy(self._given.encoder.encode(texts, after_batch=task.advance))

    def _examples(self, texts: list[str], names: list[str], training: int) -> Examples:
        import torch

        from nlptl.evaluation.duplicates import duplicate_groups
        from nlptl.finetuning.gradient.fitting import Examples

        labels = self._given.label_ids(names)
        counts = torch.bincount(labels[:training], minlength=len(self._given.labels))
        weights = torch.ones(len(self._given.labels))
        if self._stage.label_weights == "balanced":
            weights = training / (len(self._given.labels) * counts.clamp(min=1).float())
        device = self._given.head.centre.device
        repeats = duplicate_groups(texts[:training], names[:training])
        return Examples(labels.to(device), training, weights.to(device), self._stage.label_smoothing, repeats)

    def _settings(self) -> Settings:
        from nlptl.finetuning.gradient.fitting import Settings
        from nlptl.training.compute import precision_for

        return Settings(
            l2=None if self._stage.l2 == "auto" else self._stage.l2,
            epochs=None if self._stage.epochs == "auto" else self._stage.epochs,
            batch_size=None if self._stage.batch_size == "auto" else self._stage.batch_size,
            folds=self._stage.folds,
            patience=self._stage.patience,
            seed=self._context.seed,
            precision=precision_for(self._stage.precision, self._context.torch_device()),
        )

    def _fitted_head(self, head: HeadTuner, examples: Examples, choice: Choice) -> Callable[[Tensor], HeadModule]:
        """Return what fits a head alone to some rows, for an update that goes on from it."""
        from nlptl.finetuning.gradient.cross_validation import fit_rows
        from nlptl.finetuning.gradient.head_tuner import HeadFit

        def fitted(rows: Tensor) -> HeadModule:
            fit = fit_rows(head, examples, choice, self._settings(), rows)
            assert isinstance(fit, HeadFit)
            return fit.head

        return fitted

    def _word_vectors(self, texts: list[str], fitted_head: Callable[[Tensor], HeadModule]) -> Update:
        """Return the full update of word vectors that goes on from fitted heads."""
        from nlptl.finetuning.gradient.word_vector_tuner import WordVectorTuner

        assert isinstance(self._stage.update, Full)
        rate = self._stage.update.encoder_learning_rate
        return WordVectorTuner(
            self._given,
            texts,
            fitted_head=fitted_head,
            rates=(
                SCRATCH_RATE if self._stage.learning_rate == "auto" else self._stage.learning_rate,
                1e-3 if rate == "auto" else rate,
            ),
            l2_to_start=pull_of(self._stage.update, default=1e-4),
        )

    def _layers(self, texts: list[str]) -> LayerTuner:
        """Return the update of a transformer's layers, the frozen ones run."""
        from nlptl.finetuning.gradient.layer_tuner import LayerTuner

        update = self._stage.update
        assert isinstance(update, Head | Partial | Full | Lora)
        with self._context.progress.task("running the frozen layers", total=len(texts), unit="texts") as task:
            made = LayerTuner(
                self._given,
                texts,
                rates=rates_of(
                    update, LAYERS_RATE if self._stage.learning_rate == "auto" else self._stage.learning_rate
                ),
                top_layers=0 if isinstance(update, Head) else None if isinstance(update, Full) else update.top_layers,
                adapters=adapters_of(update, self._given.encoder.transformer.architecture)
                if isinstance(update, Lora)
                else None,
                seed=self._context.seed,
                after_batch=task.advance,
            )
        if made.frozen_layers is not None:
            size = f"{made.frozen_layers.bytes / 2**20:.0f} MiB"
            where = {"memory": "in memory", "file": "in a file", "nowhere": "nowhere: too large, they run each time"}
            told = f"The lowest {made.frozen} layers are frozen: they ran once a text, kept {where[made.frozen_layers.place]}"
            self._context.record.add_finding("frozen_layers", made.frozen, f"{told} ({size}).")
        return made

    def _fit(self, update: Update, examples: Examples, settings: Settings) -> tuple[Fit, Choice]:
        import torch

        from nlptl.finetuning.gradient.cross_validation import choose, fit_rows, fit_until, fits_of

        def after_epoch(epoch: int, loss: float, l2: float) -> None:
            self._context.record.row(epoch=epoch, loss=round(loss, 6), l2=l2)

        if examples.training < len(examples.labels):
            return fit_until(
                update, examples, settings, after_epoch=after_epoch, tell=self._context.record.sentences.append
            )
        with self._context.progress.task(
            "fine-tune", total=fits_of(update, settings, examples) + 1, unit="fits"
        ) as task:
            choice = choose(update, examples, settings, tick=lambda: task.advance(1))
            rows = torch.arange(examples.training)
            fit = fit_rows(
                update,
                examples,
                choice,
                settings,
                rows,
                after_epoch=after_epoch,
                tell=self._context.record.sentences.append,
            )
            task.advance(1)
        return fit, choice


def _tell_work(given: TextClassifier, classifier: TextClassifier, update: LayerTuner, context: RunContext) -> None:
    """Record how far each layer moved and what the training took."""
    from nlptl.finetuning.gradient.lora import merged
    from nlptl.finetuning.gradient.movement import movement, movement_sentence
    from nlptl.training.distributed import all_reduce_sum

    moved = movement(merged(given.encoder), merged(classifier.encoder))
    context.record.add_finding("movement", moved, movement_sentence(moved))
    tokens, flops = all_reduce_sum(update.work.tokens), all_reduce_sum(update.work.flops)
    context.record.add_finding(
        "work",
        {"tokens": round(tokens), "flops": flops},
        f"Work: {tokens:,.0f} tokens trained on, {flops / 1e12:.3g} TFLOP, choice of epochs included.",
    )
