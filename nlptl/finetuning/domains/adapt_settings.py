"""Settings of the adaptation methods: the tagged union under `adapt:` of the stage domain_adaptation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from nlptl.config import Config, auto_or
from nlptl.pretraining.encoders.objectives import TSDAE, SimCSE

LayerCount = Annotated[int | None, Field(ge=1, le=1000)]


class NoAdaptation(Config):
    """Train the head on the source alone: the baseline of every method."""

    method: Literal["none"] = Field(default="none", description="The name of this method.")


class Continue(Config):
    """Continue pretraining on the target's texts, then train a head on the source."""

    method: Literal["continue"] = Field(default="continue", description="The name of this method.")
    objective: Literal["tsdae", "simcse"] = "tsdae"
    """tsdae: denoising auto-encoder (Wang et al. 2021). simcse: contrastive, for encoders that were never trained to give
    sentence vectors. For masked LM, use stage bert, which has the head of the weights."""
    steps: Annotated[int | Literal["auto"], auto_or(int, least=1, most=1_000_000_000)] = "auto"
    """Updates. More adapt the encoder more and forget more. auto: some passes over the texts, as in stage bert."""
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    """Learning rate after the warm-up. Higher changes the encoder more. null: the default of the objective."""
    batch_size: int | None = Field(default=None, ge=2, le=1_000_000)
    """Texts of mean length in a step. More make a step steadier and slower. null: the default of the objective."""

    def training(self) -> TSDAE | SimCSE:
        """Return the settings of the objective."""
        given = self.model_dump(exclude={"method", "objective"}, exclude_none=True)
        return TSDAE(**given) if self.objective == "tsdae" else SimCSE(**given)


class Coral(Config):
    """Give the source's sentence vectors the target's mean and covariance, then train a head (Sun et al. 2016)."""

    method: Literal["coral"] = Field(default="coral", description="The name of this method.")
    shrinkage: Annotated[float | Literal["auto"], auto_or(float, least=0, most=1e9)] = 0.9
    """Shrinkage of both covariances towards a sphere, from 0 to 1. Less aligns more directions and needs many texts; 1
    aligns mean and scale alone. auto: the estimate of Ledoit and Wolf (2004)."""

    @field_validator("shrinkage")
    @classmethod
    def _at_most_one(cls, value: float | Literal["auto"]) -> float | Literal["auto"]:
        if value != "auto" and value > 1:
            raise ValueError(f"found {value}; expected auto or a number from 0 to 1. Correct the value")
        return value


class Adversarial(Config):
    """Train top layers to predict the label and to hide the domain, by gradient reversal (DANN, Ganin et al. 2016)."""

    method: Literal["adversarial"] = Field(default="adversarial", description="The name of this method.")
    top_layers: LayerCount = 2
    """Number of layers that learn. More adapt more and take longer, since frozen layers run once per text. null: all."""
    strength: float = Field(default=0.3, ge=0, le=1e6)
    """Factor of the reversed gradient at the end of its schedule. More hides the domain better, and can hide labels too."""
    epochs: int = Field(default=3, ge=1, le=100_000)
    """Passes over the examples. More adapt more; without target labels nothing shows the best number, so few are safer."""
    batch_size: int = Field(default=32, ge=4, le=1_000_000)
    """Texts in a step: half examples, half target texts. More make a step steadier and slower."""
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    """Learning rate of the layers. Higher learns faster and can collapse."""


class BottleneckAdapters(Config):
    """Train small networks in frozen layers to predict labels and align domains (UDApter, Malik et al. 2023)."""

    method: Literal["adapters"] = Field(default="adapters", description="The name of this method.")
    width: int = Field(default=32, ge=1, le=4096)
    """Units of the bottleneck. More can learn more."""
    top_layers: LayerCount = 2
    """Number of layers with an adapter. More adapt more and take longer: lower layers run once per text. null: all (the paper)."""
    weight: float = Field(default=1.0, ge=0, le=1e6)
    """Weight of the discrepancy (MMD²) beside the loss of the labels. More aligns the domains better."""
    epochs: int = Field(default=3, ge=1, le=100_000)
    """Passes over the examples. More adapt more and take longer."""
    batch_size: int = Field(default=32, ge=4, le=1_000_000)
    """Texts in a step: half examples, half target texts. More estimate the discrepancy better and take longer."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Learning rate of the adapters. Higher learns faster and can collapse."""


LayerMethod = Adversarial | BottleneckAdapters
AdaptCandidate = Annotated[Continue | Coral | Adversarial | BottleneckAdapters, Field(discriminator="method")]


class AutoAdaptation(Config):
    """Choose a method without target labels; none if no shift is shown or no gain exceeds the noise."""

    method: Literal["auto"] = "auto"
    """The name of this choice."""
    candidates: list[AdaptCandidate] = Field(default=[Coral()], min_length=1, max_length=8)
    """Methods to try, with their settings. With more candidates, a gain must be larger to count."""


OneMethod = NoAdaptation | Continue | Coral | Adversarial | BottleneckAdapters
Adapt = Annotated[OneMethod | AutoAdaptation, Field(discriminator="method")]
