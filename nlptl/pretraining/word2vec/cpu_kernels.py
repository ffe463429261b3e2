"""Skip-gram with negative sampling over segments of text on one core.

Threads share the tables without locks (Recht et al. 2011): a lost update is rare and does no harm. Draws depend on seed,
epoch and segment alone, so one thread repeats exactly. For each centre word, its context words and noise words make one
small matrix product. All pairs of the centre share the noise words (Ji et al. 2016). The context rows stay in a ring in
the cache while the window slides over them, and their change is written once, when they leave it. As in word2vec.c the
context word is the input and predicts the centre word, which is the same sum over pairs.

Shapes: V words, D dimension (padded to 16), P segments of text, S rows of n-grams.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit, uint32, uint64
from numpy.typing import NDArray

from nlptl.pretraining.word2vec import simd
from nlptl.pretraining.word2vec.sampling import Sampling
from nlptl.training.compiled import kept_njit

MAX_SEGMENT_WORDS = 10_000  # longer texts are cut, as in gensim
AHEAD = 2  # centres whose rows are prefetched
FloatArray = NDArray[np.float32]
Ids = NDArray[np.int32]
GOLDEN = uint64(0x9E3779B97F4A7C15)


class SegmentedTexts(NamedTuple):
    """Corpus, cut into segments."""

    ids: Ids
    begins: NDArray[np.int64]  # (P + 1,) start of each segment in `ids`; none is longer than MAX_SEGMENT_WORDS


class Tables(NamedTuple):
    """Trained tables."""

    vectors: FloatArray  # (V, D) input vectors; with n-grams the words' own parts
    contexts: FloatArray  # (V, D) output vectors
    grams: FloatArray  # (S, D) vectors of n-grams; (0, D) without


class Grams(NamedTuple):
    """N-grams of each word; empty without subwords."""

    rows: Ids
    begins: NDArray[np.int64]  # (V + 1,) start of each word in `rows`


class Workspace(NamedTuple):
    """Scratch buffers of one thread."""

    rows: FloatArray  # (2 * ring + 1, D) the ring's rows, their copies, and a row of zeros
    words: Ids
    reach: Ids
    noise: Ids
    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]
    gradients: FloatArray


class EpochParameters(NamedTuple):
    """Parameters of one epoch."""

    window: int
    negatives: int
    seed: np.uint64  # of the epoch
    first_rate: float  # learning rate at the epoch's first word
    rate_a_word: float  # decrease of the learning rate from word to word
    least_rate: float


def new_workspace(*, window: int, negatives: int, floats: int) -> Workspace:
    """Return a workspace for rows of `floats` numbers, aligned to 64 bytes."""
    contexts = 2 * window + 2
    return Workspace(
        rows=aligned_zeros(2 * (2 * window + 1) + 1, floats),
        words=np.empty(MAX_SEGMENT_WORDS, np.int32),
        reach=np.empty(MAX_SEGMENT_WORDS, np.int32),
        noise=np.empty(MAX_SEGMENT_WORDS * negatives, np.int32),
        inputs=np.empty(contexts, np.int64),
        outputs=np.empty(simd.OUTPUTS, np.int64),
        gradients=np.empty((contexts + 2, simd.LANES), np.float32),
    )


def aligned_zeros(rows: int, floats: int) -> FloatArray:
    """Return zeros (rows, floats), aligned to 64 bytes."""
    memory = np.zeros(rows * floats + 16, np.float32)
    begin = -memory.ctypes.data % 64 // 4
    return memory[begin : begin + rows * floats].reshape(rows, floats)


@njit(inline="always", error_model="numpy")
def _mixed(z: Any) -> Any:
    """Return 64 random bits for a counter (SplitMix64, Steele et al. 2014)."""
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


@njit(inline="always", error_model="numpy")
def _below(bits: Any, count: int) -> Any:
    """Return a number from 0 to count - 1 by the upper half of 64 random bits."""
    return np.int64(((bits >> uint64(32)) * uint64(count)) >> uint64(32))


@njit(nogil=True, error_model="numpy")
def drawn(texts: SegmentedTexts, sampling: Sampling, room: Workspace, plan: EpochParameters, piece: int) -> int:
    """Draw the kept words of a segment, the reach of each window, and noise words. Return how many are kept."""
    counter = _mixed(plan.seed + uint64(piece) * uint64(0xD1342543DE82EF95))
    kept = 0
    for place in range(texts.begins[piece], texts.begins[piece + 1]):
        word = texts.ids[place]
        counter += GOLDEN
        if uint32(_mixed(counter) >> uint64(32)) <= sampling.keep[word]:
            room.words[kept] = word
            kept += 1
    slots = len(sampling.alias) - 1
    for i in range(kept):
        counter += GOLDEN
        room.reach[i] = 1 + _below(_mixed(counter), plan.window)
    for i in range(kept * plan.negatives):
        counter += GOLDEN
        bits = _mixed(counter)
        slot = 1 + _below(bits, slots)
        room.noise[i] = slot if uint32(bits) < sampling.threshold[slot] else sampling.alias[slot]
    return kept


@njit(nogil=True, error_model="numpy")
def _enter(tables: Tables, grams: Grams, word: int, row: int, copy: int) -> None:
    """Copy a word's input vector into the ring: its own, or the mean of it and its n-grams'."""
    floats = tables.vectors.shape[1]
    simd.enter(tables.vectors.ctypes.data + word * floats * 4, row, copy, floats)
    if len(grams.rows):
        begin, end = grams.begins[word], grams.begins[word + 1]
        for i in range(begin, end):
            simd.add(row, tables.grams.ctypes.data + np.int64(grams.rows[i]) * floats * 4, floats)
        simd.scale_into(row, copy, np.float32(1) / np.float32(end - begin + 1), floats)


@njit(nogil=True, error_model="numpy")
def _leave(tables: Tables, grams: Grams, word: int, row: int, copy: int) -> None:
    """Add the change of a row in the ring to the vectors of the word and of its n-grams."""
    floats = tables.vectors.shape[1]
    if not len(grams.rows):
        simd.add_difference(tables.vectors.ctypes.data + word * floats * 4, row, copy, floats)
        return
    simd.subtract(row, copy, floats)
    simd.add(tables.vectors.ctypes.data + word * floats * 4, row, floats)
    for i in range(grams.begins[word], grams.begins[word + 1]):
        simd.add(tables.grams.ctypes.data + np.int64(grams.rows[i]) * floats * 4, row, floats)


@njit(nogil=True, error_model="numpy")
def _prefetch(tables: Tables, grams: Grams, word: int) -> None:
    floats = tables.vectors.shape[1]
    simd.prefetch(tables.vectors.ctypes.data + word * floats * 4, floats)
    if len(grams.rows):
        for i in range(grams.begins[word], grams.begins[word + 1]):
            simd.prefetch(tables.grams.ctypes.data + np.int64(grams.rows[i]) * floats * 4, floats)


@njit(nogil=True, error_model="numpy")
def _train_centre(tables: Tables, room: Workspace, plan: EpochParameters, centre: int, rows: int, rate: Any) -> None:
    """Take gradient steps for one centre word: `rows` context rows against six targets at a time."""
    floats = tables.contexts.shape[1]
    base, zeros = tables.contexts.ctypes.data, room.rows.ctypes.data + (len(room.rows) - 1) * floats * 4
    word = room.words[centre]
    towards, scale = room.gradients[-2], room.gradients[-1]
    done = 0  # of 1 + negatives targets, the centre word first
    while done <= plan.negatives:
        for k in range(simd.OUTPUTS):
            target = done + k
            towards[k] = rate if target == 0 else 0
            room.outputs[k] = zeros
            scale[k] = 0
            if target <= plan.negatives:
                other = word if target == 0 else room.noise[centre * plan.negatives + target - 1]
                if target == 0 or other != word:
                    room.outputs[k] = base + np.int64(other) * floats * 4
                    scale[k] = rate
        simd.step(
            room.inputs.ctypes.data, room.outputs.ctypes.data, towards.ctypes.data, scale.ctypes.data,
            room.gradients.ctypes.data, rows, floats,
        )  # fmt: skip
        done += simd.OUTPUTS


@njit(nogil=True, error_model="numpy")
def _inputs_of(room: Workspace, centre: int, kept: int, ring: int) -> int:
    """List the addresses of a centre's context rows, the last of an odd number twice. Return how many."""
    row_bytes = room.rows.shape[1] * 4
    base = room.rows.ctypes.data
    reach = room.reach[centre]
    rows = 0
    for place in range(max(0, centre - reach), min(kept, centre + reach + 1)):
        if place != centre:
            room.inputs[rows] = base + place % ring * row_bytes
            rows += 1
    if rows % 2:
        room.inputs[rows] = room.inputs[rows - 1]
    return rows


@njit(nogil=True, error_model="numpy")
def _train_piece(tables: Tables, grams: Grams, room: Workspace, plan: EpochParameters, kept: int, rate: Any) -> None:
    """Slide the window over the kept words of a segment."""
    floats = tables.vectors.shape[1]
    row_bytes, ring = floats * 4, 2 * plan.window + 1
    base = room.rows.ctypes.data
    copies = base + ring * row_bytes
    contexts = tables.contexts.ctypes.data
    entered = left = 0
    for centre in range(kept):
        while entered < min(centre + plan.window + 1, kept):
            if entered - left >= ring:
                slot = left % ring * row_bytes
                _leave(tables, grams, room.words[left], base + slot, copies + slot)
                left += 1
            slot = entered % ring * row_bytes
            _enter(tables, grams, room.words[entered], base + slot, copies + slot)
            entered += 1
        if centre + AHEAD < kept:
            simd.prefetch(contexts + np.int64(room.words[centre + AHEAD]) * row_bytes, floats)
            for i in range((centre + AHEAD) * plan.negatives, (centre + AHEAD + 1) * plan.negatives):
                simd.prefetch(contexts + np.int64(room.noise[i]) * row_bytes, floats)
        if entered + AHEAD < kept:
            _prefetch(tables, grams, room.words[entered + AHEAD])
        rows = _inputs_of(room, centre, kept, ring)
        if rows:
            _train_centre(tables, room, plan, centre, rows, rate)
    for place in range(left, entered):
        slot = place % ring * row_bytes
        _leave(tables, grams, room.words[place], base + slot, copies + slot)


@kept_njit(nogil=True, error_model="numpy")
def train_segments(
    texts: SegmentedTexts, sampling: Sampling, tables: Tables, grams: Grams, room: Workspace, plan: EpochParameters,
    first: int, last: int,
) -> int:  # fmt: skip
    """Train on segments `first` to `last` - 1 in order. Return the number of kept words."""
    total = 0
    for piece in range(first, last):
        kept = drawn(texts, sampling, room, plan, piece)
        total += kept
        rate = max(plan.least_rate, plan.first_rate - plan.rate_a_word * texts.begins[piece])
        _train_piece(tables, grams, room, plan, kept, np.float32(rate))
    return total


@kept_njit(nogil=True, error_model="numpy")
def composed(vectors: FloatArray, gram_vectors: FloatArray, rows: Ids, begins: NDArray[np.int64]) -> FloatArray:
    """Return the mean (V, D) of each word's own vector and those of its n-grams."""
    result = vectors.copy()
    for word in range(len(vectors)):
        for i in range(begins[word], begins[word + 1]):
            result[word] += gram_vectors[rows[i]]
        result[word] /= np.float32(begins[word + 1] - begins[word] + 1)
    return result
