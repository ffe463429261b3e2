"""The processor's engine: each step against its formula, what is drawn, repeatability, resuming, subwords."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nlptl.inference.spelling import Spelling, bucket_ids
from nlptl.models.neighbours import nearest
from nlptl.pretraining.word2vec import engines
from nlptl.pretraining.word2vec.corpus import Corpus
from nlptl.pretraining.word2vec.cpu_engine import segment_begins, train
from nlptl.pretraining.word2vec.cpu_kernels import (
    EpochParameters,
    Grams,
    SegmentedTexts,
    Tables,
    aligned_zeros,
    new_workspace,
    train_segments,
)
from nlptl.pretraining.word2vec.engines import MIN_LEARNING_RATE, Callbacks, SkipGramTask, TrainedVectors
from nlptl.pretraining.word2vec.quality import SampledLoss
from nlptl.pretraining.word2vec.sampling import Sampling, keep_probability, sampling_of
from nlptl.training.checkpoints import Checkpoints, State
from tests.pretraining.word2vec.test_engine import TASK, TEXTS, small_corpus

EVERYTHING = np.uint32(2**32 - 1)


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def tables_of(words: int, floats: int, seed: int = 0) -> Tables:
    tables = Tables(aligned_zeros(words, floats), aligned_zeros(words, floats), aligned_zeros(0, floats))
    generator = np.random.default_rng(seed)
    for table in tables[:2]:
        table[1:] = generator.normal(0, 0.3, table[1:].shape)
    return tables


def one_noise_word(words: int, noise: int) -> Sampling:
    """Return draws that keep everything and give one noise word always."""
    return Sampling(
        np.full(words, EVERYTHING), np.zeros(words, np.uint32), np.full(words, noise, np.int32)
    )  # every slot gives its alias


@pytest.mark.parametrize("floats", [16, 112])
@pytest.mark.parametrize("negatives", [1, 5, 8, 13])
def test_one_centre_is_a_gradient_step_on_the_loss(floats: int, negatives: int) -> None:
    """Two words: each is the other's only context, so both steps can be written down."""
    before = tables_of(4, floats)
    tables = Tables(*(aligned_zeros(len(table), floats) for table in before))
    for new, old in zip(tables, before, strict=True):
        new[:] = old
    rate = 0.05
    parameters = EpochParameters(
        window=1, negatives=negatives, seed=np.uint64(1), first_rate=rate, rate_a_word=0.0, least_rate=0.0
    )
    texts = SegmentedTexts(np.array([1, 2], np.int32), np.array([0, 2], np.int64))
    texts.ids.flags.writeable = False
    workspace = new_workspace(window=1, negatives=negatives, floats=floats)
    nothing = Grams(np.zeros(0, np.int32), np.zeros(1, np.int64))
    assert train_segments(texts, one_noise_word(4, 3), tables, nothing, workspace, parameters, 0, 1) == 2

    v, u = before.vectors.astype(np.float64), before.contexts.astype(np.float64)
    for centre, context in ((1, 2), (2, 1)):
        left = negatives
        first = True
        while left > 0 or first:  # six targets a step: the centre word and five noise words, then six noise words
            noise = min(left, 5 if first else 6)
            at_noise, at_centre = logistic(v[context] @ u[3]), logistic(v[context] @ u[centre])
            moved = rate * (-noise * at_noise * u[3] + first * (1 - at_centre) * u[centre])
            u[3] -= rate * noise * at_noise * v[context]
            if first:
                u[centre] += rate * (1 - at_centre) * v[context]
            v[context] += moved
            left, first = left - noise, False
    np.testing.assert_allclose(tables.vectors, v, atol=2e-6)
    np.testing.assert_allclose(tables.contexts, u, atol=2e-6)


def test_the_step_is_the_gradient_of_the_loss() -> None:
    """Finite differences of Mikolov's loss over one centre with its contexts, against the step's direction."""
    floats, rate = 16, 1e-3
    tables = tables_of(6, floats, seed=4)
    v, u = tables.vectors.astype(np.float64).copy(), tables.contexts.astype(np.float64).copy()
    parameters = EpochParameters(
        window=1, negatives=5, seed=np.uint64(1), first_rate=rate, rate_a_word=0.0, least_rate=0.0
    )
    texts = SegmentedTexts(np.array([1, 2], np.int32), np.array([0, 2], np.int64))
    texts.ids.flags.writeable = False

    def loss(v: np.ndarray, u: np.ndarray) -> float:
        pairs = [(1, 2), (2, 1)]
        return sum(np.logaddexp(0, -v[i] @ u[o]) + 5 * np.logaddexp(0, v[i] @ u[3]) for o, i in pairs)

    nothing = Grams(np.zeros(0, np.int32), np.zeros(1, np.int64))
    workspace = new_workspace(window=1, negatives=5, floats=floats)
    train_segments(texts, one_noise_word(6, 3), tables, nothing, workspace, parameters, 0, 1)
    for table, now, at in ((v, tables.vectors, (2, 5)), (u, tables.contexts, (3, 7)), (u, tables.contexts, (1, 0))):
        moved = (now[at] - table[at]) / rate
        table[at] += 1e-4
        above = loss(v, u)
        table[at] -= 2e-4
        slope = (above - loss(v, u)) / 2e-4
        table[at] += 1e-4
        assert moved == pytest.approx(-slope, rel=0.02)


def test_a_noise_word_that_is_the_centre_is_no_noise() -> None:
    floats = 16
    tables = tables_of(3, floats)
    before = tables.contexts.copy()
    texts = SegmentedTexts(np.array([1, 1], np.int32), np.array([0, 2], np.int64))
    texts.ids.flags.writeable = False
    parameters = EpochParameters(
        window=1, negatives=5, seed=np.uint64(1), first_rate=0.05, rate_a_word=0.0, least_rate=0.0
    )
    nothing = Grams(np.zeros(0, np.int32), np.zeros(1, np.int64))
    workspace = new_workspace(window=1, negatives=5, floats=floats)
    train_segments(texts, one_noise_word(3, 1), tables, nothing, workspace, parameters, 0, 1)
    assert (tables.contexts[1] - before[1]) @ tables.vectors[1] > 0  # only drawn nearer
    np.testing.assert_array_equal(tables.contexts[2], before[2])


def test_pairs_never_cross_texts() -> None:
    tables = tables_of(5, 16)
    before = tables.vectors.copy()
    texts = SegmentedTexts(np.array([1, 2, 3, 4], np.int32), np.array([0, 1, 2, 3, 4], np.int64))
    texts.ids.flags.writeable = False
    parameters = EpochParameters(
        window=5, negatives=5, seed=np.uint64(1), first_rate=0.05, rate_a_word=0.0, least_rate=0.0
    )
    nothing = Grams(np.zeros(0, np.int32), np.zeros(1, np.int64))
    workspace = new_workspace(window=5, negatives=5, floats=16)
    train_segments(texts, one_noise_word(5, 4), tables, nothing, workspace, parameters, 0, 4)
    np.testing.assert_array_equal(tables.vectors, before)


def test_noise_is_drawn_as_counts_to_the_three_quarters() -> None:
    counts = np.array([9, 1000, 500, 50, 3, 1])
    _, threshold, alias = sampling_of(counts, 0.0)
    weights = np.append(0.0, counts[1:] ** 0.75)
    below = threshold[1:] / 2**32
    share = np.zeros(6)
    np.add.at(share, np.arange(1, 6), below / 5)
    np.add.at(share, alias[1:], (1 - below) / 5)
    np.testing.assert_allclose(share, weights / weights.sum(), atol=1e-6)


def test_subsampling_keeps_what_word2vec_keeps() -> None:
    counts = np.array([7, 900, 90, 10])
    f = counts[1:] / 1000
    expected = np.minimum(1, np.sqrt(0.01 / f) + 0.01 / f)
    counts[0] = 0
    np.testing.assert_allclose(keep_probability(counts, 0.01)[1:], expected)
    assert (sampling_of(np.array([7, 900, 90, 10]), 0.0).keep == EVERYTHING).all()
    texts = [" ".join(np.random.default_rng(1).permutation(["a"] * 900 + ["b"] * 90 + ["c"] * 10))] * 20
    corpus = small_corpus(texts)
    task = SkipGramTask(dim=4, window=2, negatives=1, subsample=0.01, epochs=2, learning_rate=0.01, seed=1)
    kept = train(corpus, task, start=None, callbacks=Callbacks()).kept_words
    assert kept == pytest.approx(2 * 20 * (expected * [900, 90, 10]).sum(), rel=0.05)


def test_training_learns_and_repeats() -> None:
    corpus = small_corpus(TEXTS)
    losses: list[float] = []
    passed: list[int] = []
    measure = SampledLoss(corpus, window=4, negatives=5, seed=1)

    def add_loss(_: int, vectors: np.ndarray, contexts: np.ndarray) -> None:
        losses.append(measure(vectors, contexts))

    trained = train(corpus, TASK, start=None, callbacks=Callbacks(advance=passed.append, after_epoch=add_loss))
    again = train(corpus, TASK, start=None, callbacks=Callbacks()).vectors
    np.testing.assert_array_equal(trained.vectors, again)
    assert sum(passed) == 15 * len(corpus.ids)
    assert trained.kept_words == 15 * len(corpus.ids)
    assert losses[-1] < losses[0] < 6 * np.log(2)
    assert not trained.vectors[0].any()
    names = ["[UNK]", *sorted({word for text in TEXTS for word in text.split()})]
    assert {word for word, _ in nearest(names, trained.vectors, names.index("cat"), count=3)} == {"dog", "pet", "fur"}


def test_threads_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MIN_THREADED_WORDS", 0)
    corpus = small_corpus(TEXTS * 20)
    passed: list[int] = []
    task = SkipGramTask(dim=12, window=4, negatives=5, subsample=0, epochs=3, learning_rate=0.05, seed=3, threads=3)
    trained = train(corpus, task, start=None, callbacks=Callbacks(advance=passed.append))
    assert sum(passed) == 3 * len(corpus.ids)
    names = ["[UNK]", *sorted({word for text in TEXTS for word in text.split()})]
    assert {word for word, _ in nearest(names, trained.vectors, names.index("cat"), count=3)} == {"dog", "pet", "fur"}


def test_a_fault_in_a_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MIN_THREADED_WORDS", 0)

    def fail(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(small_corpus(TEXTS * 20), TASK, start=None, callbacks=Callbacks(advance=fail))


@pytest.mark.parametrize("spelling", [None, Spelling(buckets=50)])
def test_a_resumed_training_ends_with_the_same_bits(tmp_path: Path, spelling: Spelling | None) -> None:
    corpus = small_corpus(TEXTS)
    task = SkipGramTask(
        dim=12, window=4, negatives=5, subsample=1e-2, epochs=6, learning_rate=0.05, seed=3, deterministic=True,
        spelling=spelling,
    )  # fmt: skip
    whole = train(corpus, task, start=None, callbacks=Callbacks())

    def stop(epoch: int, *_: object) -> None:
        notes["seen"].append(epoch)
        if epoch == 4:
            raise KeyboardInterrupt

    notes: dict[str, list[int]] = {"seen": []}
    kept = Checkpoints(tmp_path / "c", identity="x", every_steps=1)
    with pytest.raises(KeyboardInterrupt):
        train(corpus, task, start=None, callbacks=Callbacks(after_epoch=stop, checkpoints=kept, notes=notes))
    epochs: list[int] = []
    after: dict[str, list[int]] = {}
    passed: list[int] = []
    callbacks = Callbacks(
        advance=passed.append, after_epoch=lambda epoch, *_: epochs.append(epoch),
        checkpoints=Checkpoints(tmp_path / "c", identity="x", every_steps=1), notes=after,
    )  # fmt: skip
    resumed = train(corpus, task, start=None, callbacks=callbacks)
    assert epochs == [4, 5, 6]
    assert after["seen"] == [1, 2, 3]
    assert sum(passed) == 6 * len(corpus.ids)
    assert resumed.kept_words == whole.kept_words
    np.testing.assert_array_equal(resumed.vectors, whole.vectors)
    if spelling is not None:
        np.testing.assert_array_equal(resumed.buckets.vectors, whole.buckets.vectors)


@pytest.mark.parametrize("spelling", [None, Spelling(buckets=50)])
def test_a_training_killed_within_epochs_ends_with_the_same_bits(tmp_path: Path, spelling: Spelling | None) -> None:
    corpus = small_corpus(TEXTS)
    task = SkipGramTask(
        dim=12, window=4, negatives=5, subsample=1e-2, epochs=2, learning_rate=0.05, seed=3, deterministic=True,
        spelling=spelling,
    )  # fmt: skip
    whole = train(corpus, task, start=None, callbacks=Callbacks())
    generator = np.random.default_rng(7)

    def run(*, lives: int | None) -> tuple[TrainedVectors | None, list[int], int]:
        """Train from the newest checkpoint until `lives` blocks are done."""
        passed: list[int] = []

        def advance(words: int) -> None:
            passed.append(words)
            if lives is not None and len(passed) > lives:
                raise KeyboardInterrupt

        epochs: list[int] = []
        callbacks = Callbacks(
            advance=advance, after_epoch=lambda epoch, *_: epochs.append(epoch),
            checkpoints=Checkpoints(tmp_path / "c", identity="x", every_steps=1),
        )  # fmt: skip
        with contextlib.suppress(KeyboardInterrupt):
            return train(corpus, task, start=None, callbacks=callbacks), epochs, sum(passed)
        return None, epochs, passed[0]

    begun = []
    for _ in range(6):
        _, _, before = run(lives=int(generator.integers(1, 5)))
        begun.append(before)
    assert begun == sorted(begun)
    assert 0 < begun[-1] % len(corpus.ids), "it goes on within an epoch"
    resumed, epochs, passed = run(lives=None)
    assert passed == 2 * len(corpus.ids)
    assert epochs[-1] == 2
    assert resumed.kept_words == whole.kept_words
    np.testing.assert_array_equal(resumed.vectors, whole.vectors)
    if spelling is not None:
        np.testing.assert_array_equal(resumed.buckets.vectors, whole.buckets.vectors)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_checkpoint_is_of_words_that_were_all_passed(
    threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MIN_THREADED_WORDS", 0)
    monkeypatch.setattr("nlptl.training.checkpoints.EVERY_SECONDS", 0.0)
    corpus = small_corpus(TEXTS)
    task = SkipGramTask(
        dim=12, window=4, negatives=5, subsample=0, epochs=1, learning_rate=0.05, seed=3, threads=threads
    )
    passed, found = [0], []

    class Kept(Checkpoints):
        def keep(self, step: int, state: Callable[[], State], *, last: bool = False) -> None:
            super().keep(step, state, last=last)
            segment = self.newest()[1]["segment"]
            found.append((step, int(corpus.offsets[segment])))
            assert sum(passed) == self.newest()[1]["kept_words"] == corpus.offsets[segment]

    callbacks = Callbacks(advance=passed.append, checkpoints=Kept(tmp_path / "c", identity="x"))
    train(corpus, task, start=None, callbacks=callbacks)
    assert len(found) > 5
    assert found == sorted(set(found))
    assert sum(passed) == len(corpus.ids)


def test_training_goes_on_from_given_vectors() -> None:
    corpus = small_corpus(TEXTS)
    start = np.full((len(corpus.counts), 12), np.nan, np.float32)
    start[2] = 0.5
    for spelling in (None, Spelling(buckets=100)):
        task = SkipGramTask(
            dim=12,
            window=4,
            negatives=5,
            subsample=0,
            epochs=1,
            learning_rate=MIN_LEARNING_RATE,
            seed=3,
            spelling=spelling,
        )
        trained = train(corpus, task, start=start, callbacks=Callbacks()).vectors
        np.testing.assert_allclose(trained[2], 0.5, atol=5e-3)
        assert np.abs(trained[1]).max() < 0.2


def test_a_word_is_the_mean_of_itself_and_its_n_grams() -> None:
    corpus = small_corpus(TEXTS)
    spelling = Spelling(min=2, max=4, buckets=1000)
    task = SkipGramTask(
        dim=12, window=4, negatives=5, subsample=0, epochs=2, learning_rate=0.05, seed=3, spelling=spelling
    )
    trained = train(corpus, task, start=None, callbacks=Callbacks())
    ids, begins = bucket_ids(corpus.words[1:], spelling)
    assert trained.buckets.ids.tolist() == sorted(set(ids.tolist()))
    assert np.isfinite(trained.buckets.vectors).all()
    row = dict(zip(trained.buckets.ids.tolist(), trained.buckets.vectors, strict=True))
    grams = np.array([row[i] for i in ids[begins[0] : begins[1]].tolist()])
    own = trained.vectors[1] * (len(grams) + 1) - grams.sum(axis=0)
    assert np.isfinite(own).all()
    assert 0 < np.abs(own).max() < 2


def test_long_texts_are_cut_into_segments() -> None:
    assert segment_begins(np.array([0, 4, 4, 15]), max_words=5).tolist() == [0, 4, 4, 9, 14, 15]
    assert segment_begins(np.array([0, 4, 4]), max_words=5).tolist() == [0, 4, 4]
    assert segment_begins(np.array([0, 10]), max_words=5).tolist() == [0, 5, 10]


def test_an_empty_corpus_trains_nothing() -> None:
    corpus = Corpus(np.zeros(0, np.int32), np.zeros(1, np.int64), np.array([0, 3, 2]), ("[UNK]", "a", "b"))
    assert train(corpus, TASK, start=None, callbacks=Callbacks()).kept_words == 0
