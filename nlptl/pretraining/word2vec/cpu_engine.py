"""CPU engine: skip-gram on all cores, with subwords if wanted.

Shapes: V words, D dimension (padded to 16 in training), P segments of text, S buckets of n-grams in use.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlptl.inference.spelling import Spelling, bucket_ids
from nlptl.pretraining.word2vec import cpu_kernels as kernels
from nlptl.pretraining.word2vec import engines
from nlptl.pretraining.word2vec.corpus import Corpus, available_cores, blocks
from nlptl.pretraining.word2vec.engines import Buckets, Callbacks, FloatArray, SkipGramTask, TrainedVectors
from nlptl.pretraining.word2vec.sampling import sampling_of
from nlptl.pretraining.word2vec.simd import ROW_FLOATS

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_WORDS = 50_000  # words that a thread takes at once
QUEUED = 2  # blocks of a thread that are handed out: it never waits, and a checkpoint waits for few


def train(corpus: Corpus, task: SkipGramTask, *, start: FloatArray | None, callbacks: Callbacks) -> TrainedVectors:
    """Train on this machine's cores; see Engine.

    With `deterministic`, or below a million words, one thread passes over the corpus in order. It gives the same bits on
    every run on the same machine, even after a kill. Otherwise threads race, and runs differ a little. Checkpoints are
    written between blocks of words, so a kill loses about a minute of training at most.
    """
    compile_seconds = compile_kernels()
    training = _CpuTraining(corpus, task, start)
    one = task.deterministic or len(corpus.ids) < engines.MIN_THREADED_WORDS
    threads = 1 if one else task.threads or available_cores()
    resumed = callbacks.resume("cpu", training.tensors)
    done, segment, kept, seconds = (
        resumed.get("epochs", 0),
        resumed.get("segment", 0),
        resumed.get("kept_words", 0),
        0.0,
    )
    callbacks.advance(done * len(corpus.ids) + training.words_before(segment))
    for epoch in range(done, task.epochs):
        begin = time.monotonic()
        kept = training.train_epoch(epoch, threads, callbacks, segment=segment, kept=kept)
        segment = 0
        seconds += time.monotonic() - begin
        if callbacks.after_epoch is not None:
            callbacks.after_epoch(epoch + 1, training.vectors(), training.contexts())
        if epoch + 1 < task.epochs:
            counters = {"engine": "cpu", "epochs": epoch + 1, "segment": 0, "kept_words": kept}
            callbacks.keep((epoch + 1) * training.block_count(threads), training.tensors, partial(dict, counters))
    vectors = np.ascontiguousarray(training.vectors())
    return TrainedVectors(vectors, kept, training.buckets(), compile_seconds=compile_seconds, train_seconds=seconds)


def compile_kernels() -> float:
    """Compile the kernels, or load them from numba's cache. Return the seconds it took."""
    begin = time.monotonic()
    texts = kernels.SegmentedTexts(_read_only(np.zeros(0, np.int32)), np.zeros(1, np.int64))
    tables = kernels.Tables(*(kernels.aligned_zeros(1, 16) for _ in range(3)))
    grams, _ = ngrams_of([], None)
    parameters = kernels.EpochParameters(1, 1, np.uint64(0), first_rate=0.0, rate_a_word=0.0, least_rate=0.0)
    workspace = kernels.new_workspace(window=1, negatives=1, floats=16)
    kernels.train_segments(texts, sampling_of(np.array([0, 1]), 0.0), tables, grams, workspace, parameters, 0, 0)
    return time.monotonic() - begin


class _CpuTraining:
    """Tables and texts of one training."""

    def __init__(self, corpus: Corpus, task: SkipGramTask, start: FloatArray | None) -> None:
        self._task, self._words = task, len(corpus.ids)
        self._sampling = sampling_of(corpus.counts, task.subsample)
        self._grams, self._bucket_ids = ngrams_of(corpus.words, task.spelling)
        begins = segment_begins(corpus.offsets, max_words=kernels.MAX_SEGMENT_WORDS)
        self._texts = kernels.SegmentedTexts(_read_only(corpus.ids), begins)
        words, floats = len(corpus.counts), -(-task.dim // ROW_FLOATS) * ROW_FLOATS
        rows = (words, words, len(self._bucket_ids))
        self._tables = kernels.Tables(*(kernels.aligned_zeros(count, floats) for count in rows))
        self._set_first(engines.initial_vectors(words, task, start), start)

    def _set_first(self, vectors: FloatArray, start: FloatArray | None) -> None:
        """Set the first vectors. With subwords, the mean of a word's parts is its row of `start`."""
        if self._task.spelling is None:
            self._tables.vectors[:, : self._task.dim] = vectors
            return
        generator = np.random.default_rng([self._task.seed, 1])
        first = generator.random((len(self._tables.grams), self._task.dim), np.float32)
        first -= np.float32(0.5)
        np.multiply(first, 2 * np.float32(1 / self._task.dim), out=self._tables.grams[:, : self._task.dim])
        self._tables.vectors[:, : self._task.dim] = 2 * vectors  # as wide as those of n-grams, as in fastText
        if start is not None:
            given = ~np.isnan(start[:, 0])
            parts = np.diff(self._grams.begins)[:, None] + 1
            others = self._composed() * parts - self._tables.vectors
            self._tables.vectors[given, : self._task.dim] = (vectors * parts - others[:, : self._task.dim])[given]

    def words_before(self, segment: int) -> int:
        """Return the number of words before a segment."""
        return int(self._texts.begins[segment])

    def block_count(self, threads: int) -> int:
        """Return the number of blocks of an epoch."""
        return sum(1 for _ in self._blocks(threads))

    def train_epoch(self, epoch: int, threads: int, callbacks: Callbacks, *, segment: int = 0, kept: int = 0) -> int:
        """Pass over the corpus once, from a segment on. Return `kept` and the number of words kept now.

        Blocks of segments are handed out in order. A checkpoint waits for those that run, so that all before it is done.
        """
        train_block = self._block_training(epoch, threads)
        steps = self.block_count(threads)
        left = list(self._blocks(threads, segment))
        running: set[Future[tuple[int, int]]] = set()
        pool = ThreadPoolExecutor(threads)

        def wait_until(most: int) -> None:
            nonlocal kept, running
            while len(running) > most:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for found, passed in (block.result() for block in done):
                    kept += found
                    callbacks.advance(passed)

        def settled() -> dict[str, Tensor]:
            wait_until(0)
            return self.tensors()

        def counters(end: int) -> dict[str, Any]:
            return {"engine": "cpu", "epochs": epoch, "segment": end, "kept_words": kept}

        try:
            for place, (first, end) in enumerate(left, start=1):
                running.add(pool.submit(train_block, first, end))
                wait_until(QUEUED * threads)
                if place < len(left):
                    callbacks.keep((epoch + 1) * steps - len(left) + place, settled, partial(counters, end))
            wait_until(0)
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C the running blocks still end
        return kept

    def _blocks(self, threads: int, segment: int = 0) -> Iterator[tuple[int, int]]:
        """Yield the segments (first, end) that a thread takes at once."""
        size = max(1, min(BLOCK_WORDS, self._words // (8 * threads)))
        for first, end in blocks(self._texts.begins[segment:], size=size):
            yield segment + first, segment + end

    def _block_training(self, epoch: int, threads: int) -> Callable[[int, int], tuple[int, int]]:
        """Return the function that trains on segments of an epoch and returns how many words it kept and passed."""
        task, begins = self._task, self._texts.begins
        window, negatives, floats = task.window, task.negatives, self._tables.vectors.shape[1]
        fall = (task.learning_rate - engines.MIN_LEARNING_RATE) / (max(1, self._words) * task.epochs)
        first_rate = task.learning_rate - fall * self._words * epoch
        seed = np.random.SeedSequence([task.seed, epoch]).generate_state(1, np.uint64)[0]
        plan = kernels.EpochParameters(window, negatives, seed, first_rate, fall, engines.MIN_LEARNING_RATE)
        free = [kernels.new_workspace(window=window, negatives=negatives, floats=floats) for _ in range(threads)]
        given = self._texts, self._sampling, self._tables, self._grams

        def train_block(first: int, last: int) -> tuple[int, int]:
            workspace = free.pop()  # list.pop and append are atomic
            kept = kernels.train_segments(*given, workspace, plan, first, last)
            free.append(workspace)
            return int(kept), int(begins[last] - begins[first])

        return train_block

    def vectors(self) -> FloatArray:
        """Return input vectors (V, D); a view without subwords."""
        return (self._composed() if self._task.spelling else self._tables.vectors)[:, : self._task.dim]

    def contexts(self) -> FloatArray:
        """Return a view of the output vectors (V, D)."""
        return self._tables.contexts[:, : self._task.dim]

    def buckets(self) -> Buckets | None:
        """Return the vectors of n-grams."""
        if self._task.spelling is None:
            return None
        return Buckets(self._bucket_ids, self._tables.grams[:, : self._task.dim].copy())

    def _composed(self) -> FloatArray:
        result: FloatArray = kernels.composed(self._tables.vectors, self._tables.grams, *self._grams)
        return result

    def tensors(self) -> dict[str, Tensor]:
        """Return the tables, not copied."""
        import torch

        return {name: torch.from_numpy(table) for name, table in self._tables._asdict().items()}


def ngrams_of(words: Sequence[str], spelling: Spelling | None) -> tuple[kernels.Grams, NDArray[np.int32]]:
    """Return the n-grams of words (V,), the first of which is the unknown word, and the buckets (S,) in use.

    Only these have rows: most of two million buckets would be empty.
    """
    if spelling is None:
        return kernels.Grams(np.zeros(0, np.int32), np.zeros(1, np.int64)), np.zeros(0, np.int32)
    buckets, begins = bucket_ids(words[1:], spelling)
    used, rows = np.unique(buckets, return_inverse=True)
    return kernels.Grams(rows.astype(np.int32), np.concatenate([np.zeros(1, np.int64), begins])), used


def segment_begins(offsets: NDArray[np.int64], *, max_words: int) -> NDArray[np.int64]:
    """Return the starts of segments, and the end (P + 1,). A segment is a text or, of a long text, a part."""
    parts = np.maximum(1, -(-np.diff(offsets) // max_words))
    if (parts == 1).all():
        return offsets
    begins = np.repeat(offsets[:-1], parts)
    number = np.arange(len(begins)) - np.repeat(np.cumsum(parts) - parts, parts)
    return np.concatenate([begins + number * max_words, offsets[-1:]])


def _read_only(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a read-only view, as mapped files are: numba compiles anew for writeable arrays."""
    view = np.asarray(ids).view()
    view.flags.writeable = False
    return view
