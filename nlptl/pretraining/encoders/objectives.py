"""Settings of training on a pile: the objectives of `continue`, and `scratch`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from nlptl.config import Config, auto_or


class PileTrainingSettings(Config):
    """Length and measurement of a training on the pile. Inherited, as YAML holds them flat beside those of each objective."""

    steps: Annotated[int | Literal["auto"], auto_or(int, least=1, most=1_000_000_000)] = "auto"
    """Number of updates. More learn the pile better and take longer. auto: ten passes over the pile within 100 and 500
    steps; SimCSE three within 50 and 500; scratch forty within 500 and 5,000."""
    epochs: int | None = Field(default=None, ge=1, le=100_000)
    """Passes over the pile, instead of steps."""
    warmup: float = Field(default=0.1, ge=0, le=1)
    """Share of the steps in which the learning rate rises. It then falls linearly to zero. More is safer at high rates."""
    held_out: float = Field(default=0.05, ge=0, le=0.5)
    """Share of the pile (at most 1,000 texts) that measures the loss before and after. More measures better and learns
    from less. 0 measures nothing."""

    @model_validator(mode="after")
    def _one_length(self) -> PileTrainingSettings:
        if self.epochs is not None and self.steps != "auto":
            raise ValueError(f"found steps: {self.steps} and epochs: {self.epochs}; set one or the other, not both")
        return self


class AutoObjective(PileTrainingSettings):
    """Objective that suits the weights, with its own defaults."""

    objective: Literal["auto"] = "auto"
    """auto takes mlm if the weights carry a masked-LM head, else tsdae, as for sentence encoders. SimCSE is not chosen:
    sentence encoders start with a SimCSE loss near zero and got worse where it was measured."""
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    """Learning rate after the warm-up. null takes the objective's default."""
    batch_size: int | None = Field(default=None, ge=2, le=1_000_000)
    """Texts of mean length in a step. null takes the objective's default."""


class MaskedLM(PileTrainingSettings):
    """Masked language model (Devlin et al. 2019): predict hidden tokens. Teaches the words and style of the pile.

    The head that predicts is not kept.
    """

    objective: Literal["mlm"] = "mlm"
    """Name of this objective."""
    learning_rate: float = Field(default=5e-5, gt=0, le=1)
    """Learning rate after the warm-up. 1e-4 learns a distant domain faster. 2e-5 forgets less."""
    batch_size: int = Field(default=32, ge=1, le=1_000_000)
    """Texts of mean length in a step. More give smoother steps and take more memory."""
    mask_probability: float = Field(default=0.15, gt=0, lt=1)
    """Share of the tokens to predict. More (up to 0.4) suits large encoders and long texts (Wettig et al. 2023). Less
    leaves short texts enough context."""
    whole_word: bool = True
    """Hide all word pieces of a word together. Otherwise the pieces left often reveal the others."""
    head_warmup_steps: int = Field(default=200, ge=0, le=1_000_000_000)
    """Steps in which a fresh masked-LM head learns alone, if the weights carry none. More protects the encoder from the
    head's first, random gradients."""


class SimCSE(PileTrainingSettings):
    """SimCSE (Gao et al. 2021): recognise a text under another dropout mask among other texts.

    It gives sentence vectors to weights that never had any. Sentence encoders gain nothing.
    """

    objective: Literal["simcse"] = "simcse"
    """Name of this objective."""
    learning_rate: float = Field(default=3e-5, gt=0, le=1)
    """Learning rate after the warm-up, as in the paper. Lower forgets less."""
    batch_size: int = Field(default=64, ge=2, le=1_000_000)
    """Texts of mean length in a step. They are each other's negatives: more make the task harder."""
    temperature: float = Field(default=0.05, gt=0, le=1)
    """Divisor of the cosines. Smaller looks at the nearest negatives only."""


class TSDAE(PileTrainingSettings):
    """Denoising auto-encoder (Wang et al. 2021): delete words, encode the rest, reconstruct the text from that vector."""

    objective: Literal["tsdae"] = "tsdae"
    """Name of this objective."""
    learning_rate: float = Field(default=3e-5, gt=0, le=1)
    """Learning rate of the encoder after the warm-up, as in the paper. The decoder's new weights learn at 1e-3."""
    batch_size: int = Field(default=16, ge=1, le=1_000_000)
    """Texts of mean length in a step. More give smoother steps and take more memory."""
    deletion: float = Field(default=0.6, ge=0, lt=1)
    """Share of the words to delete. More makes the task harder. 0.6 was best in the paper."""


Objective = MaskedLM | SimCSE | TSDAE


Continue = Annotated[
    AutoObjective | MaskedLM | SimCSE | TSDAE | None,
    Field(discriminator="objective"),
    BeforeValidator(lambda value: {"objective": "auto", **value} if isinstance(value, dict) else value),
]
"""Settings of `continue`, told apart by `objective`. The default is auto."""


class Scratch(PileTrainingSettings):
    """Small BERT with random weights and its own WordPiece tokenizer, for languages without pretrained weights."""

    layers: int = Field(default=4, ge=1, le=48)
    """Transformer layers. 2 to 4 for some thousand texts, 6 or more for millions of words."""
    dim: int = Field(default=256, ge=4, le=4096)
    """Width of the token vectors. Wider can learn more and is slower."""
    heads: int = Field(default=4, ge=1, le=64)
    """Attention heads. They share `dim`, which must be a multiple of their number."""
    intermediate: int | None = Field(default=None, ge=1, le=65_536)
    """Width of the feed-forward layers. null means four times `dim`."""
    vocabulary_size: int = Field(default=8000, ge=10, le=10_000_000)
    """Maximum number of the tokenizer's entries. More keep more words whole. Small piles give fewer."""
    min_frequency: int = Field(default=2, ge=1, le=1_000_000_000)
    """Minimum count of a word piece that becomes an entry. Higher gives fewer entries."""
    lowercase: bool = True
    """Fold case and strip accents."""
    max_length: int = Field(default=128, ge=4, le=8192)
    """Maximum tokens of a text. Training splits longer texts. Shorter is faster."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of the activations to drop in training. More counters overfitting on small piles."""
    learning_rate: float = Field(default=5e-4, gt=0, le=1)
    """Learning rate after the warm-up. Wider and deeper encoders need less, such as 1e-4."""
    batch_size: int = Field(default=32, ge=1, le=1_000_000)
    """Texts of mean length in a step. More give smoother steps and take more memory."""
    mask_probability: float = Field(default=0.15, gt=0, lt=1)
    """Share of the tokens to predict. Less leaves short texts enough context."""
    whole_word: bool = True
    """Hide all word pieces of a word together."""

    @model_validator(mode="after")
    def _heads_share_dim(self) -> Scratch:
        if self.dim % self.heads:
            raise ValueError(
                f"found dim: {self.dim} and heads: {self.heads}; expected dim to be a multiple of heads. "
                f"Set dim to {self.dim // self.heads * self.heads or self.heads}"
            )
        return self
