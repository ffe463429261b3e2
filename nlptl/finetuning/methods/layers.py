"""The methods `partial` and `full`: layers of a transformer learn with the head, or the word vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from nlptl.config import auto_or
from nlptl.errors import ConfigError
from nlptl.finetuning.gradient.gradient_settings import GradientSettings, Rate, Share
from nlptl.finetuning.method import DEFAULT_TOP_LAYERS, Fitted, Method, check_top_layers

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.finetuning.gradient.layer_tuner import Rates
    from nlptl.models.classifier import TextClassifier

ONLY_FOR_LAYERS = ("warmup", "layer_decay", "gradual_unfreezing", "dropout")  # they mean nothing to word vectors
WORD_VECTOR_RATE, WORD_VECTOR_PULL = 1e-3, 1e-4  # encoder_learning_rate and l2_to_start: auto, for word vectors


class LayerSettings(GradientSettings):
    """How layers learn; partial and full inherit these."""

    encoder_learning_rate: Rate = "auto"
    """Learning rate of the topmost layer, or of the word vectors in units of the spread of the sentence vectors. Higher
    learns faster and forgets more; keep it well below the head's. auto: 1e-4 for partial, 5e-5 for full, 1e-3 for word
    vectors."""
    layer_decay: float = Field(default=0.9, gt=0, le=1)
    """Factor of the rate from each layer to the one below (Howard & Ruder 2018); 1 moves all alike."""
    warmup: Share = 0.1
    """Share of the steps over which rates rise from nothing, one epoch at most; more is safer with few labels."""
    gradual_unfreezing: bool = False
    """Wake one more layer with each epoch, the topmost first (Howard & Ruder 2018); few epochs then move few layers."""
    l2_to_start: Annotated[float | Literal["auto"], auto_or(float, least=0, most=1e9)] = "auto"
    """Pull of each weight back to its pretrained value (Li et al. 2018); larger moves less. auto: none for a transformer,
    1e-4 for word vectors."""
    dropout: Share | None = None
    """Share of values dropped in the layers that learn; null keeps the encoder's own."""

    def rates(self, *, auto: float) -> Rates:
        """Return how fast head and layers learn; `auto` is the encoder's rate where the settings say auto."""
        from nlptl.finetuning.gradient.layer_tuner import Rates

        return Rates(
            self.head_rate(over_layers=True),
            auto if self.encoder_learning_rate == "auto" else self.encoder_learning_rate,
            layer_decay=self.layer_decay,
            warmup=self.warmup,
            gradual=self.gradual_unfreezing,
            l2_to_start=0.0 if self.l2_to_start == "auto" else self.l2_to_start,
            dropout=self.dropout,
        )


class Partial(LayerSettings, Method):
    """The top layers of a transformer learn with the head; those below run once per text and are remembered."""

    needs_layers: ClassVar[bool] = True
    learns_label_sets: ClassVar[bool] = True

    method: Literal["partial"] = "partial"
    """The name of this method."""
    top_layers: int = Field(default=DEFAULT_TOP_LAYERS, ge=1, le=1000)
    """How many layers learn, counted from the one that gives the token vectors; more learn more and cost more."""

    def check_layers(self, layers: int, *, where: str) -> None:
        """Refuse more top layers than the encoder has."""
        check_top_layers(self.top_layers, layers, where=where)

    def fit(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return a classifier whose top layers and head have learnt the labels."""
        from nlptl.finetuning.gradient.layer_tuner import LayerPlan
        from nlptl.finetuning.gradient.supervised import Supervised

        return Supervised(given, examples, context, self).fitted(LayerPlan(self.rates(auto=1e-4), self.top_layers))


class Full(LayerSettings, Method):
    """Everything learns: the head, and all layers with the embeddings, or the word vectors."""

    learns_label_sets: ClassVar[bool] = True

    method: Literal["full"] = "full"
    """The name of this method."""

    def check_words(self, *, where: str) -> None:
        """Refuse settings that mean nothing to word vectors."""
        for name in ONLY_FOR_LAYERS:
            if getattr(self, name) != Full.model_fields[name].default:
                raise ConfigError(
                    f"{where}.{name}: found {getattr(self, name)} over word vectors or n-grams, which have no layers; "
                    "expected it only with a transformer. Drop it, or begin the chain with bert."
                )

    def fit(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return a classifier in which everything has learnt the labels."""
        from nlptl.finetuning.gradient.layer_tuner import LayerPlan
        from nlptl.finetuning.gradient.supervised import Supervised, WordVectorPlan

        if given.encoder.token_model.kind == "transformer":
            return Supervised(given, examples, context, self).fitted(LayerPlan(self.rates(auto=5e-5), top_layers=None))
        rate = WORD_VECTOR_RATE if self.encoder_learning_rate == "auto" else self.encoder_learning_rate
        pull = WORD_VECTOR_PULL if self.l2_to_start == "auto" else self.l2_to_start
        plan = WordVectorPlan((self.head_rate(), rate), pull)
        return Supervised(given, examples, context, self).fitted(plan)
