"""Stage three: a classifier learns the labelled examples, by one of the methods under `update:`."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from nlptl.artifact import Kind
from nlptl.context import RunContext
from nlptl.errors import ConfigError, DataError
from nlptl.finetuning.abstaining import abstention_of
from nlptl.finetuning.method import Fitted
from nlptl.finetuning.methods.head import HeadOnly
from nlptl.finetuning.methods.union import AnyMethod
from nlptl.finetuning.probabilities import at_priors, calibrated, check_priors, skew_told
from nlptl.finetuning.thresholds import with_thresholds
from nlptl.stages.stage import ExpectedModel, Part, Stage, TokenModelKind

if TYPE_CHECKING:
    from torch import Tensor

    from nlptl.data import TextData
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.models.classifier import TextClassifier

TEXTS_AT_ONCE = 1_000  # read until one has a known word
# A label that YAML reads as a whole number is a name in a data file.
LabelName = Annotated[str, BeforeValidator(lambda label: str(label) if type(label) is int else label)]


class FineTune(Stage):
    """Train a classifier on the labelled examples."""

    stage: Literal["finetune"] = "finetune"
    """The name of this stage."""
    update: AnyMethod = HeadOnly()
    """The method: what learns, and how."""
    priors: Literal["observed", "uniform"] | dict[LabelName, Annotated[float, Field(gt=0, lt=1)]] = "observed"
    """How frequent each label will be where the classifier is used: as it was trained (observed), all alike, or a share for
    each label. Probabilities move by the ratio of new to old shares (Saerens et al. 2002); the old ones are those of the
    examples, all alike under label_weights: balanced, or those that self-training finds in the pile."""

    thresholds: Literal["by_label", "shared"] | Annotated[float, Field(gt=0, lt=1)] = "by_label"
    """Probability from which a text has a label, where texts may have several. by_label: the best F1 of each label on held-out
    examples, the nearer to the shared threshold the fewer examples the label has. shared: one for all, by the best micro-F1.
    A higher number gives texts fewer labels."""

    takes: ClassVar[Kind | None] = "classifier"
    gives: ClassVar[Kind] = "classifier"
    version: ClassVar[int] = 16
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
        """Return the labelled examples; validation texts, names of labels and the pile where given."""
        parts: list[Part] = ["labelled", "validation", "label_names", "unlabelled"]
        return frozenset(part for part in parts if getattr(data, part) is not None)

    def check(self, *, where: str) -> None:
        """Refuse what the method can refuse by its settings alone."""
        self.update.check(where=f"{where}.update")

    def check_model(self, token_model: TokenModelKind, *, where: str) -> None:
        """Refuse a method or a setting that needs layers where there are none."""
        if token_model == "word_vectors":
            self.update.check_words(where=f"{where}.update")

    def expected_model(self, before: ExpectedModel) -> ExpectedModel:
        """Tell that the head is trained."""
        return dataclasses.replace(before, is_trained=True)

    def check_chain(self, given: ExpectedModel, data: TextData | None, *, where: str) -> None:
        """Refuse a hidden layer under a method that fits a linear head, and more layers than the encoder has."""
        if given.layers:
            self.update.check_layers(given.layers, where=f"{where}.update")
        if given.hidden:
            self.update.check_head(given.hidden, data, layers=given.has_layers, where=f"{where}.update")
            if data is not None:
                self._check_named_labels(data, hidden=given.hidden, where=where)

    def remarks(self, data: TextData) -> list[str]:
        """Return that English sentences name the labels of other texts, where nothing but names tells the labels."""
        from nlptl.evaluation.missed_text import names_sentence

        told = "" if data.labelled is not None else names_sentence(self.update.templates_of_names, data)
        return [told] if told else []

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse data that the method cannot learn from, and priors of other labels."""
        self._check_label_sets(data, where=where)
        self.update.check_data(data, where=f"{where}.update")
        self._check_named_labels(data, hidden=0, where=where)
        check_priors(self.priors, data.label_set.names, where=where)

    def _check_named_labels(self, data: TextData, *, hidden: int, where: str) -> None:
        """Refuse labels without examples where their names cannot stand in."""
        if data.labels_without_rows:
            from nlptl.finetuning.contrastive.named_labels import check_named_labels

            check_named_labels(self.update, data, hidden=hidden, where=f"{where}.update")

    def _check_label_sets(self, data: TextData, *, where: str) -> None:
        """Refuse settings that need one label a text where there may be several, or the other way round."""
        if not data.has_label_sets and self.thresholds != "by_label":
            raise ConfigError(
                f"{where}.thresholds: found {self.thresholds}, but each text has one label, the most probable one. Remove the "
                "setting."
            )
        if data.has_label_sets and not self.update.learns_label_sets:
            raise ConfigError(
                f"{where}.update: {self.update.title} learns one label a text, but the labelled rows have lists of labels. Choose "
                "head, partial, full, lora or auto."
            )
        if data.has_label_sets and self.priors != "observed":
            raise ConfigError(
                f"{where}.priors: shares of labels belong to texts with one label each, but the labelled rows have lists of "
                "labels. Remove the setting."
            )

    def external_digests(self) -> Mapping[str, str]:
        """Return digests of the files that the method reads."""
        return self.update.external_digests(where="finetune.update")

    def run(self, given: TextClassifier, *, data: TextData, context: RunContext | None = None) -> TextClassifier:
        """Return a new classifier trained on `data.labelled`; `given` stays as it is.

        Without labelled examples, but with `data.label_names`, it predicts from the labels' names (zero-shot). Names also stand
        in for single labels without examples. Raises DataError without examples and names, ConfigError for a method that the
        encoder has no layers for.
        """
        from nlptl.data.learnt_texts import LearntTexts
        from nlptl.finetuning.examples import LabelledExamples

        context = context or RunContext()
        kind, device = given.encoder.trainable_kind, context.torch_device()
        self.check(where="finetune")
        self.check_model(kind, where="finetune")
        if kind == "transformer" and (layers := given.encoder.transformer.used_depth):
            self.update.check_layers(layers, where="finetune.update")
        elsewhere = given.device.type != device.type or device.index not in (None, given.device.index)
        if kind == "transformer" and elsewhere:
            given = copy.deepcopy(given).to(device)
        examples = LabelledExamples.of(data, given.labels)
        _check_same_kind(given, examples)
        self._check_label_sets(data, where="finetune")
        self.update.check_data(data, where="finetune.update")
        self._check_named_labels(data, hidden=given.head.hidden, where="finetune")
        check_priors(self.priors, given.labels, where="finetune")
        _warn_of_unknown_words(given, examples, context)
        fitted = self._fitted(given, examples, context)
        classifier = self._corrected(fitted, given, examples, context)
        classifier.abstention = abstention_of(fitted, classifier, given, examples, context)
        if given.multi_label:
            classifier.separator = data.separator or given.separator
        classifier.learnt = LearntTexts.of([data.labelled], validation=data.validation, before=given.learnt)
        return classifier

    def learn(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> TextClassifier:
        """Return a new classifier trained on `examples`, whose vectors may be known from an earlier training.

        It carries nothing for prediction sets, as that of `run` does.
        """
        return self._corrected(self._fitted(given, examples, context), given, examples, context)

    def _corrected(
        self, fitted: Fitted, given: TextClassifier, examples: LabelledExamples, context: RunContext
    ) -> TextClassifier:
        """Return the classifier with thresholds or corrected probabilities; the record tells them."""
        context.record.trainable_parameters = fitted.trainable_parameters
        if fitted.met_skew:
            told = skew_told(examples, pile=fitted.used_unlabelled and fitted.shares is not None)
            context.record.add_finding("skew", True, told, warns=True)
        if given.multi_label:
            held_out = fitted.held_out_logits
            return with_thresholds(fitted.classifier, self.thresholds, examples, held_out, context.record)
        classifier = calibrated(fitted.classifier, fitted.calibration, examples, context.record)
        return at_priors(classifier, self.priors, _learnt_shares(fitted, examples))

    def _fitted(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return what the method makes of the examples, or of the labels' names where there are none."""
        if examples.unseen:
            from nlptl.finetuning.contrastive.named_labels import fit_with_named_labels

            return fit_with_named_labels(self.update, given, examples, context)
        if len(examples):
            return self.update.fit(given, examples, context)
        from nlptl.finetuning.contrastive.zero_shot import zero_shot_classifier

        given = self.update.prepared(given, examples, context)
        told = ", not calibrated" if examples.validation is None else ""
        told = f"No labelled examples: texts get the label whose name is nearest to them (zero-shot){told}."
        context.record.add_finding("choice", "zero-shot", told)
        sentences = examples.sentences(self.update.templates_of_names)
        fitted = Fitted(zero_shot_classifier(given, sentences), trainable_parameters=0)
        return self.update.after_names(fitted, given, examples, context)


def _check_same_kind(given: TextClassifier, examples: LabelledExamples) -> None:
    """Raise DataError where the head gives one label a text and the examples have lists, or the other way round."""
    if len(examples) and given.multi_label != (examples.label_sets is not None):
        head, rows = ("several labels", "one label each") if given.multi_label else ("one label", "lists of labels")
        raise DataError(
            f"finetune: the head gives a text {head}, but the labelled rows have {rows}. Attach a fresh classification_head."
        )


def _learnt_shares(fitted: Fitted, examples: LabelledExamples) -> Tensor:
    """Return the shares of the labels (K,) that the probabilities assume."""
    import torch

    if fitted.shares is not None:
        return torch.tensor(fitted.shares, dtype=torch.float64)
    return examples.label_shares(balanced=fitted.balanced)


def _warn_of_unknown_words(given: TextClassifier, examples: LabelledExamples, context: RunContext) -> None:
    """Warn where the vectors know no word of what is learnt from, since all texts then get the same answer."""
    learnt = examples.texts or examples.sentences(["{}"]).texts
    if not learnt or any(any(given.encoder.token_ids(part)) for part in _parts(learnt)):
        return
    what = "training text" if len(examples) else "name of a label"
    told = (
        f"finetune: found no {what} with a word that the vectors know, so nothing was learnt; expected vectors of the texts' "
        "language. Give other vectors, or train them on such texts."
    )
    context.record.add_finding("known_words", 0, told, warns=True)


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[begin : begin + TEXTS_AT_ONCE] for begin in range(0, len(texts), TEXTS_AT_ONCE))
