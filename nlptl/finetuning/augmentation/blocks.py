"""What a person may set about augmentation: one block a kind, told apart by `kind`.

`copies` is inherited, because it stands flat beside the settings of each kind in the YAML.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from nlptl.config import Config

EdaEdit = Literal["replace", "insert", "swap", "delete"]


class Copying(Config):
    """How many new texts are made of each."""

    copies: int = Field(default=1, ge=1, le=100)
    """New versions of each text. More help the fewer examples there are (Wei & Zou 2019: 16 for 500 examples, 4 for
    5,000), and training takes longer by as much."""


class WordDropout(Copying):
    """Leave out words (Iyyer et al. 2015)."""

    kind: Literal["word_dropout"] = "word_dropout"
    """The name of this kind."""
    share: float = Field(default=0.1, gt=0, lt=1)
    """Chance of each word to go; at least one goes and one stays. More makes a label depend less on single words, and
    loses it more often."""


class Swap(Copying):
    """Let words change places."""

    kind: Literal["swap"] = "swap"
    """The name of this kind."""
    share: float = Field(default=0.1, gt=0, le=1)
    """Share of the words that move, in pairs, at least one pair. More teaches that order hardly matters; an encoder that
    averages word vectors knows that already and learns nothing from it."""
    reach: int = Field(default=3, ge=1)
    """Words that the two of a pair stand apart at most; 1 exchanges neighbours, more breaks the grammar harder."""


class Eda(Copying):
    """Easy data augmentation (Wei & Zou 2019): each new text gets one of the edits, drawn at random.

    Replaced and inserted words come from the words that are given beside the settings, as there is no WordNet.
    """

    kind: Literal["eda"] = "eda"
    """The name of this kind."""
    share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the words that are edited, at least one (alpha in the paper, which advises 0.05 for 500 examples and 0.1
    for more); more gives more variety and more texts that lost their label."""
    edits: tuple[EdaEdit, ...] = Field(default=("replace", "insert", "swap", "delete"), min_length=1)
    """The edits that are drawn from; without replace and insert no words have to be given."""

    @property
    def needs_words(self) -> bool:
        """Whether words have to be given beside the settings."""
        return bool({"replace", "insert"} & set(self.edits))


class Typos(Copying):
    """Mistype letters: a neighbour on the QWERTY keyboard, two letters exchanged, one left out or typed twice."""

    kind: Literal["typos"] = "typos"
    """The name of this kind."""
    share: float = Field(default=0.05, gt=0, lt=1)
    """Share of the letters a to z that are mistyped, at least one. People leave 0.01 to 0.03 uncorrected; from 0.1 on most
    words are ones that no vocabulary knows."""


class MaskedLMReplacement(Copying):
    """Hide words and let a masked LM fill the gaps (Wu et al. 2019, without their training on the labels)."""

    kind: Literal["masked_lm"] = "masked_lm"
    """The name of this kind."""
    weights: str
    """Folder of an encoder with its masked-LM head, or a name as in stage bert. Sentence encoders such as minilm lost
    theirs. One that was trained further on texts like these writes more fitting words."""
    share: float = Field(default=0.15, gt=0, lt=1)
    """Share of the words that are replaced, at least one, all at once. From 0.3 on the words hardly fit each other."""
    temperature: float = Field(default=1.0, gt=0, le=10)
    """Divides the logits: below 1 the likeliest words come more often, above 1 rarer ones."""
    top_k: int = Field(default=50, ge=1)
    """The likeliest words that are drawn from; fewer fit better and vary less. The model does not know the label: in
    "a [MASK] film" all moods are likely, so let the label check follow."""


class BackTranslation(Copying):
    """Translate into another language and back (Sennrich et al. 2016; Xie et al. 2020)."""

    kind: Literal["back_translation"] = "back_translation"
    """The name of this kind."""
    forward: str
    """Folder of a sequence-to-sequence model in transformers' layout that translates into the other language."""
    backward: str
    """Folder of the model that translates back."""
    forward_prefix: str = ""
    """What the first model wants before each text, such as ">>deu<< " or "translate English to German: "."""
    backward_prefix: str = ""
    """What the second model wants before each text."""
    temperature: float = Field(default=0.8, gt=0, le=10)
    """Of the words that both models draw: lower stays close to the text, and copies often equal each other; higher says it
    more freely, and from about 1 on says other things."""

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
]
"""One block of settings, told apart by `kind`."""
