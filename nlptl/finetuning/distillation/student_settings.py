"""Settings of students: one block for each kind, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nlptl.config import Config
from nlptl.inference.static_views import NgramUnit
from nlptl.pretraining.views.view_settings import Lengths
from nlptl.pretraining.word2vec.skip_gram_settings import SkipGramSettings


class WordStudent(SkipGramSettings):
    """Student whose word vectors skip-gram learns on the pile, or that a file holds."""

    kind: Literal["skipgram"] = "skipgram"
    """Name of this kind of student."""
    compact: bool = False
    """Keep of each word only what it adds to the logit of each label. The folder is smaller by the ratio of `dim` to the
    number of labels and predicts the same; the word vectors are gone, and with them the nearest words."""


class NgramStudent(Config):
    """Student of n-grams of words and characters. It tells "not good" from "good", and reads fewer texts a second."""

    kind: Literal["ngrams"] = "ngrams"
    """Name of this kind of student."""
    words: Lengths | None = Field(default=[1, 2])
    """Least and most words of an n-gram. More tell "not good" from "good", and are rarer. null leaves words out."""
    characters: Lengths | None = None
    """Least and most characters of an n-gram within a word. They see endings and misspelt words, and cost time. null leaves
    them out."""
    max_terms: int = Field(default=200_000, ge=1, le=1_000_000)
    """Maximum number of n-grams of words, and as many of characters; the most frequent ones are kept. More know rarer ones."""

    @model_validator(mode="after")
    def _lengths_in_order(self) -> Self:
        if self.words is None and self.characters is None:
            raise ValueError("found neither words nor characters; expected one of them. Set words: [1, 2]")
        for name in ("words", "characters"):
            found = getattr(self, name)
            if found is not None and found[0] > found[1]:
                raise ValueError(f"found {name}: {found}; expected the least length before the most. Swap them")
        return self

    def lengths(self) -> list[tuple[NgramUnit, list[int]]]:
        """Return the least and most units of an n-gram, for each unit that is counted."""
        units: dict[NgramUnit, list[int] | None] = {"words": self.words, "characters": self.characters}
        return [(unit, found) for unit, found in units.items() if found]


AnyStudent = Annotated[WordStudent | NgramStudent, Field(discriminator="kind")]
