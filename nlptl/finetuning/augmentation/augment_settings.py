"""Settings of augmentation: one block for each kind, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from nlptl.config import Config
from nlptl.input_paths import InputPath, WeightsPath

EdaEdit = Literal["replace", "insert", "swap", "delete"]


class Copying(Config):
    """Setting that all kinds share; it stands beside their own in the YAML."""

    copies: int = Field(default=1, ge=1, le=100)
    """New versions of each text. More help small sets (Wei & Zou 2019: 16 for 500 examples, 4 for 5,000). Training takes
    longer in proportion."""


class WordDropout(Copying):
    """Drop words (Iyyer et al. 2015)."""

    kind: Literal["word_dropout"] = Field(default="word_dropout", description="The name of this kind.")
    share: float = Field(default=0.1, gt=0, lt=1)
    """Probability that a word is dropped; at least one goes and one stays. More makes the label depend less on single
    words, and more new texts lose their label."""


class Swap(Copying):
    """Swap words."""

    kind: Literal["swap"] = Field(default="swap", description="The name of this kind.")
    share: float = Field(default=0.1, gt=0, le=1)
    """Share of the words that are swapped, at least one pair. More teaches that word order hardly matters. An encoder
    that averages word vectors learns nothing from it."""
    reach: int = Field(default=3, ge=1, le=1000)
    """Largest distance of the two words, in words. 1 swaps neighbours; more breaks the grammar harder."""


class Eda(Copying):
    """Edit each text by one random edit (EDA, Wei & Zou 2019).

    New words come from the texts at hand, by frequency, since there is no WordNet.
    """

    kind: Literal["eda"] = Field(default="eda", description="The name of this kind.")
    share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the words that are edited, at least one. The paper's alpha: 0.05 for 500 examples and 0.1 for more. More
    gives more variety, and more new texts lose their label."""
    edits: tuple[EdaEdit, ...] = Field(default=("replace", "insert", "swap", "delete"), min_length=1)
    """Edits to draw from. More kinds give more variety; replace and insert bring in foreign words."""

    @property
    def needs_words(self) -> bool:
        """Whether the edits need a vocabulary."""
        return bool({"replace", "insert"} & set(self.edits))


class Typos(Copying):
    """Mistype letters: press a neighbouring key, swap two letters, drop or double one."""

    kind: Literal["typos"] = Field(default="typos", description="The name of this kind.")
    share: float = Field(default=0.05, gt=0, lt=1)
    """Share of the letters a to z that are mistyped, at least one. People leave 0.01 to 0.03 uncorrected. From 0.1 on,
    most words are unknown to any vocabulary."""


class MaskedLMReplacement(Copying):
    """Hide words and let a masked LM predict others (Wu et al. 2019, without their training on the labels)."""

    kind: Literal["masked_lm"] = Field(default="masked_lm", description="The name of this kind.")
    weights: WeightsPath
    """Folder or name of an encoder with a masked-LM head, as in stage bert. Sentence encoders such as minilm have none.
    Weights that another tool trained further on similar texts, head included, predict more fitting words; stage bert keeps
    no head."""
    share: float = Field(default=0.15, gt=0, lt=1)
    """Share of the words that are replaced at once, at least one. From 0.3 on, the new words hardly fit each other."""
    temperature: float = Field(default=1.0, gt=0, le=10)
    """Divisor of the logits. Below 1 favours the most probable words, above 1 rarer ones."""
    top_k: int = Field(default=50, ge=1, le=100_000)
    """Number of most probable words to draw from. Fewer fit better and vary less. The model does not know the label: in
    "a [MASK] film" good and bad are both probable. The label check drops new texts that lost theirs."""


class BackTranslation(Copying):
    """Translate into another language and back (Sennrich et al. 2016; Xie et al. 2020)."""

    kind: Literal["back_translation"] = Field(default="back_translation", description="The name of this kind.")
    forward: InputPath
    """Folder of a sequence-to-sequence model in transformers' layout that translates into the other language."""
    backward: InputPath
    """Folder of the model that translates back."""
    forward_prefix: str = ""
    """Prefix for the first model, such as ">>deu<< " or "translate English to German: "."""
    backward_prefix: str = ""
    """Prefix for the second model."""
    temperature: float = Field(default=0.8, gt=0, le=10)
    """Sampling temperature of both models. Lower stays close to the text, and copies are often equal. Higher is freer,
    and from about 1 on the meaning changes."""

    @model_validator(mode="after")
    def _two_ways(self) -> BackTranslation:
        if (self.forward, self.forward_prefix) == (self.backward, self.backward_prefix):
            raise ValueError(
                f"found the same folder {self.forward} forward and backward; expected a model that translates back, or "
                "another prefix. Give backward its own"
            )
        return self


Augmentation = Annotated[
    WordDropout | Swap | Eda | Typos | MaskedLMReplacement | BackTranslation, Field(discriminator="kind")
]  # one block of settings, told apart by `kind`
