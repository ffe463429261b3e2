"""GPU engine: corpus, tables and random numbers live on the GPU.

An epoch subsamples the corpus, which leaves the kept words side by side, and launches the kernel several times. Draws
depend on (seed, epoch, shard). Additions race, so bits do not repeat.

Shapes: V words, D dimension, W columns of a table (D, padded with zeros).
"""

from __future__ import annotations

import functools
import importlib.util
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import ConfigError
from nlptl.pretraining.word2vec.corpus import Corpus
from nlptl.pretraining.word2vec.engines import (
    MIN_LEARNING_RATE,
    Callbacks,
    FloatArray,
    SkipGramTask,
    TrainedVectors,
    initial_vectors,
)
from nlptl.pretraining.word2vec.gpu_tuning import Tuning, highest_rates, row_width, tile_for
from nlptl.pretraining.word2vec.sampling import alias_table, keep_probability, noise_weights

if TYPE_CHECKING:
    from torch import Tensor

    from nlptl.training.checkpoints import State

SHARD_WORDS = 2**24  # words trained at once: bounds memory, and positions are counted in 32 bits


def available() -> bool:
    """Return whether a CUDA device and triton are there."""
    return importlib.util.find_spec("triton") is not None and _cuda()


def train(
    corpus: Corpus, task: SkipGramTask, *, start: FloatArray | None, callbacks: Callbacks, tuning: Tuning | None = None
) -> TrainedVectors:
    """Train on the GPU; see Engine.

    Takes 8 bytes of GPU memory a corpus word and 8 D a vocabulary word. Checkpoints stand between epochs. It trains no
    subwords, and bits do not repeat. Raises ConfigError without CUDA or triton.
    """
    _check_machine()
    run = _GpuTraining(corpus, task, start, tuning or Tuning())
    done, kept = run.resume(callbacks)
    callbacks.advance(done * len(corpus.ids))
    seconds = 0.0
    for epoch in range(done, task.epochs):
        begin = time.monotonic()
        kept += run.epoch(epoch, callbacks)
        seconds += time.monotonic() - begin
        if callbacks.needs_vectors:
            callbacks.after_epoch(epoch + 1, run.table(run.inputs), run.table(run.outputs))
        if callbacks.checkpoints is not None:
            state = functools.partial(run.state, epoch + 1, kept, callbacks.notes)
            callbacks.checkpoints.keep(epoch + 1, state, last=epoch + 1 == task.epochs)
    vectors = run.table(run.inputs)
    vectors[0] = 0.0
    return TrainedVectors(vectors=vectors, kept_words=kept, train_seconds=seconds)


def noise_table(weights: NDArray[np.float64]) -> tuple[NDArray[np.int32], FloatArray]:
    """Return the alias table of weights (V,) in the kernel's format: aliases (V,) and probabilities (V,) of slots.

    Word 0 stands last in the table: its weight is 0, and rounding must not leave it over.
    """
    probabilities, alias = alias_table(np.roll(weights, -1))
    aliases = np.roll((alias + 1) % len(weights), 1)
    return aliases.astype(np.int32), np.roll(probabilities, 1).astype(np.float32)


class _GpuTraining:
    """Tables and corpus of one training on the device."""

    def __init__(self, corpus: Corpus, task: SkipGramTask, start: FloatArray | None, tuning: Tuning) -> None:
        import torch

        from nlptl.pretraining.word2vec import gpu_kernels

        self._task, self._tuning = task, tuning
        self._kernels = gpu_kernels
        self._device = torch.device("cpu" if gpu_kernels.INTERPRETED else "cuda")
        table = np.zeros((len(corpus.counts), row_width(task.dim)), np.float32)
        table[:, : task.dim] = initial_vectors(len(corpus.counts), task, start)
        self.inputs = self._moved(table)
        """(V, W) input vectors, of context words."""
        self.outputs = torch.zeros_like(self.inputs)
        """(V, W) output vectors, of centre and noise words."""
        self._words = self._moved(np.array(corpus.ids, np.int32))
        lengths = self._moved(np.diff(corpus.offsets))
        numbers = torch.arange(len(corpus), dtype=torch.int32, device=self._device)
        self._texts = torch.repeat_interleave(numbers, lengths)
        weights = noise_weights(corpus.counts)
        aliases, cuts = noise_table(weights) if weights.any() else (np.zeros(1, np.int32), np.ones(1, np.float32))
        self._aliases, self._cuts = self._moved(aliases), self._moved(cuts)
        keep = keep_probability(corpus.counts, task.subsample).astype(np.float32)
        self._keep = self._moved(keep) if task.subsample else None
        self._tile = tile_for(task, tuning)
        on_cpu = self._device.type == "cpu"
        processors = 1 if on_cpu else torch.cuda.get_device_properties(self._device).multi_processor_count
        segments = int(processors) * tuning.segments_per_processor
        self._segments = max(1, min(segments, len(corpus.ids) // tuning.words_per_segment))
        shares = np.maximum(_shares(corpus.counts * keep), _shares(weights))
        at_once = self._segments * self._tile.centres
        self._caps = self._moved(highest_rates(shares, task, tuning, at_once=at_once))

    def resume(self, callbacks: Callbacks) -> tuple[int, int]:
        """Load the newest checkpoint of this engine. Return epochs done and words kept so far."""
        found = callbacks.checkpoints.newest() if callbacks.checkpoints is not None else None
        if found is None or found[1].get("engine") != "gpu":
            return 0, 0
        tensors, counters = found
        self.inputs.copy_(tensors["inputs"])
        self.outputs.copy_(tensors["outputs"])
        callbacks.notes.update(counters["notes"])
        return int(counters["epoch"]), int(counters["kept_words"])

    def state(self, epoch: int, kept: int, notes: dict[str, Any]) -> State:
        """Return the content of a checkpoint after `epoch` epochs."""
        counters = {"engine": "gpu", "epoch": epoch, "kept_words": kept, "notes": notes}
        return {"inputs": self.inputs, "outputs": self.outputs}, counters

    def table(self, table: Tensor) -> FloatArray:
        """Return a copy (V, D) of a table in main memory."""
        copy: FloatArray = np.array(table[:, : self._task.dim].cpu().numpy(), np.float32)
        return copy

    def epoch(self, epoch: int, callbacks: Callbacks) -> int:
        """Pass over the corpus once. Return the number of kept words."""
        kept = 0
        for shard, begin in enumerate(range(0, len(self._words), SHARD_WORDS)):
            # Each shard has a seed, so that an epoch repeats without those before it.
            seeds = np.random.SeedSequence((self._task.seed % 2**64, epoch, shard)).generate_state(2) >> 1
            words, texts = self._subsampled(begin, seed=int(seeds[0]))
            raw = min(SHARD_WORDS, len(self._words) - begin)
            first, last = (self._rate(epoch + place / len(self._words)) for place in (begin, begin + raw))
            told = 0
            for done in self._trained(words, texts, key=int(seeds[1]), rate=first, last=last):
                callbacks.advance(round(raw * done) - told)
                told = round(raw * done)
            kept += len(words)
        return kept

    def _subsampled(self, begin: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Return the kept words of a shard and the numbers of their texts."""
        import torch

        words, texts = (whole[begin : begin + SHARD_WORDS] for whole in (self._words, self._texts))
        if self._keep is None:
            return words, texts
        generator = torch.Generator(self._device).manual_seed(seed)
        drawn = torch.rand(len(words), generator=generator, device=self._device)
        kept = torch.nonzero(drawn < self._keep.index_select(0, words)).squeeze(1)
        return words.index_select(0, kept), texts.index_select(0, kept)

    def _trained(self, words: Tensor, texts: Tensor, *, key: int, rate: float, last: float) -> Iterator[float]:
        """Train on a shard by launches of equal size. Yield the share done."""
        tile, task = self._tile, self._task
        tiles = -(-len(words) // tile.centres)
        segments = max(1, min(self._segments, tiles))
        launches = max(1, -(-tiles // (segments * self._tuning.tiles_per_launch)))
        each = -(-tiles // (segments * launches))
        half = self._tuning.half and not self._kernels.INTERPRETED
        for launch in range(launches if tiles else 0):
            self._kernels.train_segments[(segments,)](
                self.inputs, self.outputs, words, texts, self._aliases, self._cuts, self._caps,
                len(words), launch * segments * each, each, rate, (last - rate) / len(words), key, len(self._cuts),
                WIDTH=self.inputs.shape[1], WINDOW=task.window, NEGATIVES=task.negatives,
                CENTRES=tile.centres, SLOTS=tile.slots, CONTEXTS=tile.contexts, NOISE=tile.noise, BLOCK=tile.block,
                OPERAND=self._kernels.HALF if half else self._kernels.SINGLE,
                num_warps=tile.warps, num_stages=1, enable_fp_fusion=True,
            )  # fmt: skip
            self._wait()
            yield min(1.0, (launch + 1) * segments * each / tiles)
        if not tiles:
            yield 1.0

    def _rate(self, epochs: float) -> float:
        begin = self._task.learning_rate
        return begin - (begin - min(begin, MIN_LEARNING_RATE)) * epochs / self._task.epochs

    def _moved(self, array: NDArray[np.generic]) -> Tensor:
        import torch

        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _wait(self) -> None:
        import torch

        if self._device.type == "cuda":
            torch.cuda.synchronize()


def _shares(weights: NDArray[np.floating]) -> FloatArray:
    """Return weights (V,) as shares of their sum, 0 for the unknown word."""
    weights = np.append(0.0, weights[1:])
    shares: FloatArray = (weights / max(1e-9, weights.sum())).astype(np.float32)
    return shares


def _check_machine() -> None:
    if importlib.util.find_spec("triton") is None:
        raise ConfigError(
            "engine: found gpu, but triton, its compiler, is not installed; expected version 3.6 or later. "
            "Install nlptl[gpu] or choose engine: cpu."
        )
    if not _cuda() and os.environ.get("TRITON_INTERPRET") != "1":
        raise ConfigError(
            "engine: found gpu, but torch sees no CUDA device; expected one with a driver that torch was built for. "
            "Check torch.cuda.is_available() or choose engine: cpu."
        )


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()
