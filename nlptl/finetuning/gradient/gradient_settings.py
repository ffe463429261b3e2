"""Settings of the methods that learn the labels by gradient descent; each of them inherits these."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nlptl.config import SMALLEST, Config, auto_or

Rate = Annotated[float | Literal["auto"], auto_or(float, least=SMALLEST, most=1e30)]
Share = Annotated[float, Field(ge=0, lt=1)]
PRECISION = """Number format of the matrix products in layers that learn. auto: bfloat16 where the device computes it natively, else
float32. tf32 is between the two on a GPU, and float32 elsewhere."""
PrecisionSetting = Annotated[Literal["auto", "float32", "tf32", "bfloat16"], Field(description=PRECISION)]


class GradientSettings(Config):
    """How head and layers learn, and how long."""

    learning_rate: Rate = "auto"
    """Learning rate of the head under AdamW; higher learns faster and less steadily. auto: 1e-2, or 1e-3 over layers that
    learn. A smooth head alone is fitted by L-BFGS, which has no rate."""
    epochs: Annotated[int | Literal["auto"], auto_or(int, least=1, most=100_000)] = "auto"
    """Passes over the labelled examples; more fit them more closely. auto: chosen by cross-validation, or by early stopping
    where data.validation is given."""
    l2: Annotated[float | Literal["auto"], auto_or(float, least=0, most=1e9)] = "auto"
    """Penalty on half the squared weights of the head; larger is smoother. auto: chosen like the epochs."""
    batch_size: Annotated[int | Literal["auto"], auto_or(int, least=1, most=1_000_000)] = "auto"
    """Examples a step; more give steadier and fewer steps. auto: a thirty-second of the examples, a power of two from 8 to
    256, or 32 where layers learn. A smooth head takes all examples in each step."""
    folds: int = Field(default=5, ge=2, le=20)
    """Parts of the stratified cross-validation; more take longer and judge better. Fewer are taken where a label has
    fewer examples. Where layers learn from many examples, one part is held out once."""
    patience: int = Field(default=10, ge=1, le=100_000)
    """Epochs without improvement on data.validation after which training stops; more waits longer."""
    label_weights: Literal["none", "balanced"] = "none"
    """balanced weighs each label by the inverse of its frequency: better recall of rare labels, at the price of
    probabilities that no longer follow the frequencies."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the truth that is spread over all labels while training; more keeps probabilities from extremes."""
    precision: PrecisionSetting = "auto"

    def head_rate(self, *, over_layers: bool = False) -> float:
        """Return the learning rate of the head alone or over word vectors, or over layers that learn."""
        return (1e-3 if over_layers else 1e-2) if self.learning_rate == "auto" else self.learning_rate
