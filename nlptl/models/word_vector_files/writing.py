"""Word vectors written for other tools: word2vec text and binary, GloVe text, files of counts, fastText's models.

Shapes: V words, D dimension, S buckets.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

from nlptl.inference.spelling import Spelling, bucket_ids
from nlptl.models.word_vector_files.reading import Format
from nlptl.models.word_vector_files.vector_text import FloatArray

VECTORS_AT_ONCE = 2_000
MAGIC, FORMAT = 793712314, 12  # of fastText's files
NEGATIVE_SAMPLING, SKIP_GRAM = 2, 2  # fastText's numbers of its losses and models
NO_PRUNING = -1


def is_writable(word: str) -> bool:
    """Say whether these files can hold a word: it is not empty and has no space of any kind, which would end it."""
    return bool(word) and not any(character.isspace() or character == "\0" for character in word)


def write_vectors(file: IO[bytes], words: Sequence[str], vectors: FloatArray, *, format: Format) -> None:
    """Write writable words and vectors (V, D) in a format that `read_vectors` reads. Text keeps all significant digits."""
    width = vectors.shape[1]
    if format != "glove":
        file.write(f"{len(words)} {width}\n".encode())
    line = "%s" + " %.9g" * width + "\n"
    for begin in range(0, len(words), VECTORS_AT_ONCE):
        rows = zip(words[begin : begin + VECTORS_AT_ONCE], vectors[begin : begin + VECTORS_AT_ONCE], strict=True)
        if format == "word2vec-binary":
            file.write(b"".join(f"{word} ".encode() + row.astype("<f4").tobytes() + b"\n" for word, row in rows))
        else:
            file.write("".join(line % (word, *row.tolist()) for word, row in rows).encode())


def write_counts(file: IO[bytes], words: Sequence[str], counts: NDArray[np.int64]) -> None:
    """Write the counts (V,) of words as word2vec's -save-vocab does, for gensim's fvocab."""
    file.writelines(f"{word} {count}\n".encode() for word, count in zip(words, counts.tolist(), strict=True))


def write_fasttext(
    file: IO[bytes],
    words: Sequence[str],
    vectors: FloatArray,
    counts: NDArray[np.int64],
    *,
    buckets: FloatArray,
    spelling: Spelling,
) -> None:
    """Write fastText's skip-gram model (its .bin) that gives each word its row of `vectors` (V, D).

    fastText averages a word's own vector, solved for here, with those of its n-grams in `buckets` (S, D). Context vectors
    are zero, so the model cannot be trained further.
    """
    width = vectors.shape[1]
    window, epochs, negatives, subsample, rate_updates = 5, 5, 5, 1e-4, 100  # a finished model does not use them
    file.write(struct.pack(
        "<14id", MAGIC, FORMAT, width, window, epochs, 1, negatives, 1, NEGATIVE_SAMPLING, SKIP_GRAM, spelling.buckets,
        spelling.min, spelling.max, rate_updates, subsample,
    ))  # fmt: skip
    counted = np.maximum(1, counts)  # readers drop words of count 0
    file.write(struct.pack("<3i2q", len(words), len(words), 0, int(counted.sum()), NO_PRUNING))
    for word, count in zip(words, counted.tolist(), strict=True):
        file.write(word.encode() + b"\0" + struct.pack("<qb", count, 0))
    file.write(struct.pack("<?2q", False, len(words) + len(buckets), width))
    for begin in range(0, len(words), VECTORS_AT_ONCE):  # own = (n + 1) v - sum of the n-grams' vectors
        ids, offsets = bucket_ids(words[begin : begin + VECTORS_AT_ONCE], spelling)
        grams = np.diff(offsets)
        own: NDArray[np.float64] = vectors[begin : begin + VECTORS_AT_ONCE] * (grams[:, None] + 1.0)
        if (has := grams > 0).any():
            own[has] -= np.add.reduceat(buckets[ids], offsets[:-1][has], axis=0, dtype=np.float64)
        file.write(own.astype("<f4").tobytes())
    for begin in range(0, len(buckets), VECTORS_AT_ONCE):
        file.write(buckets[begin : begin + VECTORS_AT_ONCE].astype("<f4").tobytes())
    file.write(struct.pack("<?2q", False, len(words), width))
    file.writelines(bytes(4 * width) for _ in words)
