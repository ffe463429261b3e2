"""The GPU engine at work: run by test_gpu_engine.py in processes of their own, in Triton's interpreter and on a GPU.

The interpreter is chosen when the kernels are imported, which is why these do not stand among the other tests.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import triton.language as tl

from nlptl.pretraining.word2vec import gpu_engine
from nlptl.pretraining.word2vec.corpus import Corpus
from nlptl.pretraining.word2vec.engines import Callbacks, FloatArray, SkipGramTask, initial_vectors
from nlptl.pretraining.word2vec.gpu_engine import _GpuTraining, noise_table, train
from nlptl.pretraining.word2vec.gpu_kernels import INTERPRETED, train_segments
from nlptl.pretraining.word2vec.gpu_tuning import Tile, Tuning
from nlptl.pretraining.word2vec.quality import SampledLoss
from nlptl.pretraining.word2vec.sampling import keep_probability
from nlptl.training.checkpoints import Checkpoints
from tests.pretraining.word2vec import gpu_reference

DEVICE = "cpu" if INTERPRETED else "cuda"
HALF = tl.float16 if INTERPRETED else tl.bfloat16
TASK = SkipGramTask(dim=12, window=2, negatives=5, subsample=0, epochs=2, learning_rate=0.1, seed=3)


def corpus_of(texts: list[np.ndarray], words: int) -> Corpus:
    ids = np.concatenate(texts).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])])
    return Corpus(ids, offsets.astype(np.int64), np.bincount(ids, minlength=words).astype(np.int64))


def two_clusters(texts: int, length: int = 24, size: int = 4) -> Corpus:
    """Return texts of words 1..size and, in turn, of words size + 1..2 size."""
    generator = np.random.default_rng(0)
    return corpus_of([generator.integers(1, size + 1, length) + size * (i % 2) for i in range(texts)], 2 * size + 1)


@pytest.mark.parametrize(
    ("tile", "window", "operand", "tolerance"),
    [
        (Tile(centres=16, slots=16, contexts=32, noise=16, block=32, warps=4), 5, tl.float32, 1e-5),
        (Tile(centres=3, slots=16, contexts=16, noise=32, block=16, warps=4), 4, tl.float32, 1e-5),
        # Triton's interpreter multiplies bfloat16 as if it were whole numbers.
        (Tile(centres=16, slots=16, contexts=32, noise=16, block=32, warps=4), 5, HALF, 2e-2),
    ],
)
def test_a_step_is_that_of_the_reference(tile: Tile, window: int, operand: object, tolerance: float) -> None:
    generator = np.random.default_rng(1)
    corpus = corpus_of([generator.integers(1, 12, length) for length in (9, 1, 13)], 12)
    texts = np.repeat(np.arange(3), np.diff(corpus.offsets)).astype(np.int32)
    tables = generator.normal(size=(2, 12, 24)).astype(np.float32)
    aliases, cuts = noise_table(corpus.counts.astype(np.float64) ** 0.75)
    inputs, outputs = (torch.from_numpy(table.copy()).to(DEVICE) for table in tables)
    expected = tables.astype(np.float64)
    caps = np.where(np.arange(12) % 3 == 0, 0.02, 1.0).astype(np.float32)
    moved = [torch.from_numpy(a).to(DEVICE) for a in (corpus.ids, texts, aliases, cuts, caps)]
    for number in range(-(-len(corpus.ids) // tile.centres)):
        train_segments[(1,)](
            inputs, outputs, *moved, len(corpus.ids), number, 1, 0.05, -0.001, 77, 12,
            WIDTH=24, WINDOW=window, NEGATIVES=5, CENTRES=tile.centres, SLOTS=tile.slots, CONTEXTS=tile.contexts,
            NOISE=tile.noise, BLOCK=tile.block, OPERAND=operand, num_stages=1, enable_fp_fusion=True,
        )  # fmt: skip
        drawn = gpu_reference.draws(corpus.ids, texts, aliases, cuts, number=number, key=77, window=window, tile=tile)
        assert 0 not in drawn.noise
        rates = np.minimum(caps, 0.05 - 0.001 * number * tile.centres)[:, None]
        expected = expected + rates * np.stack(gpu_reference.slopes(*expected, drawn, 5))
        np.testing.assert_allclose(inputs.cpu(), expected[0], atol=tolerance)
        np.testing.assert_allclose(outputs.cpu(), expected[1], atol=tolerance)


def test_training_learns_which_words_stand_together() -> None:
    corpus = two_clusters(8)
    task = dataclasses.replace(TASK, epochs=3, window=4, learning_rate=0.05)
    losses: list[float | None] = []
    words: list[int] = []
    measure = SampledLoss(corpus, window=4, negatives=5, seed=1)
    callbacks = Callbacks(after_epoch=lambda _, v, u: losses.append(measure(v, u)), advance=words.append)
    trained = train(corpus, task, start=None, callbacks=callbacks)
    assert losses[-1] < losses[0] < 6 * np.log(2)
    assert (trained.kept_words, sum(words)) == (3 * 192, 3 * 192)
    assert trained.vectors.shape == (9, 12)
    assert trained.vectors.dtype == np.float32
    assert not trained.vectors[0].any()
    directions = trained.vectors[1:] / np.linalg.norm(trained.vectors[1:], axis=1, keepdims=True)
    cosines = directions @ directions.T
    assert min(cosines[:4, :4].min(), cosines[4:, 4:].min()) > cosines[:4, 4:].max()


def test_pairs_do_not_cross_texts() -> None:
    corpus = corpus_of([np.array([1 + i % 5]) for i in range(20)], 6)
    trained = train(corpus, TASK, start=None, callbacks=Callbacks())
    np.testing.assert_array_equal(trained.vectors, initial_vectors(6, TASK))
    assert trained.kept_words == 40


def test_a_corpus_without_words_leaves_the_first_vectors() -> None:
    corpus = Corpus(np.zeros(0, np.int32), np.zeros(3, np.int64), np.array([7, 0, 0]))
    trained = train(corpus, TASK, start=None, callbacks=Callbacks())
    np.testing.assert_array_equal(trained.vectors, initial_vectors(3, TASK))
    assert trained.kept_words == 0


def test_training_goes_on_from_given_vectors() -> None:
    corpus = two_clusters(2)
    start = np.full((9, 12), np.nan, np.float32)
    start[2] = 5.0
    given = start.copy()
    task = dataclasses.replace(TASK, epochs=1, learning_rate=1e-6)
    trained = train(corpus, task, start=start, callbacks=Callbacks())
    np.testing.assert_allclose(trained.vectors[2], 5.0, atol=1e-3)
    np.testing.assert_allclose(trained.vectors[1], initial_vectors(9, task)[1], atol=1e-3)
    np.testing.assert_array_equal(start, given)


class _Killed(Exception):
    """Stands for a kill."""


def test_a_killed_training_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    corpus = two_clusters(2)
    task = dataclasses.replace(TASK, subsample=0.2, epochs=3)
    whole = train(corpus, task, start=None, callbacks=Callbacks())

    def die(epoch: int, vectors: FloatArray, contexts: FloatArray) -> None:
        if epoch == 2:
            raise _Killed

    checkpoints = Checkpoints(tmp_path, "here", every_steps=1)
    with pytest.raises(_Killed):
        train(corpus, task, start=None, callbacks=Callbacks(after_epoch=die, checkpoints=checkpoints))
    epochs: list[int] = []
    words: list[int] = []
    callbacks = Callbacks(
        after_epoch=lambda epoch, *_: epochs.append(epoch), checkpoints=checkpoints, advance=words.append
    )
    resumed = train(corpus, task, start=None, callbacks=callbacks)
    assert epochs == [2, 3]
    assert (words[0], sum(words)) == (48, 3 * 48)
    np.testing.assert_allclose(resumed.vectors, whole.vectors, atol=0 if INTERPRETED else 1e-5)
    again = train(corpus, task, start=None, callbacks=callbacks)
    np.testing.assert_array_equal(again.vectors, resumed.vectors)
    assert (again.kept_words, epochs) == (whole.kept_words, [2, 3])


def test_a_training_killed_within_an_epoch_goes_on_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_engine, "SHARD_WORDS", 16)  # 48 words: three shards an epoch
    corpus = two_clusters(2)
    task = dataclasses.replace(TASK, subsample=0.2, epochs=2)
    whole = train(corpus, task, start=None, callbacks=Callbacks())
    checkpoints = Checkpoints(tmp_path, "here", every_steps=1)
    passed = [0]

    def die(words: int) -> None:
        passed.append(words)
        if sum(passed) > 48 + 32:
            raise _Killed

    with pytest.raises(_Killed):
        train(corpus, task, start=None, callbacks=Callbacks(advance=die, checkpoints=checkpoints))
    words: list[int] = []
    resumed = train(corpus, task, start=None, callbacks=Callbacks(advance=words.append, checkpoints=checkpoints))
    assert (words[0], sum(words)) == (48 + 32, 2 * 48)
    np.testing.assert_allclose(resumed.vectors, whole.vectors, atol=0 if INTERPRETED else 1e-5)
    assert resumed.kept_words == whole.kept_words


def test_a_checkpoint_of_another_engine_is_not_taken_up(tmp_path: Path) -> None:
    corpus = two_clusters(2)
    checkpoints = Checkpoints(tmp_path, "here", every_steps=1)
    checkpoints.keep(1, lambda: ({"vectors": torch.zeros(1)}, {"engine": "cpu"}), last=True)
    task = dataclasses.replace(TASK, epochs=0)
    trained = train(corpus, task, start=None, callbacks=Callbacks(checkpoints=checkpoints))
    np.testing.assert_array_equal(trained.vectors, initial_vectors(9, task))


def test_subsampling_keeps_each_word_at_its_rate() -> None:
    generator = np.random.default_rng(2)
    corpus = corpus_of([generator.choice(4, 200_000, p=[0, 0.8, 0.15, 0.05])], 4)
    run = _GpuTraining(corpus, dataclasses.replace(TASK, subsample=0.01), None, Tuning())
    words, texts = run._subsampled(0, seed=5)
    again, _ = run._subsampled(0, seed=5)
    assert torch.equal(words, again)
    assert len(words) == len(texts)
    kept = np.bincount(words.cpu(), minlength=4)[1:]
    expected = keep_probability(corpus.counts, 0.01)[1:]
    noise = np.sqrt(corpus.counts[1:] * expected * (1 - expected))
    assert np.all(np.abs(kept - corpus.counts[1:] * expected) < 5 * noise)
