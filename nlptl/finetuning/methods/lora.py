"""The method `lora`: low-rank adapters learn beside frozen layers of a transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from nlptl.errors import ConfigError
from nlptl.finetuning.gradient.gradient_settings import GradientSettings, Rate, Share
from nlptl.finetuning.method import Fitted, Method, check_top_layers

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.finetuning.gradient.lora_adapters import LoraAdapters
    from nlptl.models.architectures import Architecture
    from nlptl.models.classifier import TextClassifier


class Lora(GradientSettings, Method):
    """Low-rank adapters learn beside frozen layers of a transformer, through PEFT (Hu et al. 2021)."""

    needs_layers: ClassVar[bool] = True
    learns_label_sets: ClassVar[bool] = True

    method: Literal["lora"] = "lora"
    """The name of this method."""
    rank: int = Field(default=8, ge=1, le=1024)
    """Width of the adapters; more can learn more and needs more labels."""
    alpha: float = Field(default=16, gt=0, le=1e6)
    """Scale: what the adapters add is multiplied by alpha / rank (rslora: alpha / sqrt(rank)). More is like a higher rate."""
    adapter_dropout: Share = 0.0
    """Share of values dropped in front of the adapters; more resists learning by heart."""
    targets: Literal["linear", "attention"] | Annotated[list[str], Field(min_length=1)] = "linear"
    """Maps that get adapters: linear (all of each layer), attention (query and value alone), or names of modules."""
    variant: Literal["lora", "rslora", "dora"] = "lora"
    """lora; rslora scales so that high ranks help (Kalajdzievski 2023); dora learns length and direction apart
    (Liu et al. 2024), better at small ranks and slower."""
    top_layers: int | None = Field(default=None, ge=1, le=1000)
    """Put adapters into the top layers only; those below run once per text. null: into all."""
    encoder_learning_rate: Rate = "auto"
    """Learning rate of the adapters; higher learns faster and less steadily. auto: 5e-4."""
    warmup: Share = 0.1
    """Share of the steps over which rates rise from nothing, one epoch at most; more is safer with few labels."""
    dropout: Share | None = None
    """Share of values dropped in the layers; null keeps the encoder's own."""
    merge: bool = False
    """Add what was learnt into the weights and save a plain encoder instead of encoder and adapter."""

    def check_layers(self, layers: int, *, where: str) -> None:
        """Refuse more top layers than the encoder has."""
        check_top_layers(self.top_layers, layers, where=where)

    def fit(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return a classifier whose adapters and head have learnt the labels."""
        from nlptl.finetuning.gradient.layer_tuner import LayerPlan, Rates
        from nlptl.finetuning.gradient.supervised import Supervised

        rate = 5e-4 if self.encoder_learning_rate == "auto" else self.encoder_learning_rate
        rates = Rates(self.head_rate(over_layers=True), rate, warmup=self.warmup, dropout=self.dropout)
        plan = LayerPlan(rates, self.top_layers, self.adapters(given.encoder.transformer.architecture))
        return Supervised(given, examples, context, self).fitted(plan)

    def adapters(self, architecture: Architecture) -> LoraAdapters:
        """Return LoRA's settings for an architecture; ConfigError names a target that it does not have."""
        from nlptl.finetuning.gradient.lora_adapters import LoraAdapters

        known = {"linear": architecture.linear_targets, "attention": architecture.attention_targets}
        names = tuple(self.targets) if isinstance(self.targets, list) else known[self.targets]
        for name in sorted(set(names) - set(architecture.linear_targets)):
            raise ConfigError(
                f"finetune.update.targets: found {name!r}; expected linear, attention, or some of "
                f"{', '.join(architecture.linear_targets)}, the linear maps of this encoder. Choose among them."
            )
        return LoraAdapters(self.rank, self.alpha, self.adapter_dropout, names, self.variant, self.merge)
