"""Word vectors by skip-gram with negative sampling, learnt on a pile or read from a file: an encoder.

Shapes: V words, D dimension.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import digest_of
from nlptl.context import RunContext
from nlptl.input_paths import PACKAGED_VECTORS
from nlptl.models.word_vector_files.packaged import PACKAGES
from nlptl.models.word_vector_files.reading import placed_vectors
from nlptl.pretraining.word2vec.corpus import Corpus, corpus_of
from nlptl.pretraining.word2vec.engine_choice import choose_engine
from nlptl.pretraining.word2vec.engines import FloatArray, SkipGramTask, TrainedVectors, initial_vectors
from nlptl.pretraining.word2vec.skip_gram_settings import SkipGramSettings
from nlptl.pretraining.word2vec.tokenizer import set_vocabulary, untrained_tokenizer, vocabulary_of

if TYPE_CHECKING:
    from nlptl.models.encoder import Encoder
    from nlptl.models.origin import Origin
    from nlptl.models.word_vector_files.reading import VectorFile
    from nlptl.pretraining.word2vec.vector_encoder import VocabularyVectors

DEFAULT_DIM = 100
AUTO_WORDS = 5_000_000  # words to train on under `epochs: auto`
SHOWN_PHRASES = 5


def word_vector_encoder(
    settings: SkipGramSettings, pile: Iterable[Any], context: RunContext, *, where: str, name: str = "pile"
) -> Encoder:
    """Return an Encoder (mean pooling) of word vectors that are learnt on a pile, or read from a file.

    `pile` yields Arrow arrays of texts and is not read where nothing trains; errors call it `name`. DataError if it has under
    two frequent words.
    """
    from nlptl.pretraining.word2vec.findings import add_neighbours
    from nlptl.pretraining.word2vec.vector_encoder import vectors_from_file

    if settings.vectors is not None and not settings.continue_training:
        learnt = vectors_from_file(settings.vectors, settings.text, context.record)
    else:
        learnt = _learn(settings, pile, context, where=f"{where}: {name}")
    add_neighbours(vocabulary_of(learnt.tokenizer), learnt.vectors, learnt.counts, context.record)
    encoder = learnt.encoder()
    encoder.token_model.origin = _origin(settings)
    return encoder


def _origin(settings: SkipGramSettings) -> Origin:
    """Return where the vectors come from."""
    from nlptl.models.origin import MAX_TEXT, OWN, Origin, package_origin

    if settings.vectors is None:
        return OWN
    digest = digest_of(settings.vector_digests())
    if settings.vectors in PACKAGED_VECTORS:
        return package_origin(settings.vectors, PACKAGES[settings.vectors].module, digest=digest)
    return Origin(name=Path(settings.vectors).name[:MAX_TEXT], digest=digest)


def _learn(settings: SkipGramSettings, pile: Iterable[Any], context: RunContext, *, where: str) -> VocabularyVectors:
    from nlptl.pretraining.word2vec.findings import add_change
    from nlptl.pretraining.word2vec.vector_encoder import VocabularyVectors

    given = None if settings.vectors is None else _given(settings, settings.vectors, context)
    words, vectors = ([], None) if given is None else (given.words, given.vectors)
    tokenizer = untrained_tokenizer(settings.text)
    with contextlib.ExitStack() as files:
        corpus = files.enter_context(corpus_of(tokenizer, pile, min_count=settings.min_count, known_words=words))
        what = "ppmi" if settings.engine == "ppmi" else "skip-gram"
        corpus.check_words(min_count=settings.min_count, what=what, where=where)
        phrases: NDArray[np.int32] | None = None
        if settings.phrases is not None:
            from nlptl.pretraining.word2vec.phrases import joined_phrases

            corpus, phrases = joined_phrases(corpus, **settings.phrases.model_dump())
            shown = ", ".join(corpus.words[i] for i in phrases[:SHOWN_PHRASES, 2].tolist())
            told = f"{len(phrases)} phrases were joined" + (f", such as {shown}." if shown else ".")
            context.record.add_finding("phrases", len(phrases), told)
            phrases = phrases if len(phrases) else None
        set_vocabulary(tokenizer, corpus.words)
        start = None if vectors is None else placed_vectors(corpus.words, words, vectors)
        trained = _train(settings, corpus, start, context)
        context.record.add_finding("words", {"vocabulary": len(corpus.counts) - 1, "corpus": len(corpus.ids)})
        context.record.add_finding("pile_unknown_share", round(corpus.unknown_share, 4))
        if start is not None:
            add_change(corpus, start, trained.vectors, context.record)
        return VocabularyVectors(tokenizer, trained.vectors, corpus.counts, trained.buckets, settings.subwords, phrases)


def _given(settings: SkipGramSettings, path: str, context: RunContext) -> VectorFile:
    """Read the vectors to continue from."""
    from nlptl.pretraining.word2vec.given_vectors import given_vectors

    given = given_vectors(path, settings.text, context.record)
    if given.buckets is not None:
        context.record.warn(
            f"{path}: training continues from the words of this fastText model and not from its n-grams; "
            "skipgram.subwords gives new ones."
        )
    return given


def _train(settings: SkipGramSettings, corpus: Corpus, start: FloatArray | None, context: RunContext) -> TrainedVectors:
    from nlptl.pretraining.word2vec.findings import recording_callbacks

    record, dim = context.record, (settings.dim or DEFAULT_DIM) if start is None else start.shape[1]
    auto = max(5, min(100, -(-AUTO_WORDS // max(1, len(corpus.ids)))))
    auto = 1 if settings.engine == "ppmi" else auto
    epochs = auto if settings.epochs == "auto" else settings.epochs
    record.add_finding("epochs", epochs)
    record.trainable_parameters = (len(corpus.counts) - 1) * dim if epochs else 0
    task = SkipGramTask(
        dim=dim, window=settings.window, negatives=settings.negatives, subsample=settings.subsample, epochs=epochs,
        learning_rate=settings.learning_rate, seed=context.seed, deterministic=settings.deterministic,
        spelling=settings.subwords, smoothing=settings.smoothing,
    )  # fmt: skip
    if epochs == 0:
        return TrainedVectors(vectors=initial_vectors(len(corpus.counts), task, start), kept_words=0)
    name, engine = choose_engine(
        settings.engine, device=context.device, subwords=task.spelling is not None, deterministic=task.deterministic
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
