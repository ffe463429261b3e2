"""Settings of students: one block for each kind, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nlptl.pretraining.views.view_settings import Lengths, NgramLengths
from nlptl.pretraining.word2vec.skip_gram_settings import SkipGramSettings


class WordStudent(SkipGramSettings):
    """Student whose word vectors skip-gram learns on the pile, or that a file holds."""

    kind: Literal["skipgram"] = "skipgram"
    """Name of this kind of student."""
    compact: bool = False
    """Keep of each word only what it adds to the logit of each label. The folder is smaller by the ratio of `dim` to the
    number of labels and predicts the same; the word vectors are gone, and with them the nearest words."""


class NgramStudent(NgramLengths):
    """Student of n-grams of words and characters. It tells "not good" from "good", and reads fewer texts a second."""

    kind: Literal["ngrams"] = "ngrams"
    """Name of this kind of student."""
    characters: Lengths | None = None
    """Least and most characters of an n-gram within a word. They see endings and misspelt words, and cost time. null leaves
    them out."""
    max_terms: int = Field(default=200_000, ge=1, le=1_000_000)
    """Maximum number of n-grams of words, and as many of characters; the most frequent ones are kept. More know rarer ones."""


AnyStudent = Annotated[WordStudent | NgramStudent, Field(discriminator="kind")]
