"""What a person may set about training an encoder on a pile: the objectives of `continue`, and `scratch`.

The shared settings are inherited, because they stand flat beside those of each objective in the YAML.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from nlptl.config import Config, auto_or


class Course(Config):
    """How long every training on the pile runs, and what watches it."""

    steps: Annotated[int | Literal["auto"], auto_or(int, least=1)] = "auto"
    """Updates. auto: some passes over the pile, within bounds that suit the objective (masked LM and TSDAE ten passes
    within 100 and 500 steps, SimCSE three within 50 and 500, scratch forty within 500 and 5,000)."""
    epochs: int | None = Field(default=None, ge=1)
    """Instead of steps: passes over the pile."""
    warmup: float = Field(default=0.1, ge=0, le=1)
    """Share of the steps over which the learning rate rises; over the others it falls linearly to zero."""
    held_out: float = Field(default=0.05, ge=0, le=0.5)
    """Share of the pile (at most 1,000 texts) that is not learnt from and measures the loss before and after; 0 learns
    from everything and measures nothing."""

    @model_validator(mode="after")
    def _one_length(self) -> Course:
        if self.epochs is not None and self.steps != "auto":
            raise ValueError(f"found steps: {self.steps} and epochs: {self.epochs}; expected one of both. Drop one")
        return self


class AutoObjective(Course):
    """The objective that the weights can bear, with that objective's defaults."""

    objective: Literal["auto"] = "auto"
    """mlm where the weights carry a masked-LM head, else tsdae, as for sentence encoders. TSDAE before SimCSE because
    these were trained to tell texts apart already: SimCSE's loss is next to zero from the start, and what it still
    changes did harm where it was measured."""
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    """Rate after the warm-up; null takes the objective's own default."""
    batch_size: int | None = Field(default=None, ge=2)
    """Texts of mean length a step; null takes the objective's own default."""


class MaskedLM(Course):
    """Guess hidden tokens from both sides (Devlin et al. 2019): teaches the pile's words and manner."""

    objective: Literal["mlm"] = "mlm"
    """The name of this objective."""
    learning_rate: float = Field(default=5e-5, gt=0, le=1)
    """Rate after the warm-up. 1e-4 learns a far-off domain faster, 2e-5 forgets less of what the weights knew."""
    batch_size: int = Field(default=32, ge=1)
    """Texts of mean length a step; a step has as many tokens as these, whatever its texts are."""
    mask_probability: float = Field(default=0.15, gt=0, lt=1)
    """Share of the tokens to be guessed. More, up to 0.4, gives more to learn a step and suits large encoders and long
    texts (Wettig et al. 2023); less leaves short texts enough to guess from."""
    whole_word: bool = True
    """Hide all pieces of a word together; otherwise a piece is often betrayed by the others."""
    head_warmup_steps: int = Field(default=200, ge=0)
    """Where the weights carry no masked-LM head: steps in which a fresh one learns alone, so that its first, random
    gradients do not spoil the encoder."""


class SimCSE(Course):
    """Recognise a text under another dropout mask among other texts (Gao et al. 2021).

    It makes sentence vectors of weights that were never trained to give any; sentence encoders gain nothing.
    """

    objective: Literal["simcse"] = "simcse"
    """The name of this objective."""
    learning_rate: float = Field(default=3e-5, gt=0, le=1)
    """Rate after the warm-up, as in the paper."""
    batch_size: int = Field(default=64, ge=2)
    """Texts of mean length a step, each other's negatives; more make the task harder."""
    temperature: float = Field(default=0.05, gt=0, le=1)
    """Divides the cosines; smaller looks at the nearest negatives only."""


class TSDAE(Course):
    """Rebuild a text from the sentence vector of its ruins (Wang et al. 2021): makes the vector hold the content."""

    objective: Literal["tsdae"] = "tsdae"
    """The name of this objective."""
    learning_rate: float = Field(default=3e-5, gt=0, le=1)
    """Rate of the encoder after the warm-up, as in the paper; what is new in the decoder learns at 1e-3."""
    batch_size: int = Field(default=16, ge=1)
    """Texts of mean length a step."""
    deletion: float = Field(default=0.6, ge=0, lt=1)
    """Share of the words that are deleted; the paper found 0.6 best."""


Objective = MaskedLM | SimCSE | TSDAE


def _with_objective(value: Any) -> Any:
    return {"objective": "auto", **value} if isinstance(value, dict) else value


Continue = Annotated[
    AutoObjective | MaskedLM | SimCSE | TSDAE | None,
    Field(discriminator="objective"),
    BeforeValidator(_with_objective),
]
"""`continue`: one block of settings, told apart by its objective; auto where it names none."""


class Scratch(Course):
    """A WordPiece tokenizer and a small BERT from random weights, for when nothing pretrained fits."""

    layers: int = Field(default=4, ge=1, le=48)
    """Transformer layers. 2 to 4 for piles of some thousand texts, 6 and more from millions of words."""
    dim: int = Field(default=256, ge=4, le=4096)
    """Width of the token vectors."""
    heads: int = Field(default=4, ge=1, le=64)
    """Attention heads; they share `dim`, which must be a multiple of their number."""
    intermediate: int | None = Field(default=None, ge=1)
    """Width of the feed-forward layers; null means four times `dim`."""
    vocabulary_size: int = Field(default=8000, ge=10)
    """Most entries that the tokenizer may have; small piles end up with fewer. With more of them more words are whole."""
    min_frequency: int = Field(default=2, ge=1)
    """How often a piece must occur to become an entry."""
    lowercase: bool = True
    """Fold case and strip accents."""
    max_length: int = Field(default=128, ge=4, le=8192)
    """Tokens after which a text is cut off; longer texts are learnt from in several parts."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of activations that training drops at random."""
    learning_rate: float = Field(default=5e-4, gt=0, le=1)
    """Rate after the warm-up; wider and deeper encoders need less, such as 1e-4."""
    batch_size: int = Field(default=32, ge=1)
    """Texts of mean length a step."""
    mask_probability: float = Field(default=0.15, gt=0, lt=1)
    """Share of the tokens to be guessed."""
    whole_word: bool = True
    """Hide all pieces of a word together."""

    @model_validator(mode="after")
    def _heads_share_dim(self) -> Scratch:
        if self.dim % self.heads:
            raise ValueError(
                f"found dim: {self.dim} and heads: {self.heads}; expected dim to be a multiple of heads. "
                f"Set dim to {self.dim // self.heads * self.heads or self.heads}"
            )
        return self
