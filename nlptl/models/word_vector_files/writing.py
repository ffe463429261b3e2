"""Word vectors for other tools: word2vec text and binary, GloVe text, files of counts, fastText's models.

Shapes: V words, D dimension, S buckets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

from nlptl.models.spelling import Spelling, bucket_ids
from nlptl.models.word_vector_files.reading import FloatArray, Format

ROWS = 2_000  # vectors written at once
MAGIC, VERSION = 793712314, 12  # of fastText's files
NEGATIVE_SAMPLING, SKIP_GRAM = 2, 2  # fastText's numbers of its losses and models
NO_PRUNING = -1


def is_writable(word: str) -> bool:
    """Say whether a word can stand in these files: no space of any kind ends it early, and it is not empty."""
    return bool(word) and not any(character.isspace() or character == "\0" for character in word)


def write_vectors(file: IO[bytes], words: Sequence[str], vectors: FloatArray, *, format: Format) -> None:
    """Write writable words and vectors (V, D) in a format that `read_vectors` reads; text has all digits that count."""
    width = vectors.shape[1]
    if format != "glove":
        file.write(f"{len(words)} {width}\n".encode())
    line = "%s" + " %.9g" * width + "\n"
    for begin in range(0, len(words), ROWS):
        rows = zip(words[begin : begin + ROWS], vectors[begin : begin + ROWS], strict=True)
        if format == "word2vec-binary":
            file.write(b"".join(f"{word} ".encode() + row.astype("<f4").tobytes() + b"\n" for word, row in rows))
        else:
            file.write("".join(line % (word, *row.tolist()) for word, row in rows).encode())


def write_counts(file: IO[bytes], words: Sequence[str], counts: NDArray[np.int64]) -> None:
    """Write how often each word occurs (V,), as word2vec's -save-vocab does and gensim reads it (fvocab)."""
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
    """Write fastText's model of skip-gram (its .bin) that gives each word its row of `vectors` (V, D).

    There a word has a vector of its own, which is averaged with those of its n-grams in `buckets` (S, D) when it is
    read. Vectors of contexts are written as zeros: the model gives vectors and cannot be trained further.
    """
    width = vectors.shape[1]
    window, epochs, negatives, subsample, rate_updates = 5, 5, 5, 1e-4, 100  # of no use to a finished model
    file.write(struct.pack("<2i", MAGIC, VERSION))
    file.write(
        struct.pack(
            "<12id", width, window, epochs, 1, negatives, 1, NEGATIVE_SAMPLING, SKIP_GRAM, spelling.buckets,
            spelling.min, spelling.max, rate_updates, subsample,
        )
    )  # fmt: skip
    counted = np.maximum(1, counts)  # readers drop words that never occur, and then miss their vectors
    file.write(struct.pack("<3i2q", len(words), len(words), 0, int(counted.sum()), NO_PRUNING))
    for word, count in zip(words, counted.tolist(), strict=True):
        file.write(word.encode() + b"\0" + struct.pack("<qb", count, 0))
    file.write(struct.pack("<?2q", False, len(words) + len(buckets), width))
    for rows in _own_vectors(words, vectors, buckets, spelling):
        file.write(rows.astype("<f4").tobytes())
    for begin in range(0, len(buckets), ROWS):
        file.write(buckets[begin : begin + ROWS].astype("<f4").tobytes())
    file.write(struct.pack("<?2q", False, len(words), width))
    for begin in range(0, len(words), ROWS):
        file.write(bytes(4 * width * len(words[begin : begin + ROWS])))


def _own_vectors(
    words: Sequence[str], vectors: FloatArray, buckets: FloatArray, spelling: Spelling
) -> Iterator[NDArray[np.float64]]:
    """Yield own = (n + 1) v - sum of the n-grams' vectors, for some words (.., D) after the other."""
    for begin in range(0, len(words), ROWS):
        ids, offsets = bucket_ids(words[begin : begin + ROWS], spelling)
        grams = np.diff(offsets)
        own = vectors[begin : begin + ROWS] * (grams[:, None] + 1.0)
        has = grams > 0
        if has.any():
            own[has] -= np.add.reduceat(buckets[ids], offsets[:-1][has], axis=0, dtype=np.float64)
        yield own
