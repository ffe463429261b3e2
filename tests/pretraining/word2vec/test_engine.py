"""Engine and loss: repeatability, that training learns, and the gradient's sign."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import gensim.models
import numpy as np
import pytest

from nlptl.models.neighbours import nearest
from nlptl.pretraining.word2vec import engines, gensim_engine
from nlptl.pretraining.word2vec.corpus import Corpus, available_cores, corpus_of
from nlptl.pretraining.word2vec.engines import Callbacks, SkipGramTask, initial_vectors
from nlptl.pretraining.word2vec.gensim_engine import train
from nlptl.pretraining.word2vec.quality import SampledLoss
from nlptl.pretraining.word2vec.tokenizer import TextSettings, untrained_tokenizer

TEXTS = [("cat dog pet fur " * 6).strip() if i % 2 else ("car road wheel fuel " * 6).strip() for i in range(60)]
TASK = SkipGramTask(dim=12, window=4, negatives=5, subsample=0, epochs=15, learning_rate=0.05, seed=3)


def small_corpus(texts: list[str], min_count: int = 1) -> Corpus:
    tokenizer = untrained_tokenizer(TextSettings())
    with corpus_of(tokenizer, [texts], min_count=min_count) as corpus:
        return Corpus(np.array(corpus.ids), corpus.offsets, corpus.counts, corpus.words)


def test_training_repeats_and_learns() -> None:
    corpus = small_corpus(TEXTS)
    losses: list[float] = []
    measure = SampledLoss(corpus, window=4, negatives=5, seed=1)

    def add_loss(_: int, vectors: np.ndarray, contexts: np.ndarray) -> None:
        losses.append(measure(vectors, contexts))

    first = train(corpus, TASK, start=None, callbacks=Callbacks(after_epoch=add_loss)).vectors
    second = train(corpus, TASK, start=None, callbacks=Callbacks()).vectors
    np.testing.assert_array_equal(first, second)
    assert len(losses) == 15
    assert losses[-1] < losses[0]
    assert not first[0].any()
    names = ["[UNK]", *sorted({word for text in TEXTS for word in text.split()})]
    cat = names.index("cat")
    assert {word for word, _ in nearest(names, first, cat, count=3)} == {"dog", "pet", "fur"}


def test_training_goes_on_from_given_vectors() -> None:
    corpus = small_corpus(TEXTS)
    start = np.full((len(corpus.counts), 12), np.nan, np.float32)
    start[2] = 5.0
    task = SkipGramTask(dim=12, window=4, negatives=5, subsample=0, epochs=1, learning_rate=1e-6, seed=3)
    trained = train(corpus, task, start=start, callbacks=Callbacks()).vectors
    np.testing.assert_allclose(trained[2], 5.0, atol=1e-3)
    np.testing.assert_allclose(trained[1], initial_vectors(len(corpus.counts), task)[1], atol=1e-3)


def test_initial_vectors_are_those_of_word2vec() -> None:
    vectors = initial_vectors(500, TASK)
    assert not vectors[0].any()
    assert np.abs(vectors).max() <= 0.5 / 12
    assert vectors[1:].std() == pytest.approx(1 / 12 / np.sqrt(12), rel=0.05)


def test_sampled_loss_is_its_definition() -> None:
    corpus = small_corpus(TEXTS)
    measure = SampledLoss(corpus, window=2, negatives=3, seed=5, pairs=50)
    zero = np.zeros((len(corpus.counts), 4), np.float32)
    assert measure(zero, zero) == pytest.approx(4 * np.log(2))
    generator = np.random.default_rng(0)
    v, u = generator.normal(size=(2, len(corpus.counts), 4)).astype(np.float32)

    def sigmoid(x: float) -> float:
        return float(1 / (1 + np.exp(-x)))

    total = 0.0
    for centre, context, noise in zip(measure._centres, measure._contexts, measure._negatives, strict=True):
        total -= np.log(sigmoid(v[centre] @ u[context])) + sum(np.log(sigmoid(-v[centre] @ u[n])) for n in noise)
    assert measure(v, u) == pytest.approx(total / len(measure._centres), rel=1e-5)


def test_gensim_takes_the_cores_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MIN_THREADED_WORDS", 0)
    monkeypatch.setattr(gensim_engine, "available_cores", lambda: 3)
    workers: list[int] = []

    class Model(gensim.models.Word2Vec):
        def __init__(self, **options: Any) -> None:
            workers.append(options["workers"])
            super().__init__(**options)

    monkeypatch.setattr(gensim.models, "Word2Vec", Model)
    train(small_corpus(TEXTS), dataclasses.replace(TASK, epochs=1), start=None, callbacks=Callbacks())
    assert workers == [3]


def test_cores_of_other_processes_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {4, 7}, raising=False)
    assert available_cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    assert available_cores() == os.cpu_count()
