"""Stage one: vectors of a text by its n-grams, weighted by tf-idf of the pile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from nlptl.artifact import Kind
from nlptl.context import RunContext
from nlptl.errors import DataError
from nlptl.inference.segmenter import check_segmenter, dictionary_digests, dictionary_paths
from nlptl.pretraining.views.view_settings import NgramSettings
from nlptl.stages.stage import ExpectedModel, Part, Stage
from nlptl.stages.unlabelled import drawn_texts, pile_parts, pile_tables

if TYPE_CHECKING:
    from nlptl.data import TextData
    from nlptl.models.encoder import Encoder

SAMPLED_TEXTS = (
    10_000  # of the pile, drawn at random; the directions of more are nearly the same and take as much longer
)


class NgramVectors(NgramSettings, Stage):
    """Learn tf-idf of word and character n-grams from the pile, in its leading directions (latent semantic analysis).

    Nothing else is computed for a text, so that it is the fastest encoder. The update `words` leaves the directions out and
    learns from the n-grams themselves.
    """

    stage: Literal["ngrams"] = "ngrams"
    """The name of this stage."""
    include_labelled: bool = True
    """Add the labelled training texts, without their labels, to the pile, so that their n-grams are known."""

    takes: ClassVar[Kind | None] = None
    gives: ClassVar[Kind] = "encoder"
    version: ClassVar[int] = 2

    @property
    def needs(self) -> frozenset[Part]:
        """The pile, if labelled texts may not replace it."""
        return frozenset() if self.include_labelled else frozenset({"unlabelled"})

    def check(self, *, where: str) -> None:
        """Refuse a segmenter whose package is missing."""
        check_segmenter(self.segmenter, where=where)

    def external_digests(self) -> Mapping[str, str]:
        """Return the version of the segmenter's dictionary."""
        return dictionary_digests(self.segmenter)

    def watched_paths(self) -> frozenset[Path]:
        """Return the file of the segmenter's dictionary."""
        return dictionary_paths(self.segmenter)

    @property
    def is_random(self) -> bool:
        """A large pile is sampled, and the search for its directions begins at random ones."""
        return True

    def reads(self, data: TextData) -> frozenset[Part]:
        """Return the pile and, with include_labelled, the labelled texts."""
        return pile_parts(data, learns=True, include_labelled=self.include_labelled)

    def expected_model(self, before: ExpectedModel) -> ExpectedModel:
        """Return word vectors of no width."""
        return ExpectedModel("word_vectors", has_token_vectors=False)

    def remarks(self, data: TextData) -> list[str]:
        """Return that Japanese texts need a segmenter."""
        from nlptl.evaluation.unspaced_texts import unspaced_sentence

        told = unspaced_sentence(
            pile_tables(data, self.reads(data)) if self.segmenter is None else (),
            where="ngrams", setting="segmenter: sudachi", without="a sentence stands for a word",
        )  # fmt: skip
        return [told] if told else []

    def run(self, given: None = None, *, data: TextData, context: RunContext | None = None) -> Encoder:
        """Return an Encoder of one view. Raises DataError without texts, and for texts without n-grams."""
        from nlptl.pretraining.views.ngram_view import learn_ngram_view
        from nlptl.pretraining.views.view_encoder import view_encoder

        context = context or RunContext()
        tables = pile_tables(data, self.reads(data))
        if not tables:
            raise DataError("ngrams: found no texts to learn from; expected a pile of them. Give data.unlabelled.")
        texts = drawn_texts(tables, SAMPLED_TEXTS, seed=context.seed)
        with context.progress.task("counting n-grams", total=len(texts), unit="texts") as task:
            view = learn_ngram_view(texts, self, context, where="ngrams")
            task.advance(len(texts))
        terms = len(view.terms)
        told = (
            f"The {view.dim:,} leading directions of the tf-idf of {terms:,} n-grams, learnt from {len(texts):,} texts."
        )
        context.record.add_finding("ngrams", {"terms": terms, "directions": view.dim}, told)
        return view_encoder([view], [texts])
