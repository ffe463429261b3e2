"""How the GPU engine lays out its work: how much at once, in matrices of which sizes, how fast.

Shapes: V words of the vocabulary.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from nlptl.pretraining.word2vec.engines import FloatArray, SkipGramTask

SECTOR = 8  # numbers to whose multiple rows are padded: the GPU reads and adds 32 bytes at a time


@dataclasses.dataclass(frozen=True)
class Tuning:
    """How the work is laid out; the defaults are for a GPU with 100 to 200 processors."""

    words_per_segment: int = 8_192
    """Words of the corpus for each segment that trains at the same time: more segments than this allows work on rows
    that others are changing, which costs quality on small corpora."""
    segments_per_processor: int = 1
    """Segments at the same time for each of the GPU's processors; more hide latency, and stale rows cost quality."""
    tiles_per_launch: int = 256
    """Most tiles of a segment between two reports of progress."""
    centres: int = 16
    """Centres trained on at once by a segment; a tensor core's smallest matrix has 16 rows."""
    noise_per_centre: int = 2
    """Noise words in a tile's pool for each of its centres; more lower the variance and move more memory."""
    longest_step: float = 8.0
    """Most that all segments at once are expected to add to a row, as a multiple of other rows; keeps frequent words, of
    which every segment holds some, from overshooting."""
    warps: int = 4
    """Warps of 32 threads a segment, twice as many for windows beyond 24."""
    half: bool = True
    """Multiply in bfloat16 and add up in float32; the tables are float32 either way. Ignored by the interpreter."""


@dataclasses.dataclass(frozen=True)
class Tile:
    """Sizes of the kernel's matrices; those in slots are powers of two of at least 16, as tensor cores want them."""

    centres: int
    """Centres that are trained on at once, all from the same state of their rows."""
    slots: int
    """Slots for centres."""
    contexts: int
    """Slots for context words, which reach a window beyond the centres on both sides."""
    noise: int
    """Noise words that the pairs share."""
    block: int
    """Columns of a row worked on at once."""
    warps: int
    """Warps of 32 threads that work on it."""


def row_width(dim: int) -> int:
    """Return how many columns a table has for vectors of `dim` numbers; the rest is zero and stays it."""
    return -(-dim // SECTOR) * SECTOR


def tile_for(task: SkipGramTask, tuning: Tuning) -> Tile:
    """Return the tile that holds the centres and their widest contexts."""
    contexts = _slots(2 * task.window + tuning.centres)
    noise = _slots(max(tuning.noise_per_centre * tuning.centres, task.negatives))
    return Tile(
        centres=tuning.centres,
        slots=_slots(tuning.centres),
        contexts=contexts,
        noise=noise,
        block=_block(row_width(task.dim), most=4096 // max(contexts, noise)),
        warps=tuning.warps if contexts <= 64 else 2 * tuning.warps,
    )


def highest_rates(shares: FloatArray, task: SkipGramTask, tuning: Tuning, *, at_once: int) -> FloatArray:
    """Return the highest learning rate of each word's rows (V); `shares` (V) of the words are its own.

    Whatever trains at once adds up changes that were computed from the same row. Where that row's word is among the
    most frequent ones, hundreds of them carry it past the minimum, further each time. Its own lower rate keeps the sum
    in bounds; it is where the slope is zero all the same.
    """
    terms = (1 + task.negatives) * (task.window + 1)
    rates: FloatArray = (tuning.longest_step / (terms * (1 + at_once * shares))).astype(np.float32)
    return rates


def _block(width: int, *, most: int) -> int:
    """Return a row whole where it fits into registers, else 64 columns or fewer, which waste little of the last block."""
    whole = _slots(width)
    return whole if whole <= min(128, most) else max(16, min(64, most))


def _slots(least: int) -> int:
    return max(16, 1 << (least - 1).bit_length())
