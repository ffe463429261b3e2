"""Stage three: adapt a classifier from a labelled source domain to a target domain with unlabelled texts."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from nlptl.artifact import Kind
from nlptl.config import auto_or
from nlptl.context import RunContext
from nlptl.data.columns import names_shown
from nlptl.errors import ConfigError, DataError
from nlptl.finetuning.domains.adapt_settings import Adapt, AutoAdaptation, Continue, Coral, NoAdaptation, OneMethod
from nlptl.finetuning.method import check_top_layers
from nlptl.stages.stage import ExpectedModel, Need, Part, Stage, TokenModelKind

if TYPE_CHECKING:
    from nlptl.data import TextData
    from nlptl.finetuning.domains.task import Domains
    from nlptl.models.classifier import TextClassifier

MIN_EXAMPLES = 2  # of each label in the source: one to learn from, one to hold out


class DomainAdaptation(Stage):
    """Train a classifier on labelled examples of a source domain for use in a target domain with unlabelled texts."""

    stage: Literal["domain_adaptation"] = "domain_adaptation"
    """The name of this stage."""
    adapt: Adapt = AutoAdaptation()
    """Method of adaptation. auto chooses one without target labels."""
    l2: Annotated[float | Literal["auto"], auto_or(float, least=0, most=1e9)] = "auto"
    """Penalty on half the squared weights of the head. Larger makes the head smoother and less sure. auto: chosen by
    cross-validation on the examples. adversarial and adapters use it for their first head alone."""
    folds: int = Field(default=5, ge=2, le=20)
    """Parts in which examples are held out in turn. More train on more examples and take longer. adversarial and adapters
    hold out one part."""
    target_texts: int = Field(default=10_000, ge=10, le=10_000_000)
    """Largest number of unlabelled texts, drawn by the seed. More align better and take longer."""
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    """Precision of the matrix products in training layers. Lower is faster and less exact. auto: bfloat16 if the device
    computes it natively, else float32."""

    takes: ClassVar[Kind | None] = "classifier"
    gives: ClassVar[Kind] = "classifier"
    version: ClassVar[int] = 5
    runs_on_all_processes: ClassVar[bool] = True

    @property
    def needs(self) -> frozenset[Need]:
        """Labelled examples of the source, texts of the target."""
        return frozenset({"source", "unlabelled"})

    @property
    def is_random(self) -> bool:
        """True: folds and batches are drawn."""
        return True

    def reads(self, data: TextData) -> frozenset[Part]:
        """Return source and unlabelled, and labelled if given: labelled target examples join the training."""
        wanted: list[Part] = ["source", "unlabelled"]
        return frozenset([*wanted, "labelled"] if data.labelled is not None else wanted)

    def check_model(self, token_model: TokenModelKind, *, where: str) -> None:
        """Refuse methods that train layers for an encoder without layers."""
        for path, method in self._methods():
            if token_model != "transformer" and not isinstance(method, NoAdaptation | Coral):
                raise ConfigError(
                    f"{where}.{path}.method: found {method.method} over word vectors or n-grams, which have no layers; "
                    "expected none or coral, or a transformer. Choose one, or begin the chain with bert."
                )

    def expected_model(self, before: ExpectedModel) -> ExpectedModel:
        """Tell that the head is trained."""
        return dataclasses.replace(before, is_trained=True)

    def check_chain(self, given: ExpectedModel, data: TextData | None, *, where: str) -> None:
        """Refuse methods that train more layers than the encoder has."""
        for path, method in self._methods() if given.layers else ():
            check_top_layers(getattr(method, "top_layers", None), given.layers or 0, where=f"{where}.{path}")

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse a missing domain, and too few texts to compare the domains, to learn from or to hold out."""
        from nlptl.evaluation.shift import check_size
        from nlptl.pretraining.encoders.pile import MIN_TEXTS

        if data.source is None:
            raise DataError(f"{where}: found no examples of the source domain; it learns from them. Give data.source.")
        if data.has_label_sets:
            raise DataError(
                f"{where}: domain_adaptation learns one label a text, but the labelled rows have lists of labels. Use finetune."
            )
        if data.labels_without_rows:
            raise DataError(
                f"{where}: found labels with a name but no example ({names_shown(data.labels_without_rows, 4)}); this stage learns "
                "from examples alone. Add rows, remove the names, or use the stage finetune with update head or auto."
            )
        if data.unlabelled is None:
            raise DataError(f"{where}: found no texts of the target domain; it adapts to them. Give data.unlabelled.")
        check_size(len(data.source), part="source", where=where)
        check_size(len(data.unlabelled), part="unlabelled", where=where)
        continued = [path for path, method in self._methods() if isinstance(method, Continue)]
        if continued and (distinct := len(set(data.unlabelled.texts()))) < MIN_TEXTS:
            raise DataError(
                f"{where}: {continued[0]}: found {distinct} distinct texts in data.unlabelled; expected at least {MIN_TEXTS} to "
                "continue training on. Add texts, or choose another method."
            )
        once = set(zip(data.source.texts(), data.source.labels(), strict=True))
        label, count = min(Counter(label for _, label in once).items(), key=lambda item: (item[1], item[0]))
        if count < MIN_EXAMPLES:
            raise DataError(
                f"{where}: found {count} example of label {label!r} in data.source; expected at least {MIN_EXAMPLES} different "
                "ones, one of them to be held out. Add examples."
            )

    def run(self, given: TextClassifier, *, data: TextData, context: RunContext | None = None) -> TextClassifier:
        """Return a new classifier for the target domain; `given` does not change, and test texts are not read.

        `given` should have a fresh head. A trained one may know the examples: then no accuracy is recorded, and auto
        adapts nothing. A fresh head on an encoder that learnt from these labels hides that; both accuracies are too high.
        DataError for a missing domain, ConfigError for a method that needs layers or does not converge, ArtifactError for
        vectors that are not finite.
        """
        from nlptl.data.learnt_texts import LearntTexts
        from nlptl.finetuning.domains.adaptation import adapted
        from nlptl.training.compute import precision_for

        context = context or RunContext()
        self.check_data(data, where="domain_adaptation")
        kind, device = given.encoder.trainable_kind, context.torch_device()
        self.check_model(kind, where="domain_adaptation")
        if kind == "transformer":
            expected = ExpectedModel("transformer", layers=given.encoder.transformer.used_depth)
            self.check_chain(expected, data, where="domain_adaptation")
        if kind == "transformer" and given.device != device:
            given = copy.deepcopy(given).to(device)
        classifier = adapted(
            given, self._domains(given, data, context), self.adapt, l2=None if self.l2 == "auto" else self.l2,
            folds=self.folds, precision=precision_for(self.precision, device), context=context,
        )  # fmt: skip
        classifier.head.trained = True
        classifier.learnt = LearntTexts.of(
            [data.source, data.labelled], validation=data.validation, before=given.learnt
        )
        return classifier

    def _methods(self) -> list[tuple[str, OneMethod]]:
        """Return the methods of the settings, each with its path."""
        if not isinstance(self.adapt, AutoAdaptation):
            return [("adapt", self.adapt)]
        return [(f"adapt.candidates.{number}", method) for number, method in enumerate(self.adapt.candidates)]

    def _domains(self, given: TextClassifier, data: TextData, context: RunContext) -> Domains:
        """Return the texts of both domains, numbered once; DataError if the head knows other labels."""
        import torch

        from nlptl.finetuning.domains.task import Domains

        if set(data.label_set.names) != set(given.labels):
            raise DataError(
                f"domain_adaptation: the head knows the labels {', '.join(given.labels)}, the examples have "
                f"{', '.join(data.label_set.names)}; both must be equal. Attach a fresh classification_head."
            )
        assert data.source is not None
        assert data.unlabelled is not None
        parts = [data.source] if data.labelled is None else [data.source, data.labelled]
        target = data.unlabelled.texts()
        if len(target) > self.target_texts:
            drawn = torch.randperm(len(target), generator=context.generator("target_texts"))[: self.target_texts]
            target = [target[row] for row in drawn.sort().values.tolist()]
        names = [label for part in parts for label in part.labels()]
        texts = [text for part in parts for text in part.texts()]
        return Domains([*texts, *target], given.label_ids(names), len(data.source))
