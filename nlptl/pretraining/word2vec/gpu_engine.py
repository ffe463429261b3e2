"""Skip-gram with negative sampling on a GPU: corpus, tables and random numbers live there, gpu_kernels.py does the sums.

An epoch is a pass of subsampling, which leaves the kept words side by side as word2vec's window wants them, and some
launches of the kernel. All that is drawn follows from (seed, epoch, shard); the additions race, so that bits do not repeat.

Shapes: N words of the corpus, V words of the vocabulary, D dimension, W columns of a table (D, padded with zeros).
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
from nlptl.pretraining.word2vec.engines import FloatArray, SkipGramTask, Trained, Watch, initial_vectors
from nlptl.pretraining.word2vec.gpu_tuning import Tuning, highest_rates, row_width, tile_for
from nlptl.pretraining.word2vec.sampling import NOISE_POWER, keep_probability

if TYPE_CHECKING:
    from torch import Tensor

    from nlptl.training.checkpoints import State

SHARD = 2**24  # words subsampled and trained at once: bounds memory, and places and draws are counted in 32 bits
LOWEST_RATE = 1e-4  # where the learning rate ends, as gensim's min_alpha


def available() -> bool:
    """Say whether a CUDA device and triton are here."""
    return importlib.util.find_spec("triton") is not None and _cuda()


def train(
    corpus: Corpus, task: SkipGramTask, *, start: FloatArray | None, watch: Watch, tuning: Tuning | None = None
) -> Trained:
    """Train on the GPU; see Engine.

    Subsampling, window and learning rate are gensim's; the sigmoid is exact and a tile's pairs share their noise words.
    Takes 8 bytes of GPU memory a word of the corpus, and 8 D a word of the vocabulary. A checkpoint is one of an epoch.
    Raises ConfigError without CUDA or triton, and for what only the CPU engine does: subwords, deterministic.
    """
    _refuse(task)
    run = _Run(corpus, task, start, tuning or Tuning())
    done, kept = run.resume(watch)
    watch.advance(done * len(corpus.ids))
    seconds = 0.0
    for epoch in range(done, task.epochs):
        begin = time.monotonic()
        kept += run.epoch(epoch, watch)
        seconds += time.monotonic() - begin
        if watch.listens:
            watch.after_epoch(epoch + 1, run.table(run.inputs), run.table(run.outputs))
        if watch.checkpoints is not None:
            state = functools.partial(run.state, epoch + 1, kept, watch.notes)
            watch.checkpoints.keep(epoch + 1, state, last=epoch + 1 == task.epochs)
    vectors = run.table(run.inputs)
    vectors[0] = 0.0
    return Trained(vectors=vectors, kept_words=kept, train_seconds=seconds)


def alias_table(weights: NDArray[np.float64]) -> tuple[NDArray[np.int32], FloatArray]:
    """Return aliases and cuts (V), from which a word is drawn by its weight in constant time (Walker 1977).

    Draw a column; it is the word with probability cuts[column], else the word is aliases[column].
    """
    shares = weights * (len(weights) / weights.sum())
    cuts, aliases = shares.copy(), np.arange(len(weights), dtype=np.int32)
    order = np.argsort(-shares, kind="stable")  # the lightest go first: none without weight is left over
    small, large = ([int(word) for word in order if (shares[word] < 1) == light] for light in (True, False))
    while small and large:
        low, high = small.pop(), large[-1]
        aliases[low] = high
        cuts[high] -= 1.0 - cuts[low]
        if cuts[high] < 1:
            small.append(large.pop())
    cuts[small + large] = 1.0  # what rounding has left over
    return aliases, cuts.astype(np.float32)


class _Run:
    """One training's tables and corpus on the device."""

    def __init__(self, corpus: Corpus, task: SkipGramTask, start: FloatArray | None, tuning: Tuning) -> None:
        import torch

        from nlptl.pretraining.word2vec import gpu_kernels

        self._task, self._tuning = task, tuning
        self._kernels = gpu_kernels
        self._device = torch.device("cpu" if gpu_kernels.INTERPRETED else "cuda")
        table = np.zeros((len(corpus.counts), row_width(task.dim)), np.float32)
        table[:, : task.dim] = initial_vectors(len(corpus.counts), task, start)
        self.inputs = self._moved(table)
        """(V, W) input vectors, those of context words."""
        self.outputs = torch.zeros_like(self.inputs)
        """(V, W) output vectors, those of centres and noise words."""
        self._words = self._moved(np.array(corpus.ids, np.int32))
        lengths = self._moved(np.diff(corpus.offsets))
        numbers = torch.arange(len(corpus), dtype=torch.int32, device=self._device)
        self._texts = torch.repeat_interleave(numbers, lengths)
        weights = corpus.counts.astype(np.float64) ** NOISE_POWER
        weights[0] = 0.0
        aliases, cuts = alias_table(weights) if weights.any() else (np.zeros(1, np.int32), np.ones(1, np.float32))
        self._aliases, self._cuts = self._moved(aliases), self._moved(cuts)
        chances = keep_probability(corpus.counts, task.subsample).astype(np.float32)
        self._keep = self._moved(chances) if task.subsample else None
        self._tile = tile_for(task, tuning)
        segments = self._processors() * tuning.segments_per_processor
        self._segments = max(1, min(segments, len(corpus.ids) // tuning.words_per_segment))
        shares = np.maximum(_shares(corpus.counts * chances), _shares(weights))
        at_once = self._segments * self._tile.centres
        self._caps = self._moved(highest_rates(shares, task, tuning, at_once=at_once))

    def resume(self, watch: Watch) -> tuple[int, int]:
        """Take up the newest checkpoint of this engine and return how many epochs it has done and words it has kept."""
        found = watch.checkpoints.newest() if watch.checkpoints is not None else None
        if found is None or found[1].get("engine") != "gpu":
            return 0, 0
        tensors, counters = found
        self.inputs.copy_(tensors["inputs"])
        self.outputs.copy_(tensors["outputs"])
        watch.notes.update(counters["notes"])
        return int(counters["epoch"]), int(counters["kept_words"])

    def state(self, epoch: int, kept: int, notes: dict[str, Any]) -> State:
        """Return what a checkpoint after `epoch` epochs holds."""
        counters = {"engine": "gpu", "epoch": epoch, "kept_words": kept, "notes": notes}
        return {"inputs": self.inputs, "outputs": self.outputs}, counters

    def table(self, table: Tensor) -> FloatArray:
        """Return a copy (V, D) of a table in the machine's memory."""
        copy: FloatArray = np.array(table[:, : self._task.dim].cpu().numpy(), np.float32)
        return copy

    def epoch(self, epoch: int, watch: Watch) -> int:
        """Train on the whole corpus once and return how many words were kept."""
        kept = 0
        for shard, begin in enumerate(range(0, len(self._words), SHARD)):
            # A seed for each shard, so that an epoch can be drawn again without those before it.
            seeds = np.random.SeedSequence((self._task.seed % 2**64, epoch, shard)).generate_state(2) >> 1
            words, texts = self._subsampled(begin, seed=int(seeds[0]))
            raw = min(SHARD, len(self._words) - begin)
            first, last = (self._rate(epoch + place / len(self._words)) for place in (begin, begin + raw))
            told = 0
            for done in self._trained(words, texts, key=int(seeds[1]), rate=first, last=last):
                watch.advance(round(raw * done) - told)
                told = round(raw * done)
            kept += len(words)
        return kept

    def _subsampled(self, begin: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Return the kept words of a shard and their texts' numbers."""
        import torch

        words, texts = (whole[begin : begin + SHARD] for whole in (self._words, self._texts))
        if self._keep is None:
            return words, texts
        generator = torch.Generator(self._device).manual_seed(seed)
        drawn = torch.rand(len(words), generator=generator, device=self._device)
        kept = torch.nonzero(drawn < self._keep.index_select(0, words)).squeeze(1)
        return words.index_select(0, kept), texts.index_select(0, kept)

    def _trained(self, words: Tensor, texts: Tensor, *, key: int, rate: float, last: float) -> Iterator[float]:
        """Train on a shard, launch after launch of equal size; yield the share that is done."""
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
        return begin - (begin - min(begin, LOWEST_RATE)) * epochs / self._task.epochs

    def _moved(self, array: NDArray[np.generic]) -> Tensor:
        import torch

        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _processors(self) -> int:
        import torch

        if self._device.type == "cpu":
            return 1
        return int(torch.cuda.get_device_properties(self._device).multi_processor_count)

    def _wait(self) -> None:
        import torch

        if self._device.type == "cuda":
            torch.cuda.synchronize()


def _shares(weights: NDArray[np.floating]) -> FloatArray:
    """Return weights (V) as shares of their sum, without the unknown word."""
    weights = np.append(0.0, weights[1:])
    shares: FloatArray = (weights / max(1e-9, weights.sum())).astype(np.float32)
    return shares


def _refuse(task: SkipGramTask) -> None:
    """Raise ConfigError with every reason why this engine cannot do `task` here."""
    faults = []
    if task.spelling is not None:
        faults.append(
            "engine: found gpu with subwords, whose vectors it does not train; expected an engine that does. "
            "Choose engine: cpu."
        )
    if task.deterministic:
        faults.append(
            "engine: found gpu with deterministic: true, but a GPU's additions race and no two runs give the same "
            "bits; expected an engine that repeats. Choose engine: cpu."
        )
    if importlib.util.find_spec("triton") is None:
        faults.append(
            "engine: found gpu, but triton, its compiler, is not installed; expected version 3.6 or later. "
            "Install nlptl[gpu] or choose engine: cpu."
        )
    elif not _cuda() and os.environ.get("TRITON_INTERPRET") != "1":
        faults.append(
            "engine: found gpu, but torch sees no CUDA device; expected one with a driver that torch was built for. "
            "Check torch.cuda.is_available() or choose engine: cpu."
        )
    if faults:
        raise ConfigError(faults)


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()
