"""How a classifier is brought to another domain: the tagged union under `adapt:` of the stage domain_adaptation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nlptl.config import Config, auto_or

Layers = Annotated[int | None, Field(ge=1, le=1000)]


class Nothing(Config):
    """Learn from the source alone: what every method has to beat."""

    method: Literal["none"] = "none"
    """The name of this method."""


class Continue(Config):
    """Train the encoder on the target's texts by a sentence objective, then a head on the source."""

    method: Literal["continue"] = "continue"
    """The name of this method."""
    objective: Literal["tsdae", "simcse"] = "tsdae"
    """tsdae rebuilds a text from the vector of its ruins (Wang et al. 2021); simcse tells texts apart, which suits
    encoders that were never made for sentences. Masked LM is the stage bert's, which has the weights' own head."""
    steps: Annotated[int | Literal["auto"], auto_or(int, least=1)] = "auto"
    """Updates; more move the encoder farther. auto: some passes over the texts, as in the stage bert."""
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    """Rate after the warm-up; null takes the objective's own default."""
    batch_size: int | None = Field(default=None, ge=2)
    """Texts of mean length a step; null takes the objective's own default."""


class Coral(Config):
    """Give the source's sentence vectors the target's mean and covariance, then train a head (Sun et al. 2016)."""

    method: Literal["coral"] = "coral"
    """The name of this method."""
    shrinkage: Annotated[float | Literal["auto"], auto_or(float, least=0)] = 0.9
    """How far both covariances are drawn towards a sphere, from 0 to 1. Less aligns more directions and needs many
    texts; 1 aligns mean and scale alone; auto is Ledoit and Wolf's (2004), which only steadies the estimate."""


class Adversarial(Config):
    """Let top layers learn the labels and to hide the domain, by gradient reversal (DANN, Ganin et al. 2016)."""

    method: Literal["adversarial"] = "adversarial"
    """The name of this method."""
    top_layers: Layers = 2
    """How many layers learn; those below run once per text. null: all."""
    strength: float = Field(default=0.3, ge=0)
    """Factor of the reversed gradient, which rises to it on the paper's schedule; more hides the domain better and can
    hide the labels too."""
    epochs: int = Field(default=3, ge=1)
    """Passes over the examples; nothing can tell the best number without target labels, so few are safer."""
    batch_size: int = Field(default=32, ge=4)
    """Texts a step, half of them examples, half of the target."""
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    """Rate of the layers."""


class Adapters(Config):
    """Let small networks in frozen layers learn labels and likeness of the domains (UDApter, Malik et al. 2023)."""

    method: Literal["adapters"] = "adapters"
    """The name of this method."""
    width: int = Field(default=32, ge=1, le=4096)
    """Units of the bottleneck; more can learn more."""
    top_layers: Layers = 2
    """How many layers get one; those below run once per text. null: all, as in the paper."""
    weight: float = Field(default=1.0, ge=0)
    """Of the discrepancy (MMD²) beside the loss of the labels; more makes the domains more alike."""
    epochs: int = Field(default=3, ge=1)
    """Passes over the examples."""
    batch_size: int = Field(default=32, ge=4)
    """Texts a step, half of them examples, half of the target; the discrepancy is seen within a step, so more see it
    better."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Rate of the adapters."""


Method = Annotated[Continue | Coral | Adversarial | Adapters, Field(discriminator="method")]


class Auto(Config):
    """Choose without target labels: none where no shift is shown or no candidate's gain is beyond the noise."""

    method: Literal["auto"] = "auto"
    """The name of this choice."""
    candidates: list[Method] = Field(default=[Coral()], min_length=1, max_length=8)
    """Methods to try, each with its settings. The more there are, the larger a gain must be to count."""


Adapt = Annotated[Nothing | Continue | Coral | Adversarial | Adapters | Auto, Field(discriminator="method")]
