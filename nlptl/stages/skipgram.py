"""Stage one: word vectors, learnt from unlabelled text by skip-gram or read from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from nlptl.artifact import Kind
from nlptl.context import RunContext
from nlptl.errors import DataError
from nlptl.pretraining.word2vec.engine_choice import missing_engines
from nlptl.pretraining.word2vec.skip_gram_settings import Phrases, SkipGramSettings
from nlptl.stages.stage import ExpectedModel, Part, Stage
from nlptl.stages.unlabelled import pile_parts, pile_tables, watched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nlptl.data import TextData, TextTable
    from nlptl.models.encoder import Encoder

__all__ = ["Phrases", "SkipGram"]


class SkipGram(SkipGramSettings, Stage):
    """Word vectors by skip-gram with negative sampling (Mikolov et al. 2013a, 2013b).

    A run that is killed resumes: it reads the pile again and loses about a minute of training at most. With engine gensim
    it loses the whole training.
    """

    stage: Literal["skipgram"] = "skipgram"
    """Name of this stage."""

    takes: ClassVar[Kind | None] = None
    gives: ClassVar[Kind] = "encoder"
    version: ClassVar[int] = 4

    @property
    def needs(self) -> frozenset[Part]:
        """The pile, if the stage trains and labelled texts may not replace it."""
        return frozenset({"unlabelled"}) if self.trains and not self.include_labelled else frozenset()

    @property
    def is_random(self) -> bool:
        """True: first vectors, noise words and windows are random."""
        return True

    def reads(self, data: TextData) -> frozenset[Part]:
        """Return the pile and, with include_labelled, the labelled texts. Nothing if the stage does not train."""
        return pile_parts(data, learns=self.trains, include_labelled=self.include_labelled)

    def expected_model(self, before: ExpectedModel) -> ExpectedModel:
        """Return word vectors."""
        return ExpectedModel("word_vectors")

    def remarks(self, data: TextData) -> list[str]:
        """Return that the engine needs a GPU which this machine lacks, and that Japanese texts need a segmenter."""
        found = list(missing_engines({"skipgram": self.engine}) if self.trains else ())
        told = self._unspaced(pile_tables(data, self.reads(data)))
        return [*found, told] if told else found

    def check_data(self, data: TextData, *, where: str) -> None:
        """Raise DataError for data without texts to learn from."""
        if self.trains and not self.reads(data):
            raise DataError(f"{where}: found no texts to learn from; expected a pile of them. Give data.unlabelled.")

    def run(self, given: None = None, *, data: TextData, context: RunContext | None = None) -> Encoder:
        """Return an Encoder (mean pooling) of word vectors. Raises DataError if the pile has under two frequent words."""
        from nlptl.pretraining.word2vec.skip_gram import word_vector_encoder

        context = context or RunContext()
        self.check(where="skipgram")
        self.check_data(data, where="skipgram")
        tables = pile_tables(data, self.reads(data))
        if told := self._unspaced(tables):
            context.progress.say(told)  # before the training
            context.record.add_finding("segmenter", None, told)
        pile = watched(tables, "reading the pile", context, arrays=True)
        name = tables[0].name if tables else "pile"
        return word_vector_encoder(self, pile, context, where="skipgram", name=name)

    def _unspaced(self, tables: Sequence[TextTable]) -> str:
        """Return that the texts need a segmenter, if they do."""
        from nlptl.evaluation.unspaced_texts import unspaced_sentence

        if self.text.segmenter is not None:
            return ""
        return unspaced_sentence(
            tables, where="skipgram.text", setting="text: {segmenter: sudachi}",
            without="each run of kana and each kanji stands for a word",
        )  # fmt: skip
