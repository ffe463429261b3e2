"""Stage three: update a classifier on the labelled examples — the head alone, some layers, adapters, or everything.

Shapes: n labelled examples, K labels.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from nlptl.artifact import Kind
from nlptl.config import Config, auto_or
from nlptl.errors import ConfigError, DataError
from nlptl.stages.few_labels import chosen_update, contrasted, from_names, solved
from nlptl.stages.more_texts import check_pile
from nlptl.stages.probabilities import at_priors, calibrated, check_priors
from nlptl.stages.stage import Part, Record, RunContext, TokenModelKind
from nlptl.stages.update import (
    NO_LAYERS,
    Auto,
    Contrastive,
    Full,
    Head,
    Lora,
    Partial,
    Update,
    adapters_of,
    is_step_by_step,
    pull_of,
    rates_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from nlptl import updates
    from nlptl.data import TextData
    from nlptl.fitting import Examples, Settings
    from nlptl.layer_updates import LayerUpdate
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.heads import Head as HeadModule
    from nlptl.selection import Choice

SMALL = 1_000_000  # numbers in the labelled sentence vectors below which one thread trains faster than two
ITERATIVE = ("learning_rate", "epochs", "l2", "batch_size", "label_weights", "label_smoothing")
"""Settings of updates that learn step by step from labels; other updates have none of them."""
SCRATCH_RATE, LAYERS_RATE = 1e-2, 1e-3  # of the head: alone or over word vectors, over moving layers


class FineTune(Config):
    """Train a classifier on the labelled examples."""

    stage: Literal["finetune"] = "finetune"
    """The name of this stage."""
    update: Update = Head()
    """What moves."""
    learning_rate: Annotated[float | Literal["auto"], auto_or(float, least=1e-9)] = "auto"
    """Rate of the head under AdamW. auto: 1e-2, or 1e-3 over layers that move. A smooth head alone is fitted by L-BFGS,
    which has none."""
    epochs: Annotated[int | Literal["auto"], auto_or(int, least=1)] = "auto"
    """Passes over the labelled examples. auto: chosen by cross-validation on them, or by early stopping when
    data.validation is given."""
    l2: Annotated[float | Literal["auto"], auto_or(float, least=0)] = "auto"
    """Penalty on half the squared weights of the head; larger is smoother. auto: chosen like the epochs."""
    batch_size: Annotated[int | Literal["auto"], auto_or(int, least=1)] = "auto"
    """Examples a step (of mean length, where layers move; a smooth head takes all in each). auto: a thirty-second of
    the examples, a power of two within 8 and 256, or 32 where layers move."""
    folds: int = Field(default=5, ge=2, le=20)
    """Parts of the stratified cross-validation; fewer when a label has fewer examples. Where layers move and examples
    are many, one part is held out once."""
    patience: int = Field(default=10, ge=1)
    """With data.validation: epochs without improvement after which training stops."""
    label_weights: Literal["none", "balanced"] = "none"
    """balanced weighs each label by the inverse of its frequency: better recall of rare labels, at the price of
    probabilities that no longer follow the frequencies."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the truth that is spread over all labels while training; more keeps probabilities from extremes."""
    priors: Literal["observed", "uniform"] | dict[str, Annotated[float, Field(gt=0, lt=1)]] = "observed"
    """How frequent each label will be where the classifier is used: as in the examples, all alike, or a share for each
    label. Probabilities move by the ratio of new to old shares (Saerens et al. 2002)."""
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    """Of the matrix products where layers move. auto: bfloat16 where the device computes it natively, else float32.
    tf32 is between the two on a GPU, and float32 elsewhere."""

    @field_validator("priors", mode="before")
    @classmethod
    def _labels_are_names(cls, value: object) -> object:
        """Take labels that YAML reads as whole numbers for the names that they are in a data file."""
        if not isinstance(value, dict):
            return value
        return {str(label) if type(label) is int else label: share for label, share in value.items()}

    takes: ClassVar[Kind | None] = "classifier"
    gives: ClassVar[Kind] = "classifier"
    version: ClassVar[int] = 6
    shared: ClassVar[bool] = True

    @property
    def needs(self) -> frozenset[Part]:
        """The labelled examples."""
        return frozenset({"labelled"})

    @property
    def draws(self) -> bool:
        """Folds, batches and dropout are drawn."""
        return True

    def reads(self, data: TextData) -> frozenset[Part]:
        """The labelled examples; validation texts, names of labels and the pile where given and of use."""
        piled = isinstance(self.update, Contrastive | Auto) and self.update.pile not in (None, "never")
        parts: tuple[Part, ...] = ("labelled", "validation", "label_names", *(("unlabelled",) if piled else ()))
        return frozenset(part for part in parts if getattr(data, part) is not None)

    def check(self, *, where: str) -> None:
        """Refuse settings that mean nothing to the update."""
        update = self.update
        for name in () if is_step_by_step(update) else ITERATIVE:
            if getattr(self, name) != FineTune.model_fields[name].default:
                solver = f" with solver {update.solver}" if isinstance(update, Head) else ""
                under = f"update.method {update.method}{solver}"
                raise ConfigError(
                    f"{where}.{name}: found {getattr(self, name)} under {under}, which takes no such setting; expected it "
                    "only with an update that learns step by step (head with solver iterative, partial, full, lora). Drop it, "
                    "or choose one of these."
                )

    def check_model(self, token_model: TokenModelKind, *, where: str) -> None:
        """Refuse updates of layers where there are none."""
        if token_model == "transformer":
            return
        if isinstance(self.update, Partial | Lora | Contrastive):
            raise ConfigError(
                f"{where}.update.method: found {self.update.method} over word vectors, which have no layers; expected "
                "head, full or auto, or a transformer. Choose one, or begin the chain with stage: bert."
            )
        for name in NO_LAYERS if isinstance(self.update, Full) else ():
            if getattr(self.update, name) != Full.model_fields[name].default:
                raise ConfigError(
                    f"{where}.update.{name}: found {getattr(self.update, name)} over word vectors, which have no layers; "
                    "expected it only with a transformer. Drop it, or begin the chain with stage: bert."
                )

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse a pile that is not there, and priors of other labels."""
        if isinstance(self.update, Contrastive) and data.labelled is not None:
            check_pile(self.update, data, where=where)
        check_priors(self.priors, data.label_set.names, where=where)

    def outside(self) -> Mapping[str, str]:
        """Digests of the models that augmentation reads."""
        from nlptl.augmentation import model_digests

        return model_digests(self.update.augment) if isinstance(self.update, Contrastive) else {}

    def run(self, given: TextClassifier, *, data: TextData, context: RunContext | None = None) -> TextClassifier:
        """Return a new classifier trained on `data.labelled`; `given` stays as it is.

        Without labelled examples, but with `data.label_names`, it predicts from the labels' names (zero-shot). Raises
        DataError without both, ConfigError for an update that the encoder has no layers for.
        """
        context = context or RunContext()
        kind = given.encoder.token_model.kind
        self.check(where="finetune")
        self.check_model(kind, where="finetune")
        if kind == "transformer" and given.device != context.torch_device():
            given = copy.deepcopy(given).to(context.torch_device())
        if data.labelled is None and data.label_names is None:
            raise DataError("finetune: found no labelled examples; it learns from them. Give data.labelled.")
        _check_labels(given, data)
        check_priors(self.priors, given.labels, where="finetune")
        return at_priors(self._updated(given, data, context), self.priors, data)

    def _updated(self, given: TextClassifier, data: TextData, context: RunContext) -> TextClassifier:
        """Return the classifier of the update, at the shares of labels in the examples."""
        if data.labelled is None:
            return calibrated(from_names(self.update, given, data, context), data, context)
        if isinstance(self.update, Auto):
            update, how = chosen_update(self.update, given, data, context, train=self._tried(given, context))
            made = self.model_copy(update={"update": update})._learnt(given, data, context)
            return calibrated(made, data, context, temperature=how.temperature, scored=how.scored)
        made = self._learnt(given, data, context)
        return made if is_step_by_step(self.update) else calibrated(made, data, context)

    def _learnt(self, given: TextClassifier, data: TextData, context: RunContext) -> TextClassifier:
        """Return what an update makes of the examples."""
        if isinstance(self.update, Contrastive):
            return contrasted(self.update, given, data, context, precision=self.precision)
        if isinstance(self.update, Head) and self.update.solver != "iterative":
            return solved(self.update.solver, given, data, context)
        return self._fine_tuned(given, data, context)

    def _tried(self, given: TextClassifier, context: RunContext) -> Callable[[Update, TextData], TextClassifier]:
        """Return what trains another update on other data, telling nobody."""

        def train(update: Update, data: TextData) -> TextClassifier:
            quiet = dataclasses.replace(context, record=Record(), keep=None)
            return self.model_copy(update={"update": update})._updated(given, data, quiet)

        return train

    def _fine_tuned(self, given: TextClassifier, data: TextData, context: RunContext) -> TextClassifier:
        """Return the classifier of an update that learns the labels themselves."""
        from nlptl.training import one_thread_if

        assert data.labelled is not None
        parts = [data.labelled] if data.validation is None else [data.labelled, data.validation]
        texts = [text for part in parts for text in part.texts()]
        examples = self._examples(given, [label for part in parts for label in part.labels()], len(data.labelled))
        small = given.encoder.token_model.kind == "word_vectors" and len(texts) * given.encoder.dim < SMALL
        with one_thread_if(small):
            classifier, choice, trained = self._trained(given, texts, examples, context)
        found = {"epochs": choice.epochs, "l2": choice.l2, "rate": choice.rate}
        context.record.find("choice", found, choice.how)
        context.record.find("trainable_parameters", trained)
        return classifier

    def _trained(
        self, given: TextClassifier, texts: list[str], examples: Examples, context: RunContext
    ) -> tuple[TextClassifier, Choice, int]:
        """Return the new classifier, how it was chosen and how many parameters moved."""
        from nlptl.fitting import MOST_PASSES
        from nlptl.training import one_thread_if
        from nlptl.updates import HeadUpdate

        settings = self._settings(context)
        transformer = given.encoder.token_model.kind == "transformer"
        more = isinstance(self.update, Full | Partial | Lora) or given.encoder.pooling.query is not None
        layers = self._layers(given, texts, context) if transformer and more else None
        rate = SCRATCH_RATE if self.learning_rate == "auto" else self.learning_rate
        head = HeadUpdate(given, self._vectors(given, texts, layers, context), learning_rate=rate)
        with one_thread_if(len(texts) * given.encoder.dim < SMALL):
            # Fixed epochs are those of what goes on from the head; the head itself is fitted to its end.
            first = dataclasses.replace(settings, epochs=MOST_PASSES) if more and settings.epochs else settings
            fit, choice = self._fit(head, examples, first, context)
        update: updates.Update = head
        if more:
            fitted = self._fitted_head(head, examples, choice, context)
            update = layers or self._word_vectors(given, texts, fitted)
            if layers:
                layers.start_from(fitted)
            fit, choice = self._fit(update, examples, dataclasses.replace(settings, l2=choice.l2), context)
        moved = sum(parameter.numel() for parameter in fit.module.parameters() if parameter.requires_grad)
        classifier = update.finish(fit)
        if layers:
            _tell_work(given, classifier, layers, context)
        return classifier, choice, moved

    def _vectors(
        self, given: TextClassifier, texts: list[str], layers: LayerUpdate | None, context: RunContext
    ) -> Tensor:
        """Return the sentence vectors (n, D) of the labelled texts, from the frozen layers' outputs where they are."""
        import torch

        found = layers.sentence_vectors() if layers else None
        if found is not None:
            return found
        with context.progress.task("encoding the labelled texts", total=len(texts), unit="texts") as task:
            return torch.from_numpy(given.encoder.encode(texts, after_batch=task.advance))

    def _examples(self, given: TextClassifier, names: list[str], training: int) -> Examples:
        import torch

        from nlptl.data import LabelSet
        from nlptl.fitting import Examples

        labels = torch.tensor(LabelSet(given.labels).ids(names))
        counts = torch.bincount(labels[:training], minlength=len(given.labels))
        weights = torch.ones(len(given.labels))
        if self.label_weights == "balanced":
            weights = training / (len(given.labels) * counts.clamp(min=1).float())
        device = given.head.centre.device
        return Examples(labels.to(device), training, weights.to(device), self.label_smoothing)

    def _settings(self, context: RunContext) -> Settings:
        from nlptl.fitting import Settings
        from nlptl.training import precision_for

        return Settings(
            l2=None if self.l2 == "auto" else self.l2,
            epochs=None if self.epochs == "auto" else self.epochs,
            batch_size=None if self.batch_size == "auto" else self.batch_size,
            folds=self.folds,
            patience=self.patience,
            seed=context.seed,
            precision=precision_for(self.precision, context.torch_device()),
        )

    def _fitted_head(
        self, head: updates.HeadUpdate, examples: Examples, choice: Choice, context: RunContext
    ) -> Callable[[Tensor], HeadModule]:
        """Return what fits a head alone to some rows, for an update that goes on from it."""
        from nlptl.selection import fit_rows
        from nlptl.updates import HeadFit

        def fitted(rows: Tensor) -> HeadModule:
            fit = fit_rows(head, examples, choice, self._settings(context), rows)
            assert isinstance(fit, HeadFit)
            return fit.head

        return fitted

    def _word_vectors(
        self, given: TextClassifier, texts: list[str], fitted_head: Callable[[Tensor], HeadModule]
    ) -> updates.Update:
        """Return the full update of word vectors that goes on from fitted heads."""
        from nlptl.updates import FullUpdate

        assert isinstance(self.update, Full)
        rate = self.update.encoder_learning_rate
        return FullUpdate(
            given,
            texts,
            fitted_head=fitted_head,
            rates=(
                SCRATCH_RATE if self.learning_rate == "auto" else self.learning_rate,
                1e-3 if rate == "auto" else rate,
            ),
            l2_to_start=pull_of(self.update, default=1e-4),
        )

    def _layers(self, given: TextClassifier, texts: list[str], context: RunContext) -> LayerUpdate:
        """Return the update of a transformer's layers, the frozen ones run."""
        from nlptl.layer_updates import LayerUpdate

        update = self.update
        assert isinstance(update, Head | Partial | Full | Lora)
        with context.progress.task("running the frozen layers", total=len(texts), unit="texts") as task:
            made = LayerUpdate(
                given,
                texts,
                rates=rates_of(update, LAYERS_RATE if self.learning_rate == "auto" else self.learning_rate),
                top_layers=0 if isinstance(update, Head) else None if isinstance(update, Full) else update.top_layers,
                adapters=adapters_of(update, given.encoder.transformer.anatomy) if isinstance(update, Lora) else None,
                seed=context.seed,
                after_batch=task.advance,
            )
        if made.trunk is not None:
            size = f"{made.trunk.bytes / 2**20:.0f} MiB"
            where = {"memory": "in memory", "file": "in a file", "nowhere": "nowhere: too large, they run each time"}
            told = f"The lowest {made.frozen} layers are frozen: they ran once a text, kept {where[made.trunk.place]}"
            context.record.find("frozen_layers", made.frozen, f"{told} ({size}).")
        return made

    def _fit(
        self, update: updates.Update, examples: Examples, settings: Settings, context: RunContext
    ) -> tuple[updates.Fit, Choice]:
        import torch

        from nlptl.selection import choose, fit_rows, fit_until, fits_of

        def after_epoch(epoch: int, loss: float, l2: float) -> None:
            context.record.row(epoch=epoch, loss=round(loss, 6), l2=l2)

        if examples.training < len(examples.labels):
            return fit_until(update, examples, settings, after_epoch=after_epoch, tell=context.record.sentences.append)
        with context.progress.task("fine-tune", total=fits_of(update, settings, examples) + 1, unit="fits") as task:
            choice = choose(update, examples, settings, tick=lambda: task.advance(1))
            rows = torch.arange(examples.training)
            fit = fit_rows(
                update, examples, choice, settings, rows, after_epoch=after_epoch, tell=context.record.sentences.append
            )
            task.advance(1)
        return fit, choice


def _check_labels(given: TextClassifier, data: TextData) -> None:
    missing = set(data.label_set.names) ^ set(given.labels)
    if missing:
        raise DataError(
            f"finetune: the head knows the labels {', '.join(given.labels)}, the data have "
            f"{', '.join(data.label_set.names)}; both must be equal. Attach a fresh classification_head."
        )


def _tell_work(given: TextClassifier, classifier: TextClassifier, update: LayerUpdate, context: RunContext) -> None:
    """Record how far each layer moved and what the training took."""
    from nlptl.distributed import summed
    from nlptl.layer_updates import merged
    from nlptl.movement import movement, movement_sentence

    moved = movement(merged(given.encoder), merged(classifier.encoder))
    context.record.find("movement", moved, movement_sentence(moved))
    tokens, flops = summed(update.work.tokens), summed(update.work.flops)
    context.record.find(
        "work",
        {"tokens": round(tokens), "flops": flops},
        f"Work: {tokens:,.0f} tokens trained on, {flops / 1e12:.3g} TFLOP, choice of epochs included.",
    )
