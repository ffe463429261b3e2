"""Stage one: word vectors from unlabelled text by skip-gram, or taken from a file and, if wanted, trained on.

Shapes: V words, D dimension.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from nlptl.artifact import Kind, file_digest
from nlptl.config import Config, auto_or
from nlptl.context import RunContext
from nlptl.errors import ConfigError, DataError
from nlptl.models.spelling import Spelling
from nlptl.pretraining.word2vec.engine_choice import EngineName, check_engine
from nlptl.pretraining.word2vec.tokenizer import TextSettings
from nlptl.stages.stage import ExpectedModel, Part, Stage
from nlptl.stages.unlabelled import pile_parts, pile_tables, watched_arrays

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from nlptl.data import TextData, TextTable
    from nlptl.models.encoder import Encoder
    from nlptl.pretraining.word2vec.corpus import Corpus
    from nlptl.pretraining.word2vec.engines import Buckets, SkipGramTask, Trained, Watch
    from nlptl.progress import Task

FloatArray = NDArray[np.float32]
DIM = 100  # width where neither settings nor imported vectors name one
AUTO_WORDS = 5_000_000  # words that `epochs: auto` wants the training to see
FREQUENT = 5  # frequent words whose neighbours are told, and phrases
COMPARED = 1_000  # frequent words whose neighbourhoods are compared before and after


class Phrases(Config):
    """When two words that stand together become one."""

    threshold: float = Field(default=100.0, gt=0)
    """How much more often than by chance a pair must stand together (Mikolov et al. 2013b, eq. 6, times the number of
    words as in word2phrase); higher joins fewer."""
    min_count: int = Field(default=5, ge=1)
    """Pairs that are rarer are left apart; also taken off each pair's count."""


def _phrases(value: object) -> object:
    return Phrases() if value is True else None if value is False else value


class SkipGram(Stage):
    """Learn word vectors by skip-gram with negative sampling (Mikolov et al. 2013a, 2013b)."""

    stage: Literal["skipgram"] = "skipgram"
    """The name of this stage."""
    dim: int | None = Field(default=None, ge=1, le=4096)
    """Width of the vectors; null means 100, or the width of `vectors`.
    50 to 100 for small piles, up to 300 for millions of words; wider is slower."""
    window: int = Field(default=5, ge=1, le=100)
    """Words to either side that count as context. Larger gathers topics, smaller gathers grammar."""
    negatives: int = Field(default=5, ge=1, le=100)
    """Noise words drawn for every pair. More helps small piles (5 to 20) and costs time; 2 to 5 suffice for large."""
    min_count: int = Field(default=5, ge=1)
    """Words that are rarer get no vector. 1 or 2 for piles of some hundred texts."""
    subsample: float = Field(default=1e-3, ge=0, le=1)
    """Words more frequent than this share are thinned out at random; smaller thins more, 0 keeps all."""
    epochs: Annotated[int | Literal["auto"], auto_or(int, least=0)] = "auto"
    """Passes over the pile. auto: as many as it takes to see five million words, at least 5, at most 100. 0 leaves
    the vectors random, which is the baseline that training has to beat."""
    learning_rate: float = Field(default=0.025, gt=0, le=1)
    """Rate at the start; it falls linearly to nearly nothing."""
    engine: EngineName = "auto"
    """What does the work: cpu (all cores), gpu (needs Triton: pip install 'nlptl[gpu]') or gensim, the reference, some
    seven times slower. auto: the GPU where there is one, else cpu."""
    deterministic: bool = False
    """Give the same bits on every run on the same machine, also after a kill: one thread, fixed order, about half the
    speed. Piles below a million words are trained so anyway; above, threads race and runs differ a little."""
    subwords: Spelling | None = None
    """Let character n-grams have vectors too ({min: 3, max: 6}; Bojanowski et al. 2017), so that unseen and misspelt words
    get vectors. Helps tweets and languages with many word forms, costs two to four times the time. engine cpu only."""
    phrases: Annotated[Phrases | None, BeforeValidator(_phrases)] = None
    """Join words that stand together more often than their counts explain ("new york") to one (Mikolov et al. 2013b);
    true takes the defaults."""
    include_labelled: bool = True
    """Let the labelled training texts, without their labels, join the pile, so that their words get vectors too."""
    text: TextSettings = TextSettings()
    """How text becomes words."""
    vectors: str | None = None
    """File of existing vectors to start from: word2vec text or binary, GloVe text, each optionally .gz."""
    continue_training: bool = False
    """With `vectors`: train them further on the pile (new words are added); otherwise they are taken as they are."""

    takes: ClassVar[Kind | None] = None
    gives: ClassVar[Kind] = "encoder"
    version: ClassVar[int] = 3

    @property
    def needs(self) -> frozenset[Part]:
        """The pile, unless the labelled texts may stand in for it or finished vectors are taken as they are."""
        return frozenset({"unlabelled"}) if self._trains and not self.include_labelled else frozenset()

    @property
    def _trains(self) -> bool:
        return self.vectors is None or self.continue_training

    @property
    def is_random(self) -> bool:
        """First vectors, negatives and windows are drawn."""
        return True

    def reads(self, data: TextData) -> frozenset[Part]:
        """The pile and, with include_labelled, the labelled texts; nothing when vectors are taken as they are."""
        return pile_parts(data, learns=self._trains, include_labelled=self.include_labelled)

    def check(self, *, where: str) -> None:
        """Refuse a missing or unreadable `vectors` file, or one whose width is not `dim`."""
        check_engine(self.engine, subwords=self.subwords is not None, deterministic=self.deterministic, where=where)
        if self.continue_training and self.vectors is None:
            raise ConfigError(
                f"{where}.continue_training: found true without vectors; expected a file to continue from. "
                "Add vectors: PATH, or drop continue_training."
            )
        if self.vectors is None:
            return
        from nlptl.models.word_vector_files.reading import inspect

        try:
            width = inspect(Path(self.vectors))[2]
        except DataError as error:
            raise ConfigError(f"{where}.vectors: {error}") from None
        if self.dim is not None and width != self.dim:
            raise ConfigError(
                f"{where}.dim: found {self.dim}, but the vectors in {self.vectors} have {width}; both must be equal. "
                f"Drop dim or set it to {width}."
            )

    def expected_model(self, before: ExpectedModel) -> ExpectedModel:
        """Begin with word vectors."""
        return ExpectedModel("word_vectors")

    def input_paths(self) -> Mapping[str, Path]:
        """Return the file of `vectors`."""
        return {} if self.vectors is None else {"vectors": Path(self.vectors)}

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse data without any text to learn from."""
        if self._trains and not self.reads(data):
            raise DataError(f"{where}: found no texts; skipgram learns from a pile of them. Give data.unlabelled.")

    def external_digests(self) -> Mapping[str, str]:
        """Digests of the `vectors` file and of the counts beside it."""
        from nlptl.models.word_vector_files.reading import counts_path

        if self.vectors is None:
            return {}
        files = {"vectors": Path(self.vectors), "counts": counts_path(Path(self.vectors))}
        return {name: file_digest(path) for name, path in files.items() if path.is_file()}

    def run(self, given: None = None, *, data: TextData, context: RunContext | None = None) -> Encoder:
        """Return an Encoder (mean pooling) over the word vectors learnt from the pile.

        Raises DataError when the pile leaves fewer than two words.
        """
        context = context or RunContext()
        self.check(where="skipgram")
        self.check_data(data, where="skipgram")
        pile = self._pile(data)
        if self._trains:
            learnt = self._trained(pile, context, ([], None) if self.vectors is None else self._imported())
        else:
            learnt = self._as_they_are()
        self._tell_neighbours(learnt, context)
        return _encoder(learnt)

    def _pile(self, data: TextData) -> list[TextTable]:
        return pile_tables(data, self.reads(data))

    def _trained(
        self, pile: Sequence[TextTable], context: RunContext, known: tuple[list[str], FloatArray | None]
    ) -> _Learnt:
        from nlptl.models.word_vector_files.reading import placed_vectors
        from nlptl.pretraining.word2vec.corpus import corpus_of
        from nlptl.pretraining.word2vec.tokenizer import set_vocabulary, untrained_tokenizer

        words, start = known
        tokenizer = untrained_tokenizer(self.text)
        texts = watched_arrays(pile, "reading the pile", context)
        with corpus_of(tokenizer, texts, min_count=self.min_count, known_words=words) as plain:
            kept_words = int((plain.counts[1:] > 0).sum())
            if kept_words < 2:
                raise DataError(
                    f"{pile[0].name}: {kept_words} words occur at least {self.min_count} times; skip-gram needs two. "
                    "Lower skipgram's min_count or add text."
                )
            with self._joined(plain, context) as (corpus, phrases):
                set_vocabulary(tokenizer, corpus.words)
                placed = None if start is None else placed_vectors(corpus.words, words, start)
                trained = self._train(corpus, placed, context)
                context.record.add_finding("words", {"vocabulary": len(corpus.counts) - 1, "corpus": len(corpus.ids)})
                context.record.add_finding("pile_unknown_share", round(corpus.unknown_share, 4))
                if placed is not None:
                    self._tell_change(corpus, placed, trained.vectors, context)
                return _Learnt(tokenizer, trained.vectors, corpus.counts, trained.buckets, self.subwords, phrases)

    @contextlib.contextmanager
    def _joined(self, corpus: Corpus, context: RunContext) -> Iterator[tuple[Corpus, NDArray[np.int32] | None]]:
        """Give the corpus with its phrases joined and their ids (P, 3); as it is where none are wanted or found."""
        if self.phrases is None:
            yield corpus, None
            return
        from nlptl.pretraining.word2vec.phrases import find_phrases, merge

        pairs = find_phrases(corpus, min_count=self.phrases.min_count, threshold=self.phrases.threshold)
        with tempfile.TemporaryDirectory(prefix="nlptl-phrases-") as folder:
            joined, phrases = merge(corpus, pairs, Path(folder))
            shown = ", ".join(joined.words[i] for i in phrases[:FREQUENT, 2].tolist())
            told = f"{len(phrases)} phrases were joined" + (f", such as {shown}." if shown else ".")
            context.record.add_finding("phrases", len(phrases), told)
            yield joined, phrases if len(phrases) else None

    def _tell_change(self, corpus: Corpus, before: FloatArray, after: FloatArray, context: RunContext) -> None:
        """Tell how many words came new and how the neighbourhoods of the old ones have changed."""
        from nlptl.pretraining.word2vec.quality import neighbourhood_change

        known = ~np.isnan(before[:, 0])
        new = int((~known[1:]).sum())
        context.record.add_finding("new_words", new, f"{known.sum()} words went on from their vectors, {new} are new.")
        rows = np.flatnonzero(known)
        rows = rows[np.argsort(-corpus.counts[rows], kind="stable")][:COMPARED]
        if len(rows) > 1:
            change = neighbourhood_change(corpus.words, before, after, rows)
            context.record.add_finding("neighbourhoods", dataclasses.asdict(change), change.sentence())

    def _train(self, corpus: Corpus, start: FloatArray | None, context: RunContext) -> Trained:
        from nlptl.pretraining.word2vec.engine_choice import choose_engine
        from nlptl.pretraining.word2vec.engines import Trained, initial_vectors

        task = self._task(corpus, start, context)
        if task.epochs == 0:
            return Trained(vectors=initial_vectors(len(corpus.counts), task, start), kept_words=0)
        name, engine = choose_engine(
            self.engine, device=context.device, subwords=task.spelling is not None, deterministic=task.deterministic
        )
        context.record.add_finding("engine", name)
        with context.progress.task("skip-gram", total=task.epochs * len(corpus.ids), unit="words") as progress:
            trained = engine(corpus, task, start=start, watch=self._watch(corpus, task, progress, context))
        context.record.add_finding("kept_words", trained.kept_words)
        context.record.add_finding("train_seconds", round(trained.train_seconds, 3))
        context.record.add_finding("compile_seconds", round(trained.compile_seconds, 3))
        trained.vectors[0] = 0.0
        return trained

    def _task(self, corpus: Corpus, start: FloatArray | None, context: RunContext) -> SkipGramTask:
        from nlptl.pretraining.word2vec.engines import SkipGramTask

        dim = (self.dim or DIM) if start is None else start.shape[1]
        task = SkipGramTask(
            dim=dim, window=self.window, negatives=self.negatives, subsample=self.subsample,
            epochs=self._epochs(len(corpus.ids)), learning_rate=self.learning_rate, seed=context.seed,
            deterministic=self.deterministic, spelling=self.subwords,
        )  # fmt: skip
        context.record.add_finding("epochs", task.epochs)
        context.record.trainable_parameters = (len(corpus.counts) - 1) * dim if task.epochs else 0
        return task

    def _watch(self, corpus: Corpus, task: SkipGramTask, progress: Task, context: RunContext) -> Watch:
        """Return what tells losses and keeps checkpoints; the losses of a killed run's epochs come back with them."""
        from nlptl.pretraining.word2vec.engines import Watch
        from nlptl.pretraining.word2vec.quality import SampledLoss

        measure = SampledLoss(corpus, window=self.window, negatives=self.negatives, seed=context.seed)
        losses: list[float | None] = []
        notes = {"losses": losses}

        def after_epoch(epoch: int, vectors: FloatArray, contexts: FloatArray) -> None:
            for passed in range(len(context.record.history), epoch - 1):  # of the run that was killed
                context.record.row(epoch=passed + 1, **_loss_row(notes["losses"][passed]))
            notes["losses"].append(measure(vectors, contexts))
            context.record.row(epoch=epoch, **_loss_row(notes["losses"][-1]))
            told = "" if notes["losses"][-1] is None else f", loss {notes['losses'][-1]:.3f}"
            progress.advance(0, f"epoch {epoch}/{task.epochs}{told}")

        return Watch(
            advance=progress.advance, after_epoch=after_epoch, checkpoints=context.checkpoints("skip-gram"), notes=notes
        )

    def _epochs(self, words: int) -> int:
        if isinstance(self.epochs, int):
            return self.epochs
        return max(5, min(100, -(-AUTO_WORDS // max(1, words))))

    def _imported(self) -> tuple[list[str], FloatArray]:
        from nlptl.models.word_vector_files.reading import read_vectors

        assert self.vectors is not None
        return read_vectors(Path(self.vectors))

    def _as_they_are(self) -> _Learnt:
        from nlptl.models.word_vector_files.reading import read_counts
        from nlptl.pretraining.word2vec.tokenizer import UNKNOWN, set_vocabulary, untrained_tokenizer

        assert self.vectors is not None
        words, vectors = self._imported()
        tokenizer = untrained_tokenizer(self.text)
        known = [index for index, word in enumerate(words) if word != UNKNOWN]
        words = [UNKNOWN, *(words[index] for index in known)]
        set_vocabulary(tokenizer, words)
        table = np.vstack([np.zeros((1, vectors.shape[1]), np.float32), vectors[known]])
        counted = read_counts(Path(self.vectors))
        # Files are sorted by frequency and most carry no counts: Zipf's law stands in for them.
        counts = np.concatenate([[0], np.maximum(1, 10_000_000 // np.arange(1, len(table)))]).astype(np.int64)
        if counted is not None:
            counts = np.array([counted.get(word, 0) for word in words], np.int64)
        return _Learnt(tokenizer, table, counts)

    def _tell_neighbours(self, learnt: _Learnt, context: RunContext) -> None:
        from nlptl.models.neighbours import nearest
        from nlptl.pretraining.word2vec.quality import frequent_words
        from nlptl.pretraining.word2vec.tokenizer import vocabulary_of

        words = vocabulary_of(learnt.tokenizer)
        telling = frequent_words(words, learnt.counts, most=FREQUENT)
        neighbours = {words[i]: nearest(words, learnt.vectors, i, count=5) for i in telling}
        told = "; ".join(f"{word}: {', '.join(near for near, _ in found)}" for word, found in neighbours.items())
        context.record.add_finding("neighbours", neighbours, f"Nearest neighbours — {told}." if told else "")


@dataclasses.dataclass(frozen=True)
class _Learnt:
    """What becomes an encoder."""

    tokenizer: Tokenizer
    vectors: FloatArray
    """(V, D)."""
    counts: NDArray[np.int64]
    """(V,)."""
    buckets: Buckets | None = None
    spelling: Spelling | None = None
    phrases: NDArray[np.int32] | None = None
    """(P, 3) ids of two words and of both together."""


def _loss_row(loss: float | None) -> dict[str, float]:
    return {} if loss is None else {"loss": round(loss, 6)}


def _encoder(learnt: _Learnt) -> Encoder:
    import torch

    from nlptl.models.encoder import Encoder
    from nlptl.models.pooling import Pooling
    from nlptl.models.subwords import Subwords
    from nlptl.models.word_vectors import WordVectors

    subwords = None
    if learnt.buckets is not None and learnt.spelling is not None:
        ids, vectors = torch.from_numpy(learnt.buckets.ids), torch.from_numpy(learnt.buckets.vectors)
        subwords = Subwords(learnt.spelling, ids, vectors)
    table = WordVectors(
        torch.from_numpy(np.ascontiguousarray(learnt.vectors)), torch.from_numpy(np.array(learnt.counts)),
        subwords=subwords, phrases=None if learnt.phrases is None else torch.from_numpy(learnt.phrases),
    )  # fmt: skip
    return Encoder(learnt.tokenizer, table, Pooling("mean")).eval()
