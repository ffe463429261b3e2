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
from nlptl.config import auto_or
from nlptl.context import Record, RunContext
from nlptl.errors import ConfigError, DataError
from nlptl.finetuning.augmentation.checked import check_pile
from nlptl.finetuning.gradient.supervised import StepByStep
from nlptl.finetuning.methods.few_labels import (
    chosen_update,
    contrasted,
    from_names,
    pile_joined,
    read_as_decided,
    solved,
)
from nlptl.finetuning.methods.linear_heads import check_hidden
from nlptl.finetuning.methods.union import (
    NO_LAYERS,
    Auto,
    Contrastive,
    Full,
    Head,
    Lora,
    Partial,
    Update,
    is_step_by_step,
)
from nlptl.finetuning.probabilities import at_priors, calibrated, check_priors
from nlptl.stages.stage import ExpectedModel, Part, Stage, TokenModelKind

if TYPE_CHECKING:
    from nlptl.data import TextData
    from nlptl.models.classifier import TextClassifier

ITERATIVE = ("learning_rate", "epochs", "l2", "batch_size", "label_weights", "label_smoothing")
"""Settings of updates that learn step by step from labels; other updates have none of them."""


class FineTune(Stage):
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
    """How frequent each label will be where the classifier is used: as it was trained (observed), all alike, or a share for
    each label. Probabilities move by the ratio of new to old shares (Saerens et al. 2002); the old ones are those of the
    examples, or all alike under label_weights: balanced."""
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
    version: ClassVar[int] = 9
    runs_on_all_processes: ClassVar[bool] = True

    @property
    def needs(self) -> frozenset[Part]:
        """The labelled examples."""
        return frozenset({"labelled"})

    @property
    def is_random(self) -> bool:
        """Folds, batches and dropout are drawn."""
        return True

    def reads(self, data: TextData) -> frozenset[Part]:
        """The labelled examples; validation texts, names of labels and the pile where given and of use."""
        piled = isinstance(self.update, Contrastive | Auto) and self.update.pile not in (None, "never")
        parts: tuple[Part, ...] = ("labelled", "validation", "label_names", *(("unlabelled",) if piled else ()))
        return frozenset(part for part in parts if getattr(data, part) is not None)

    def check(self, *, where: str) -> None:
        """Refuse settings that mean nothing to the update, and models of augmentation that are not there."""
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
        if isinstance(update, Contrastive) and update.augment:
            from nlptl.finetuning.augmentation import check_models

            check_models(update.augment, where=f"{where}.update.augment")

    def check_model(self, token_model: TokenModelKind, *, where: str) -> None:
        """Refuse updates of layers where there are none."""
        if token_model == "transformer":
            return
        if isinstance(self.update, Partial | Lora | Contrastive):
            raise ConfigError(
                f"{where}.update.method: found {self.update.method} over word vectors, which have no layers; expected "
                "head, full or auto, or a transformer. Choose one, or begin the chain with stage: bert."
            )
        if isinstance(self.update, Auto) and self.update.by_sentence == "always":
            raise ConfigError(
                f"{where}.update.by_sentence: found always over word vectors, which know no sentences; expected auto or never, "
                "or a transformer. Choose one, or begin the chain with stage: bert."
            )
        for name in NO_LAYERS if isinstance(self.update, Full) else ():
            if getattr(self.update, name) != Full.model_fields[name].default:
                raise ConfigError(
                    f"{where}.update.{name}: found {getattr(self.update, name)} over word vectors, which have no layers; "
                    "expected it only with a transformer. Drop it, or begin the chain with stage: bert."
                )

    def check_chain(self, given: ExpectedModel, data: TextData | None, *, where: str) -> None:
        """Refuse a hidden layer under an update that fits a linear head."""
        check_hidden(self.update, given.hidden, data, layers=given.has_layers, where=where)

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse a pile that is not there, and priors of other labels."""
        if isinstance(self.update, Contrastive) and data.labelled is not None:
            check_pile(self.update, data, where=where)
        check_priors(self.priors, data.label_set.names, where=where)

    def external_digests(self) -> Mapping[str, str]:
        """Digests of the models that augmentation reads."""
        from nlptl.finetuning.augmentation import model_digests

        if not isinstance(self.update, Contrastive):
            return {}
        return model_digests(self.update.augment, where="finetune.update.augment")

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
        balanced = self.label_weights == "balanced"
        return at_priors(self._updated(given, data, context), self.priors, data, balanced=balanced)

    def _updated(self, given: TextClassifier, data: TextData, context: RunContext) -> TextClassifier:
        """Return the classifier of the update, at the shares of labels in the examples."""
        left: Update = self.update
        if isinstance(left, Auto):
            given, left = read_as_decided(left, given, data, context)
        if data.labelled is None:
            return calibrated(from_names(self.update, given, data, context), data, context)
        if isinstance(left, Auto):
            update, how = chosen_update(left, given, data, context, train=self._tried(given, context))
            made = self.model_copy(update={"update": update})._learnt(given, data, context)
            if is_step_by_step(update) and data.validation is not None:
                return made  # stopped by these texts already
            scored = 0 if pile_joined(context) else how.scored  # what was compared had no pile
            return calibrated(made, data, context, temperature=how.temperature, scored=scored)
        made = self._learnt(given, data, context)
        return made if is_step_by_step(self.update) else calibrated(made, data, context)

    def _learnt(self, given: TextClassifier, data: TextData, context: RunContext) -> TextClassifier:
        """Return what an update makes of the examples."""
        if isinstance(self.update, Contrastive):
            return contrasted(self.update, given, data, context, precision=self.precision)
        if isinstance(self.update, Head) and self.update.solver != "iterative":
            return solved(self.update.solver, given, data, context)
        return StepByStep(self, given, context).classifier(data)

    def _tried(self, given: TextClassifier, context: RunContext) -> Callable[[Update, TextData], TextClassifier]:
        """Return what trains another update on other data, telling nobody."""

        def train(update: Update, data: TextData) -> TextClassifier:
            quiet = dataclasses.replace(context, record=Record(), checkpoint_folder=None)
            return self.model_copy(update={"update": update})._updated(given, data, quiet)

        return train


def _check_labels(given: TextClassifier, data: TextData) -> None:
    missing = set(data.label_set.names) ^ set(given.labels)
    if missing:
        raise DataError(
            f"finetune: the head knows the labels {', '.join(given.labels)}, the data have "
            f"{', '.join(data.label_set.names)}; both must be equal. Attach a fresh classification_head."
        )
