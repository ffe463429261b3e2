"""GPU engine: corpus, tables and random numbers live on the GPU.

An epoch subsamples the corpus, which leaves the kept words side by side, and launches the kernel several times. Draws
depend on (seed, epoch, shard). Additions race, so bits do not repeat.

Shapes: V words, D dimension, W columns of a table (D, padded with zeros).
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import ConfigError
from nlptl.pretraining.word2vec import engines
from nlptl.pretraining.word2vec.corpus import Corpus
from nlptl.pretraining.word2vec.engines import Callbacks, FloatArray, SkipGramTask, TrainedVectors, initial_vectors
from nlptl.pretraining.word2vec.gpu_tuning import Tuning, highest_rates, row_width, tile_for
from nlptl.pretraining.word2vec.sampling import alias_table, keep_probability, noise_weights

if TYPE_CHECKING:
    from torch import Tensor

SHARD_WORDS = 2**24  # words trained at once: bounds memory, and positions are counted in 32 bits


def machine_fault() -> str:
    """Return what this machine lacks for the engine, as a sentence that begins with the setting; nothing if it has all."""
    if importlib.util.find_spec("triton") is None:
        return (
            "engine: found gpu, but triton, its compiler, is not installed; expected version 3.6 or later. "
            "Install nlptl[gpu] or choose engine: cpu."
        )
    if not _cuda() and os.environ.get("TRITON_INTERPRET") != "1":
        return (
            "engine: found gpu, but torch sees no CUDA device; expected one with a driver that torch was built for. "
            "Check torch.cuda.is_available() or choose engine: cpu."
        )
    return ""


def available() -> bool:
    """Return whether a CUDA device and triton are there."""
    return importlib.util.find_spec("triton") is not None and _cuda()


def train(
    corpus: Corpus, task: SkipGramTask, *, start: FloatArray | None, callbacks: Callbacks, tuning: Tuning | None = None
) -> TrainedVectors:
    """Train on the GPU; see Engine.

    Takes 8 bytes of GPU memory a corpus word and 8 D a vocabulary word. Checkpoints are written between shards, so a kill
    loses about a minute of training at most. Raises ConfigError without CUDA or triton.
    """
    if fault := machine_fault():
        raise ConfigError(f"{task.where}.{fault}")
    run = _GpuTraining(corpus, task, start, tuning or Tuning())
    resumed = callbacks.resume("gpu", run.tensors)
    done, shard, kept = resumed.get("epoch", 0), resumed.get("shard", 0), resumed.get("kept_words", 0)
    callbacks.advance(done * len(corpus.ids) + shard * SHARD_WORDS)
    seconds = 0.0
    for epoch in range(done, task.epochs):
        begin = time.monotonic()
        kept = run.epoch(epoch, callbacks, shard=shard, kept=kept)
        shard = 0
        seconds += time.monotonic() - begin
        if callbacks.after_epoch is not None:
            callbacks.after_epoch(epoch + 1, run.table(run.inputs), run.table(run.outputs))
        run.keep(callbacks, epoch + 1, 0, kept)
    vectors = run.table(run.inputs)
    vectors[0] = 0.0
    return TrainedVectors(vectors, kept, train_seconds=seconds)


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

        def moved(array: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

        self._task, self._tuning, self._kernels = task, tuning, gpu_kernels
        self._device = torch.device("cpu" if gpu_kernels.INTERPRETED else "cuda")
        table = np.zeros((len(corpus.counts), row_width(task.dim)), np.float32)
        table[:, : task.dim] = initial_vectors(len(corpus.counts), task, start)
        self.inputs = moved(table)  # (V, W) of context words
        self.outputs = torch.zeros_like(self.inputs)  # (V, W) of centre and noise words
        self._words = moved(np.array(corpus.ids, np.int32))
        numbers = torch.arange(len(corpus), dtype=torch.int32, device=self._device)
        self._texts = torch.repeat_interleave(numbers, moved(np.diff(corpus.offsets)))
        weights = noise_weights(corpus.counts)
        aliases, cuts = noise_table(weights) if weights.any() else (np.zeros(1, np.int32), np.ones(1, np.float32))
        self._aliases, self._cuts = moved(aliases), moved(cuts)
        keep = keep_probability(corpus.counts, task.subsample).astype(np.float32)
        self._keep = moved(keep) if task.subsample else None
        self._tile = tile_for(task, tuning)
        self._wait: Callable[[], object] = lambda: None
        segments = tuning.segments_per_processor
        if self._device.type == "cuda":
            self._wait = torch.cuda.synchronize
            segments *= int(torch.cuda.get_device_properties(self._device).multi_processor_count)
        self._segments = max(1, min(segments, len(corpus.ids) // tuning.words_per_segment))
        shares = np.maximum(_shares(corpus.counts * keep), _shares(weights))
        self._caps = moved(highest_rates(shares, task, tuning, at_once=self._segments * self._tile.centres))

    def tensors(self) -> dict[str, Tensor]:
        """Return the tables, not copied."""
        return {"inputs": self.inputs, "outputs": self.outputs}

    def table(self, table: Tensor) -> FloatArray:
        """Return a copy (V, D) of a table in main memory."""
        return np.array(table[:, : self._task.dim].cpu().numpy(), np.float32)

    def keep(self, callbacks: Callbacks, epoch: int, shard: int, kept: int) -> None:
        """Write a checkpoint before a shard of an epoch if one is due, or after all epochs."""
        shards = max(1, -(-len(self._words) // SHARD_WORDS))
        counters = {"engine": "gpu", "epoch": epoch, "shard": shard, "kept_words": kept}
        callbacks.keep(epoch * shards + shard, self.tensors, lambda: counters, last=epoch == self._task.epochs)

    def epoch(self, epoch: int, callbacks: Callbacks, *, shard: int = 0, kept: int = 0) -> int:
        """Pass over the corpus once, from a shard on. Return `kept` and the number of words kept now."""
        for begin in range(shard * SHARD_WORDS, len(self._words), SHARD_WORDS):
            number = begin // SHARD_WORDS
            if number > shard:
                self.keep(callbacks, epoch, number, kept)
            # Each shard has a seed, so that it repeats without those before it.
            seeds = np.random.SeedSequence((self._task.seed % 2**64, epoch, number)).generate_state(2) >> 1
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
        return begin - (begin - min(begin, engines.MIN_LEARNING_RATE)) * epochs / self._task.epochs


def _shares(weights: NDArray[np.floating]) -> FloatArray:
    """Return weights (V,) as shares of their sum, 0 for the unknown word."""
    weights = np.append(0.0, weights[1:])
    return np.asarray(weights / max(1e-9, weights.sum()), np.float32)


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()
