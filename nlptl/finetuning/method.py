"""The contract of a fine-tuning method: frozen settings, and `fit`."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from nlptl.config import Config
from nlptl.data.columns import names_shown
from nlptl.data.label_sentences import TEMPLATES
from nlptl.errors import ConfigError
from nlptl.finetuning.probabilities import Calibration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from nlptl.context import RunContext
    from nlptl.data import TextData
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.models.classifier import TextClassifier


DEFAULT_TOP_LAYERS = 2


@dataclasses.dataclass(frozen=True)
class Fitted:
    """Result of one fit."""

    classifier: TextClassifier
    trainable_parameters: int
    """How many numbers learnt."""
    used_unlabelled: bool = False
    """Whether the pile took part."""
    calibration: Calibration = dataclasses.field(default_factory=Calibration)
    """Correction that the probabilities may still get."""
    balanced: bool = False
    """Whether every label weighed the same, whatever its share of the examples."""
    met_skew: bool = False
    """Whether every label weighed the same because the examples are skewed, which is to be told."""
    held_out_logits: Callable[[], Tensor | None] | None = None
    """Computes the logits (n, K) of examples by fits without them, where these cost little; NaN where not held out, None where
    nothing can be."""
    shares: tuple[float, ...] | None = None
    """Shares of the labels (K,) that its probabilities assume; None: those of the examples."""

    def __post_init__(self) -> None:
        """Mark the head as trained, whatever its numbers are."""
        self.classifier.head.trained = True


class Method(Config, ABC):
    """One way to fine-tune: a member of the tagged union `update:`. It *is* its validated, frozen settings.

    A new method writes its settings and `fit`; the other members have defaults.
    """

    needs_layers: ClassVar[bool] = False
    """Whether it needs layers that can learn, which word vectors have not."""
    needs_linear_head: ClassVar[bool] = False
    """Whether a head with a hidden layer is refused."""
    reads_frozen_vectors: ClassVar[bool] = False
    """Whether a fit begins with the examples' vectors by the encoder as it is given, which several fits can share."""
    learns_label_sets: ClassVar[bool] = False
    """Whether it can learn texts that have several labels, or none."""

    @property
    def title(self) -> str:
        """Name in messages."""
        return str(getattr(self, "method", type(self).__name__))

    @property
    def reads_unlabelled(self) -> bool:
        """Whether it learns from `data.unlabelled`. The stage reads the pile anyway, for the look of known texts."""
        return False

    @property
    def templates_of_names(self) -> Sequence[str]:
        """Sentences that stand for a label where only names are known."""
        return TEMPLATES

    def check(self, *, where: str) -> None:
        """Refuse what can be refused before anything is read, such as models that are not there."""

    def check_words(self, *, where: str) -> None:
        """Refuse settings that mean nothing to word vectors."""
        if self.needs_layers:
            raise ConfigError(
                f"{where}.method: found {self.title} over word vectors or n-grams, which have no layers; "
                "expected head, words, self_training, full or auto, or a transformer. Choose one, or begin the chain with bert."
            )

    def check_layers(self, layers: int, *, where: str) -> None:
        """Refuse to train more layers than the `layers` of the encoder."""

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse data that leave it nothing to work on."""

    def check_head(self, hidden: int, data: TextData | None, *, layers: bool, where: str) -> None:
        """Refuse a head with a hidden layer of `hidden` units where the method fits a linear one.

        `data` is None where it is not known yet. `layers` says whether the encoder surely has layers that can learn. In
        doubt nothing is refused: `fit` does that.
        """
        if hidden and self.needs_linear_head and (data is None or data.labelled is not None):
            raise linear_head_needed(self.title, hidden, where=where)

    def with_named_labels(self, labels: Sequence[str], *, where: str) -> Method:
        """Return the method that learns the other labels where `labels` have a name alone; refuse where that does harm."""
        return self

    def external_digests(self, *, where: str) -> Mapping[str, str]:
        """Return digests of files outside the data that shape the result."""
        return {}

    def prepared(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> TextClassifier:
        """Return the classifier that predicts where there are no labelled examples; `given` by default."""
        return given

    def after_names(
        self, fitted: Fitted, given: TextClassifier, examples: LabelledExamples, context: RunContext
    ) -> Fitted:
        """Return what follows a classifier by the labels' names alone, which came of `given`; itself by default."""
        return fitted

    @abstractmethod
    def fit(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return a new classifier that has learnt the examples, at their shares of labels; `given` stays as it is."""


def check_top_layers(top_layers: int | str | None, layers: int, *, where: str) -> None:
    """Raise ConfigError for more `top_layers` than an encoder has. Defaults may exceed the layers of the smallest ones."""
    if isinstance(top_layers, int) and top_layers > max(layers, DEFAULT_TOP_LAYERS):
        raise ConfigError(
            f"{where}.top_layers: found {top_layers}; expected at most {layers}, since the encoder has {layers} "
            f"layer{'s' * (layers != 1)}. Lower it."
        )


def pile_without_examples(title: str, labels: Sequence[str], *, where: str) -> ConfigError:
    """Return the error for a method that teaches the pile the labels with examples, where `labels` have a name alone."""
    count = f"{len(labels)} labels without any" if len(labels) > 1 else "a label without any"
    return ConfigError(
        f"{where}: found {title}, which gives each text of data.unlabelled a label with examples, and {count} "
        f"({names_shown(labels, 4)}); expected examples of every label. Add some, or set `update: {{method: auto}}`, which "
        "leaves the pile out then."
    )


def linear_head_needed(title: str, hidden: int, *, where: str) -> ConfigError:
    """Return the error for a head with a hidden layer."""
    return ConfigError(
        f"{where}: {title} needs a linear head, but the classification head has a hidden layer of {hidden} units. Set "
        "hidden: 0 in classification_head, or choose another update."
    )
