"""Settings of views: one block for each kind, told apart by `view`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from nlptl.config import Config, auto_or
from nlptl.inference.segmenter import ONLY_IF_SET, Segmenter, SegmenterSetting, SegmenterSettings
from nlptl.inference.settings_files import MAX_NGRAM
from nlptl.inference.static_views import NgramUnit, counted_lengths
from nlptl.pretraining.word2vec.tokenizer import TextSettings

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.models.views import View

AUTO_WORDS = 5_000_000  # of word vectors, to train on under `epochs: auto`
COUNTED_CHARACTERS = 5_000_000  # of texts whose n-grams are counted: some seconds
# What a view costs on two cores that nobody else uses; `auto` plans its time by it.
CHARACTERS_A_WORD = 6
SECONDS_TO_COMPILE, SECONDS_A_WORD_READ, SECONDS_A_WORD_LEARNT = 5.0, 1e-6, 1.5e-6
SECONDS_A_CHARACTER_OF_NGRAMS = 6e-6

Batches = Iterable[Sequence[str] | Any]  # lists of texts or Arrow string arrays
Lengths = Annotated[list[Annotated[int, Field(ge=1, le=MAX_NGRAM)]], Field(min_length=2, max_length=2)]


class WordVectorView(Config):
    """Mean of word vectors that are learnt on the pile: each distinct word of a text once, rare words louder.

    On piles of more than a million words, threads race and runs differ a little.
    """

    view: Literal["word_vectors"] = "word_vectors"
    """Name of this kind of view."""
    dim: int = Field(default=100, ge=1, le=4096)
    """Width of the word vectors and of the view. 50 to 100 for small piles, up to 300 for millions of words. Wider is slower."""
    window: int = Field(default=5, ge=1, le=100)
    """Maximum distance of context words. Larger captures topics, smaller captures grammar."""
    min_count: int = Field(default=2, ge=1, le=1_000_000_000)
    """Minimum count of a word with a vector. Higher is faster and keeps less on disk, and knows fewer words."""
    epochs: Annotated[int | Literal["auto"], auto_or(int, least=1, most=100_000)] = "auto"
    """Passes over the pile. More suit small piles. auto: as many as give five million words, within 5 and 100."""
    engine: Literal["auto", "cpu", "gpu", "ppmi"] = "auto"
    """What learns word vectors, as in skipgram. ppmi counts pairs of words and factorises them: a fifth of the time and as good
    on piles of some thousand posts, too large in memory for millions of them."""
    a: float = Field(default=1e-2, gt=0, le=1)
    """Words more frequent than this share count for less; smaller lets only rare words speak."""
    text: TextSettings = TextSettings()
    """Split of text into words."""

    @model_validator(mode="after")
    def _ppmi_counts_once(self) -> WordVectorView:
        if self.engine == "ppmi" and self.epochs != "auto":
            raise ValueError(
                f"found epochs: {self.epochs} with engine ppmi, which counts once; expected one of them. Drop epochs"
            )
        return self

    @property
    def cut_by(self) -> SegmenterSettings | None:
        """What cuts Japanese into words, if anything does."""
        return self.text.segmenter

    def learn(
        self,
        pile: Callable[[], Batches],
        sample: Sequence[str],
        context: RunContext,
        *,
        length: float = 1.0,
        where: str = "sentence_vectors.views",
    ) -> View:
        """Return the view of a pile, whose vectors have the mean `length` there."""
        from nlptl.pretraining.views.word_view import learn_word_view

        return learn_word_view(pile(), self, context, length=length, where=where).view

    def seconds(self, *, pile: int, sample: int) -> float:
        """Return about how long `learn` takes on two cores, by the characters of the pile and of the sample."""
        del sample
        words = pile / CHARACTERS_A_WORD
        epochs = max(5, min(100, AUTO_WORDS / max(1.0, words))) if self.epochs == "auto" else self.epochs
        return SECONDS_TO_COMPILE + words * (SECONDS_A_WORD_READ + epochs * SECONDS_A_WORD_LEARNT * self.dim / 100)


class NgramLengths(Config):
    """Which n-grams are counted: of words, of characters, or both."""

    words: Lengths | None = Field(default=[1, 2])
    """Least and most words of an n-gram. More tell "not good" from "good", and are rarer. null leaves words out."""
    characters: Lengths | None = Field(default=[3, 5])
    """Least and most characters of an n-gram within a word. They see endings and misspelt words. null leaves them out."""
    segmenter: Annotated[SegmenterSetting, ONLY_IF_SET] = None
    """sudachi cuts Japanese into words first, as in `text` of skipgram (pip install 'nlptl[ja]'). Without it a sentence of
    Japanese is one word."""

    @property
    def cut_by(self) -> SegmenterSettings | None:
        """What cuts Japanese into words, if anything does."""
        return self.segmenter

    @model_validator(mode="after")
    def _lengths_in_order(self) -> Self:
        if self.words is None and self.characters is None:
            raise ValueError("found neither words nor characters; expected one of them. Set words: [1, 2]")
        for name in ("words", "characters"):
            found = getattr(self, name)
            if found is not None and found[0] > found[1]:
                raise ValueError(f"found {name}: {found}; expected the least length before the most. Swap them")
        return self

    def lengths(self) -> dict[NgramUnit, list[int]]:
        """Return the least and most units of an n-gram, for each unit that is counted."""
        return counted_lengths(self.words, self.characters)


class NgramSettings(NgramLengths):
    """Which n-grams of words and characters are counted, and how many of their leading directions are kept.

    Where most of the text is in a script that puts no space between words, as Japanese, the default lengths stand for 1 to 3
    characters, and with a segmenter for 1 to 2 words and 1 to 3 characters.
    """

    dim: int = Field(default=100, ge=1, le=4096)
    """Width of the vectors: the leading directions of the pile. More keep rarer n-grams, and cost time."""
    max_terms: int = Field(default=50_000, ge=1, le=1_000_000)
    """Maximum number of n-grams of words, and as many of characters; the most frequent ones are kept."""


class NgramView(NgramSettings):
    """Word and character n-grams, weighted by tf-idf of the pile, in their leading directions there."""

    view: Literal["ngrams"] = "ngrams"
    """Name of this kind of view."""

    def learn(
        self,
        pile: Callable[[], Batches],
        sample: Sequence[str],
        context: RunContext,
        *,
        length: float = 1.0,
        where: str = "sentence_vectors.views",
    ) -> View:
        """Return the view of a `sample` of a pile, whose vectors have the mean `length` there."""
        from nlptl.pretraining.views.ngram_view import learn_ngram_view

        return learn_ngram_view(sample, self, context, length=length, where=where)

    def seconds(self, *, pile: int, sample: int) -> float:
        """Return about how long `learn` takes, by the characters of the pile and of the sample."""
        del pile
        return SECONDS_A_CHARACTER_OF_NGRAMS * min(sample, COUNTED_CHARACTERS)


def check_segmenters(views: Sequence[WordVectorView | NgramView], *, where: str) -> None:
    """Raise ConfigError for a view whose segmenter's package is missing."""
    for number, view in enumerate(views):
        if view.cut_by is not None:
            view.cut_by.check(where=f"{where}.{number}.{'text.' if view.view == 'word_vectors' else ''}segmenter")


def cut_alike(settings: WordVectorView | NgramView, segmenter: Segmenter | None) -> WordVectorView | NgramView:
    """Return settings of a view whose words are cut as those of its encoder, unless they name a segmenter of their own."""
    if segmenter is None or settings.cut_by is not None:
        return settings
    if settings.view == "ngrams":
        return settings.model_copy(update={"segmenter": segmenter.settings})
    return settings.model_copy(update={"text": settings.text.model_copy(update={"segmenter": segmenter.settings})})


def segmenter_digests(views: Sequence[WordVectorView | NgramView]) -> dict[str, str]:
    """Return the version of each view's dictionary."""
    return {
        f"views.{number}.segmenter": view.cut_by.installed().digest
        for number, view in enumerate(views)
        if view.cut_by is not None
    }


ViewSettings = Annotated[WordVectorView | NgramView, Field(discriminator="view")]
