"""Stage three: a small fast student learns the labels that a trained classifier, or another teacher, gives to the pile."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from nlptl.artifact import Kind, file_digest
from nlptl.config import auto_or
from nlptl.context import Record, RunContext
from nlptl.data.teacher_labels import TeacherLabels
from nlptl.errors import ConfigError, DataError
from nlptl.finetuning.distillation.student_settings import AnyStudent, NgramStudent, WordStudent
from nlptl.inference.segmenter import check_segmenter, dictionary_digests, dictionary_paths
from nlptl.pretraining.word2vec.engine_choice import missing_engines
from nlptl.stages.stage import ExpectedModel, Part, Stage
from nlptl.stages.unlabelled import drawn_texts, pile_parts, pile_tables, watched

if TYPE_CHECKING:
    from nlptl.data import TextData
    from nlptl.data.teacher_labels import LabelledPile
    from nlptl.finetuning.distillation.distilled import Lesson
    from nlptl.finetuning.distillation.soft_labels import Floats, SoftLabels
    from nlptl.finetuning.distillation.students import Student
    from nlptl.models.classifier import TextClassifier

SCALED_ON = 5_000  # texts of the pile, by which features are scaled


class Distil(Stage):
    """Train a static student on the labels that a teacher gives to the pile (Hinton et al. 2015; Tang et al. 2019).

    The teacher is the classifier before, or a file. A run that is killed keeps the labels of the pile that it has computed,
    but for those of a minute.
    """

    stage: Literal["distil"] = "distil"
    """The name of this stage."""
    student: AnyStudent | None = None
    """What learns: word vectors (`kind: skipgram`) or n-grams (`kind: ngrams`). null: word vectors that skip-gram learns on the
    pile; with `teacher`, those of the classifier before."""
    teacher: TeacherLabels | None = None
    """File with the labels of another teacher, such as a language model, for texts of data.unlabelled. Then no classifier
    labels the pile, and the one before, over word vectors, is what learns. null: the classifier before labels the pile."""
    texts: int = Field(default=100_000, ge=20, le=100_000_000)
    """Largest number of texts of the pile, drawn by the seed. More bring the student nearer to its teacher, which takes longer."""
    temperature: float = Field(default=1.0, ge=0.1, le=100)
    """Temperature of the teacher's probabilities. Above 1 the less probable labels count for more, below 1 for less. The
    student's own probabilities are as sure as the teacher's in any case."""
    hard_share: Annotated[float | Literal["auto"], auto_or(float, least=0, most=0.99)] = "auto"
    """Share of the loss of the labelled texts, with their own labels, beside the pile with those of the teacher. More trusts people
    more than the teacher; 0 leaves their labels out. auto: every text counts the same."""

    takes: ClassVar[Kind | None] = "classifier"
    gives: ClassVar[Kind] = "classifier"
    version: ClassVar[int] = 2

    @property
    def needs(self) -> frozenset[Part]:
        """The pile."""
        return frozenset({"unlabelled"})

    @property
    def is_random(self) -> bool:
        """The held-out texts are drawn, and those that a large pile is cut to."""
        return True

    @property
    def teacher_is_given(self) -> bool:
        """Whether no file holds the labels."""
        return self.teacher is None

    def reads(self, data: TextData) -> frozenset[Part]:
        """Return the pile and the labelled texts; those of the source, too, where word vectors are learnt."""
        wanted = pile_parts(data, learns=True, include_labelled=self._learns_vectors)
        return wanted | frozenset({"labelled"} if data.labelled is not None else set())

    @property
    def _learns_vectors(self) -> bool:
        return isinstance(settings := self._student, WordStudent) and settings.trains and settings.include_labelled

    @property
    def _student(self) -> AnyStudent | None:
        """Settings of the student; None where it is the classifier before."""
        return WordStudent() if self.student is None and self.teacher is None else self.student

    def expected_model(self, before: ExpectedModel) -> ExpectedModel:
        """Return word vectors under a linear head."""
        has_token_vectors = not isinstance(self._student, NgramStudent)
        return ExpectedModel("word_vectors", has_token_vectors=has_token_vectors, is_trained=True)

    def check(self, *, where: str) -> None:
        """Refuse vectors that are missing, and what their engine cannot do."""
        if isinstance(self._student, WordStudent):
            self._student.check(where=f"{where}.student")
        elif self._student is not None:
            check_segmenter(self._student.cut_by, where=f"{where}.student")

    def check_chain(self, given: ExpectedModel, data: TextData | None, *, where: str) -> None:
        """Refuse a teacher that was never trained, and a student that is not static."""
        if self.teacher is None and not given.is_trained:
            raise ConfigError(
                f"{where}: found a classifier that no stage before trains; expected a trained one, which labels the pile. Put the "
                "stage finetune before distil, or set teacher."
            )
        if self._student is None and given.token_model == "transformer":
            raise ConfigError(
                f"{where}: found a transformer before a stage with `teacher`, where the classifier before is what learns; expected "
                "word vectors. Begin the chain with skipgram, or set student."
            )
        if self._student is None and given.hidden:
            raise ConfigError(
                f"{where}: the student learns a linear head, but classification_head has `hidden: {given.hidden}`. Set it to 0."
            )

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse a missing pile, one of too few texts, and labels of a teacher that do not fit."""
        if data.unlabelled is None:
            raise DataError(f"{where}: found no texts to label; expected a pile of them. Give data.unlabelled.")
        if self.teacher is not None:
            self._read_teacher(data, data.label_set.names, where=where)
        else:
            _check_count(_distinct(data), where=where)

    def remarks(self, data: TextData) -> list[str]:
        """Return that the student's engine needs a GPU which this machine lacks."""
        settings = self._student
        if not isinstance(settings, WordStudent) or not settings.trains:
            return []
        return list(missing_engines({"distil.student": settings.engine}))

    def input_paths(self) -> Mapping[str, Path]:
        """Return the files of the teacher and of the student's vectors."""
        found = {} if self.teacher is None else {"teacher.file": Path(self.teacher.file)}
        if isinstance(self._student, WordStudent):
            found |= {f"student.{name}": path for name, path in self._student.input_paths().items()}
        return found

    def watched_paths(self) -> frozenset[Path] | None:
        """Return the files of the teacher and of the student's vectors, and that of their counts."""
        own = frozenset() if self.teacher is None else frozenset({Path(self.teacher.file)})
        if isinstance(self._student, WordStudent):
            return own | (self._student.watched_paths() or frozenset())
        return own if self._student is None else own | dictionary_paths(self._student.cut_by)

    def external_digests(self) -> Mapping[str, str]:
        """Return digests of the files of the teacher and of the student's vectors."""
        found = {} if self.teacher is None else {"teacher": file_digest(Path(self.teacher.file))}
        if isinstance(self._student, WordStudent):
            found |= {f"student.{name}": digest for name, digest in self._student.external_digests().items()}
        elif self._student is not None:
            found |= {f"student.{name}": digest for name, digest in dictionary_digests(self._student.cut_by).items()}
        return found

    def run(self, given: TextClassifier, *, data: TextData, context: RunContext | None = None) -> TextClassifier:
        """Return the student; `given` does not change, and test texts are not read.

        Raises ConfigError for a classifier that was never trained and has no other teacher, and for a student that is not linear;
        DataError for a pile of too few texts, and for labels of a teacher that do not fit.
        """
        from nlptl.data.learnt_texts import LearntTexts
        from nlptl.finetuning.distillation.distilled import distilled
        from nlptl.finetuning.distillation.student_figures import StudentFigures

        context = context or RunContext()
        self.check(where="distil")
        self._check_data_of(given, data)
        pile, labels = self._labelled_pile(given, data, context)
        student = self._made_student(given, pile, data, context)
        made = distilled(student, self._lesson(given, pile, labels.probabilities, data), context)
        classifier = made.classifier
        classifier.separator = given.separator
        known = given.learnt if self.teacher is None else None
        classifier.learnt = known or LearntTexts.of([data.labelled], validation=None, before=None)
        context.record.trainable_parameters = made.parameters
        teacher = given if self.teacher is None else None
        figures = StudentFigures.of(made, teacher=teacher, rate=labels.texts_per_second)
        # Not a fault, but what a person asks first.
        context.record.add_finding("distil", figures.content(), figures.sentence(), warns=True)
        return classifier

    def _check_data_of(self, given: TextClassifier, data: TextData) -> None:
        if data.unlabelled is None:
            self.check_data(data, where="distil")
        if self.teacher is None:
            given.check_trained()
        elif given.head.hidden and self._student is None:
            self.check_chain(ExpectedModel(hidden=given.head.hidden), data, where="distil")

    def _read_teacher(self, data: TextData, labels: Sequence[str], *, where: str) -> LabelledPile:
        from nlptl.data.teacher_labels import read_teacher_labels

        assert self.teacher is not None
        assert data.unlabelled is not None
        found = read_teacher_labels(
            self.teacher, data.unlabelled.texts(), labels, separator=data.separator, multi_label=data.has_label_sets,
            where=f"{where}.teacher",
        )  # fmt: skip
        _check_count(len(found.texts), where=where)
        return found

    def _labelled_pile(
        self, given: TextClassifier, data: TextData, context: RunContext
    ) -> tuple[list[str], SoftLabels]:
        """Return distinct texts of the pile with the teacher's labels."""
        import torch

        from nlptl.finetuning.distillation.soft_labels import SoftLabels, labelled_by

        assert data.unlabelled is not None
        labelled = set() if data.labelled is None else set(data.labelled.texts())
        if self.teacher is not None:
            found = self._read_teacher(data, given.labels, where="distil")
            if found.outside:
                told = (
                    f"{found.outside:,} rows of the teacher were left out: their texts do not stand in data.unlabelled."
                )
                context.record.add_finding("outside_pile", found.outside, told, warns=True)
            kept = [row for row, text in enumerate(found.texts) if text not in labelled]
            if len(kept) > self.texts:
                drawn = torch.randperm(len(kept), generator=context.generator("pile"))[: self.texts]
                kept = sorted(kept[row] for row in drawn.tolist())
            _check_count(len(kept), where="distil")
            return [found.texts[row] for row in kept], SoftLabels(found.probabilities[kept])
        distinct = drawn_texts([data.unlabelled], self.texts, seed=context.seed)
        pile = [text for text in dict.fromkeys(distinct) if text not in labelled]
        _check_count(len(pile), where="distil")
        device = context.torch_device()
        teacher = given if given.device.type == device.type else copy.deepcopy(given).to(device)
        return pile, labelled_by(teacher, pile, context)

    def _made_student(self, given: TextClassifier, pile: Sequence[str], data: TextData, context: RunContext) -> Student:
        """Return the student before it has learnt."""
        from nlptl.finetuning.distillation.students import NgramTermStudent, WordVectorStudent, with_rare_words_louder
        from nlptl.pretraining.word2vec.skip_gram import word_vector_encoder

        settings = self._student
        if isinstance(settings, NgramStudent):
            where = "distil.student"
            cut_by = None if settings.cut_by is None else settings.cut_by.installed(where=f"{where}.segmenter")
            return NgramTermStudent.of(
                pile, settings.lengths(), max_terms=settings.max_terms, where=where, segmenter=cut_by
            )
        compact, encoder = False, given.encoder
        if settings is not None:
            tables = pile_tables(data, pile_parts(data, learns=True, include_labelled=settings.include_labelled))
            texts = watched(tables, "reading the pile", context, arrays=True)
            apart = dataclasses.replace(context, record=Record())  # what is told of the student comes first
            encoder = word_vector_encoder(settings, texts, apart, where="distil.student", name=tables[0].name)
            context.record.add_finding("student", apart.record.report)
            for row in apart.record.history:
                context.record.row(**row)
            encoder, compact = with_rare_words_louder(encoder), settings.compact
        sample = pile[:: max(1, len(pile) // SCALED_ON)]
        return WordVectorStudent.of(encoder, sample, compact=compact, where="distil")

    def _lesson(self, given: TextClassifier, pile: Sequence[str], probabilities: Floats, data: TextData) -> Lesson:
        from nlptl.finetuning.distillation.distilled import Lesson, hard_labels

        share = None if self.hard_share == "auto" else self.hard_share
        labelled = None if share == 0 else data.labelled
        texts = [] if labelled is None else labelled.texts()
        labels = hard_labels([] if labelled is None else labelled.label_sets(), given.labels)
        thresholds = given.head.thresholds
        return Lesson(pile, probabilities, texts, labels, self.temperature, share, given.labels, thresholds)


def _distinct(data: TextData) -> int:
    """Return the number of different texts of the pile that are not labelled; that of all rows where they are surely enough."""
    assert data.unlabelled is not None
    if len(data.unlabelled) > SCALED_ON:
        return len(data.unlabelled)
    labelled = set() if data.labelled is None else set(data.labelled.texts())
    return len(set(data.unlabelled.texts()) - labelled)


def _check_count(texts: int, *, where: str) -> None:
    """Raise DataError for a pile from which nothing could be held out."""
    from nlptl.finetuning.distillation.distilled import MIN_TEXTS

    if texts < MIN_TEXTS:
        raise DataError(
            f"{where}: found {texts} different text{'s' * (texts != 1)} with the teacher's labels; expected at least {MIN_TEXTS} "
            "to learn from and to hold out. Add texts to data.unlabelled."
        )
