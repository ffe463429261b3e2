"""The engine for processors: skip-gram on all cores, with subwords if wanted.

Shapes: V words, D dimension (padded to 16 while it trains), P pieces of text, S rows of n-grams.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlptl.pretraining.word2vec.corpus import Corpus
from nlptl.pretraining.word2vec.engines import Buckets, FloatArray, SkipGramTask, Trained, Watch, initial_vectors
from nlptl.pretraining.word2vec.sampling import sampling_of
from nlptl.pretraining.word2vec.subwords import subwords_of

if TYPE_CHECKING:
    from nlptl.pretraining.word2vec.cpu_kernels import Room
    from nlptl.training.checkpoints import State

LEAST_RATE = 1e-4  # where the learning rate ends, as in word2vec.c and gensim
BLOCK = 50_000  # words of the corpus that a thread takes at once
SMALL = 1_000_000  # words below which one thread trains: threads gain little, and one repeats exactly


def train(corpus: Corpus, task: SkipGramTask, *, start: FloatArray | None, watch: Watch) -> Trained:
    """Train on this machine's cores; see Engine.

    With `deterministic`, and below a million words, one thread goes through the corpus in order and gives the same bits
    every time on the same machine, also after a kill. Else threads race, and runs differ a little.
    """
    compile_seconds = compiled()
    training = _Training(corpus, task, start)
    threads = 1 if task.deterministic or len(corpus.ids) < SMALL else task.threads or len(os.sched_getaffinity(0))
    kept, first = training.resumed(watch)
    seconds = 0.0
    for epoch in range(first, task.epochs):
        begin = time.monotonic()
        kept += training.train_epoch(epoch, threads, watch.advance)
        seconds += time.monotonic() - begin
        if watch.listens:
            watch.after_epoch(epoch + 1, training.vectors(), training.contexts())
        if watch.checkpoints is not None and epoch + 1 < task.epochs:
            watch.checkpoints.keep(epoch + 1, functools.partial(training.state, epoch + 1, kept, watch.notes))
    return Trained(
        vectors=np.ascontiguousarray(training.vectors()), kept_words=kept, buckets=training.buckets(),
        compile_seconds=compile_seconds, train_seconds=seconds,
    )  # fmt: skip


def compiled() -> float:
    """Make the kernels ready and return the seconds that took: some on a machine's first run, nearly none afterwards."""
    from nlptl.pretraining.word2vec import cpu_kernels as kernels

    begin = time.monotonic()
    texts = kernels.Texts(_read_only(np.zeros(0, np.int32)), np.zeros(1, np.int64))
    sampling = sampling_of(np.array([0, 1]), 0.0)
    tables = kernels.Tables(*(kernels.aligned_zeros(1, 16) for _ in range(3)))
    grams = kernels.Grams(np.zeros(0, np.int32), np.zeros(1, np.int64))
    plan = kernels.Plan(window=1, negatives=1, seed=np.uint64(0), first_rate=0.0, rate_a_word=0.0, least_rate=0.0)
    room = kernels.room_for(window=1, negatives=1, floats=16)
    kernels.train_pieces(texts, sampling, tables, grams, room, plan, 0, 0)
    return time.monotonic() - begin


class _Training:
    """Tables, texts and draws of one training."""

    def __init__(self, corpus: Corpus, task: SkipGramTask, start: FloatArray | None) -> None:
        from nlptl.pretraining.word2vec.cpu_kernels import LONGEST, Grams, Tables, Texts, aligned_zeros
        from nlptl.pretraining.word2vec.simd import ROW_FLOATS

        self._task, self._words = task, len(corpus.ids)
        self._sampling = sampling_of(corpus.counts, task.subsample)
        self._subwords = subwords_of(corpus.words, task.spelling)
        self._texts = Texts(_read_only(corpus.ids), pieces(corpus.offsets, longest=LONGEST))
        self._grams = Grams(self._subwords.rows, self._subwords.begins)
        words, floats = len(corpus.counts), -(-task.dim // ROW_FLOATS) * ROW_FLOATS
        rows = (words, words, len(self._subwords.buckets))
        self._tables = Tables(*(aligned_zeros(count, floats) for count in rows))
        self._begin(initial_vectors(words, task, start), start)

    def _begin(self, vectors: FloatArray, start: FloatArray | None) -> None:
        """Set the first vectors; with subwords such that the mean of a word's parts is its start."""
        if self._task.spelling is None:
            self._tables.vectors[:, : self._task.dim] = vectors
            return
        generator = np.random.default_rng([self._task.seed, 1])
        shape, limit = (len(self._tables.grams), self._task.dim), np.float32(1 / self._task.dim)
        first = generator.random(shape, np.float32)
        first -= np.float32(0.5)
        np.multiply(first, 2 * limit, out=self._tables.grams[:, : self._task.dim])
        self._tables.vectors[:, : self._task.dim] = 2 * vectors  # as wide as those of n-grams, as fastText's
        if start is not None:
            given = ~np.isnan(start[:, 0])
            parts = np.diff(self._subwords.begins)[:, None] + 1
            others = self._composed() * parts - self._tables.vectors
            self._tables.vectors[given, : self._task.dim] = (vectors * parts - others[:, : self._task.dim])[given]

    def train_epoch(self, epoch: int, threads: int, advance: Callable[[int], None]) -> int:
        """Pass over the corpus once; returns how many words subsampling kept."""
        from nlptl.pretraining.word2vec.cpu_kernels import Plan, room_for, train_pieces

        task, tables = self._task, self._tables
        fall = (task.learning_rate - LEAST_RATE) / (max(1, self._words) * task.epochs)
        plan = Plan(
            window=task.window, negatives=task.negatives, seed=_seed_of(task.seed, epoch),
            first_rate=task.learning_rate - fall * self._words * epoch, rate_a_word=fall, least_rate=LEAST_RATE,
        )  # fmt: skip
        rooms: list[Room] = [
            room_for(window=task.window, negatives=task.negatives, floats=tables.vectors.shape[1])
            for _ in range(threads)
        ]
        begins = self._texts.begins
        blocks = list(_blocks(begins, size=max(1, min(BLOCK, self._words // (8 * threads)))))

        def work(block: tuple[int, int]) -> tuple[int, int]:
            room = rooms.pop()  # list.pop and append are atomic
            kept = train_pieces(self._texts, self._sampling, tables, self._grams, room, plan, *block)
            rooms.append(room)
            return int(kept), int(begins[block[1]] - begins[block[0]])

        return _worked(work, blocks, threads, advance)

    def vectors(self) -> FloatArray:
        """Return input vectors (V, D), without subwords as a view."""
        return (self._composed() if self._task.spelling else self._tables.vectors)[:, : self._task.dim]

    def contexts(self) -> FloatArray:
        """Return a view of the output vectors (V, D)."""
        return self._tables.contexts[:, : self._task.dim]

    def buckets(self) -> Buckets | None:
        """Return the vectors of n-grams; None without subwords."""
        if self._task.spelling is None:
            return None
        return Buckets(self._subwords.buckets, self._tables.grams[:, : self._task.dim].copy())

    def _composed(self) -> FloatArray:
        from nlptl.pretraining.word2vec.cpu_kernels import composed

        result: FloatArray = composed(self._tables.vectors, self._tables.grams, self._grams.rows, self._grams.begins)
        return result

    def state(self, epochs: int, kept: int, notes: dict[str, Any]) -> State:
        """Return what a checkpoint holds."""
        import torch

        tensors = {name: torch.from_numpy(table) for name, table in self._tables._asdict().items()}
        return tensors, {"engine": "cpu", "epochs": epochs, "kept_words": kept, "notes": notes}

    def resumed(self, watch: Watch) -> tuple[int, int]:
        """Take up the newest checkpoint, if there is one; returns words kept and epochs done so far."""
        found = watch.checkpoints.newest() if watch.checkpoints is not None else None
        if found is None or found[1].get("engine") != "cpu":
            return 0, 0
        tensors, counters = found
        for name, table in self._tables._asdict().items():
            table[:] = tensors[name].numpy()
        watch.notes.update(counters["notes"])
        watch.advance(self._words * counters["epochs"])
        return counters["kept_words"], counters["epochs"]


def pieces(offsets: NDArray[np.int64], *, longest: int) -> NDArray[np.int64]:
    """Return where pieces of text begin, and the end (P + 1,): texts (offsets as in Corpus), long ones cut in pieces."""
    parts = np.maximum(1, -(-np.diff(offsets) // longest))
    if (parts == 1).all():
        return offsets
    begins = np.repeat(offsets[:-1], parts)
    number = np.arange(len(begins)) - np.repeat(np.cumsum(parts) - parts, parts)
    return np.concatenate([begins + number * longest, offsets[-1:]])


def _blocks(begins: NDArray[np.int64], *, size: int) -> Iterator[tuple[int, int]]:
    """Cut pieces into runs of at least `size` words; a run may be longer by one piece."""
    first = 0
    while first < len(begins) - 1:
        last = int(np.searchsorted(begins, begins[first] + size))
        last = min(max(last, first + 1), len(begins) - 1)
        yield first, last
        first = last


def _worked(
    work: Callable[[tuple[int, int]], tuple[int, int]],
    blocks: list[tuple[int, int]],
    threads: int,
    advance: Callable[[int], None],
) -> int:
    """Do all blocks, in order on one thread; returns how many words were kept."""
    total = 0
    if threads == 1:
        for block in blocks:
            kept, passed = work(block)
            total += kept
            advance(passed)
        return total
    pool = ThreadPoolExecutor(threads, thread_name_prefix="nlptl-skip-gram")
    try:
        for future in as_completed([pool.submit(work, block) for block in blocks]):
            kept, passed = future.result()
            total += kept
            advance(passed)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # after Ctrl-C the blocks under way still end
    return total


def _read_only(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a view that cannot be written: numba compiles anew for arrays that can, and mapped files cannot."""
    view = np.asarray(ids).view()
    view.flags.writeable = False
    return view


def _seed_of(seed: int, epoch: int) -> np.uint64:
    return np.uint64(int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]))
