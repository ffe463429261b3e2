"""Layout of the GPU engine's work: sizes of matrices, segments at once, learning rates.

Shapes: V words.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from nlptl.pretraining.word2vec.engines import FloatArray, SkipGramTask

SECTOR = 8  # numbers to whose multiple rows are padded: the GPU reads and adds 32 bytes at a time


@dataclasses.dataclass(frozen=True)
class Tuning:
    """Layout of the work. The defaults suit a GPU with 100 to 200 processors."""

    words_per_segment: int = 8_192
    """Corpus words of each segment that trains at once. Fewer train more segments on stale rows, which costs quality on
    small corpora."""
    segments_per_processor: int = 1  # at once; more hide latency, but stale rows cost quality
    tiles_per_launch: int = 256  # maximum tiles of a segment between two reports of progress
    centres: int = 16  # of a tile; a tensor core's smallest matrix has 16 rows
    noise_per_centre: int = 2  # noise words of a tile; more lower the variance and move more memory
    longest_step: float = 8.0
    """Maximum change that all segments are expected to add to a row, as a multiple of other rows. Lower keeps frequent
    words, which every segment holds, from overshooting."""
    warps: int = 4  # of 32 threads a segment; windows beyond 24 get twice as many
    half: bool = True  # multiply in bfloat16, add in float32; tables are float32 either way; the interpreter ignores it


@dataclasses.dataclass(frozen=True)
class Tile:
    """Sizes of the kernel's matrices. Slots are powers of two of at least 16, as tensor cores need."""

    centres: int
    slots: int
    contexts: int  # slots for context words: the centres and a window on both sides
    noise: int  # noise words that all pairs share
    block: int  # columns of a row in one step
    warps: int


def row_width(dim: int) -> int:
    """Return the columns of a table for vectors of `dim` numbers. Padding stays zero."""
    return -(-dim // SECTOR) * SECTOR


def tile_for(task: SkipGramTask, tuning: Tuning) -> Tile:
    """Return the tile for the centres and their widest contexts."""
    contexts = _slots(2 * task.window + tuning.centres)
    noise = _slots(max(tuning.noise_per_centre * tuning.centres, task.negatives))
    block = _block(row_width(task.dim), max_columns=4096 // max(contexts, noise))
    warps = tuning.warps if contexts <= 64 else 2 * tuning.warps
    return Tile(tuning.centres, _slots(tuning.centres), contexts, noise, block, warps)


def highest_rates(shares: FloatArray, task: SkipGramTask, tuning: Tuning, *, at_once: int) -> FloatArray:
    """Return the highest learning rate of each word (V,); `shares` (V,) are their shares of the corpus.

    Segments that train at once add changes computed from the same row. For a frequent word hundreds of them overshoot
    the minimum, more each time. A lower rate bounds their sum and keeps the minimum where it is.
    """
    terms = (1 + task.negatives) * (task.window + 1)
    return np.asarray(tuning.longest_step / (terms * (1 + at_once * shares)), np.float32)


def _block(width: int, *, max_columns: int) -> int:
    """Return a whole row if it fits into registers, else at most 64 columns, which waste little of the last block."""
    whole = _slots(width)
    return whole if whole <= min(128, max_columns) else max(16, min(64, max_columns))


def _slots(size: int) -> int:
    return max(16, 1 << (size - 1).bit_length())
