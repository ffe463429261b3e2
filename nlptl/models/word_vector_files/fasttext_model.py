"""fastText's own model file (.bin), read: words, counts, vectors, and the vectors of character n-grams.

fastText gives a word the mean of its own row and those of its n-grams (Bojanowski et al. 2017).
Shapes: V words, D dimension, S buckets of n-grams.
"""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError
from nlptl.inference.spelling import Spelling, bucket_ids
from nlptl.models.word_vector_files.packed_files import check_memory, most_bytes, opened
from nlptl.models.word_vector_files.vector_text import BLOCK, MAX_WIDTH, MAX_WORD_BYTES, FloatArray

MAGIC = 793712314
MARK = struct.pack("<i", MAGIC)
VERSIONS = (11, 12)
SUPERVISED = 3
MAX_GRAM = 100  # characters of an n-gram
WORDS_AT_ONCE = 2_000
END_OF_LINE = b"</s>"  # fastText gives it no n-grams
WORD, LABEL = 0, 1
Entry = tuple[bytes, int, int]  # word, count and kind


class FastTextSettings(NamedTuple):
    """Beginning of a model file, in its order."""

    magic: int
    version: int
    dim: int
    window: int
    epochs: int
    min_count: int
    negatives: int
    word_ngrams: int
    loss: int
    model: int
    buckets: int
    min_gram: int
    max_gram: int
    rate_updates: int
    subsample: float
    entries: int
    words: int
    labels: int
    tokens: int
    pruned: int


SETTINGS = struct.Struct("<14id3i2q")


@dataclasses.dataclass(frozen=True)
class FastTextModel:
    """Words of a model, with the vectors that fastText gives them."""

    words: list[bytes]
    counts: NDArray[np.int64]  # (V,)
    vectors: FloatArray  # (V, D)
    spelling: Spelling | None = None  # None: the model has no n-grams
    buckets: FloatArray | None = None  # (S, D)
    uses_word_ngrams: bool = False  # vectors of word n-grams are not read


def read_settings(path: Path, file: IO[bytes]) -> FastTextSettings:
    """Read and check the beginning. Raises DataError for a model that is quantised, damaged or larger than its file."""
    head = file.read(SETTINGS.size)
    if len(head) < SETTINGS.size:
        raise _cut_off(path)
    found = FastTextSettings(*SETTINGS.unpack(head))
    if found.version not in VERSIONS:
        raise _damaged(path, f"version {found.version} of the format; expected 11 or 12")
    if not 0 < found.dim <= MAX_WIDTH:
        raise _damaged(path, f"vectors of {found.dim} numbers; expected 1 to {MAX_WIDTH:,}")
    if min(found.words, found.labels, found.buckets, found.tokens) < 0 or found.words + found.labels != found.entries:
        raise _damaged(path, f"{found.entries} entries of {found.words} words and {found.labels} labels")
    if not 0 <= found.min_gram <= MAX_GRAM or not 0 <= found.max_gram <= MAX_GRAM:
        raise _damaged(path, f"n-grams of {found.min_gram} to {found.max_gram} characters; expected 0 to {MAX_GRAM}")
    if found.pruned >= 0:
        raise _quantised(path)
    if 10 * found.entries > most_bytes(path):
        raise _cut_off(path)
    if 4 * found.dim * (found.words + found.buckets) > most_bytes(path):
        raise _quantised(path) if _source_behind_entries(path, file, found)[1].take(1) == b"\1" else _cut_off(path)
    check_memory(path, rows=found.words + found.buckets, width=found.dim)
    return found


def read_fasttext(path: Path) -> FastTextModel:
    """Read a model, supervised or not. Raises DataError for a quantised or damaged file."""
    with opened(path) as file:
        settings = read_settings(path, file)
        entries, source = _source_behind_entries(path, file, settings)
        if source.take(1) != b"\0":
            raise _quantised(path)
        rows, width = struct.unpack("<2q", source.take(16))
        has_buckets = settings.buckets > 0
        if width != settings.dim or rows != settings.words + settings.buckets:
            raise _damaged(
                path, f"a table of {rows} × {width}; expected {settings.words + settings.buckets} × {settings.dim}"
            )
        vectors = source.floats(settings.words, width)
        spelling = _spelling(settings) if has_buckets else None
        buckets = source.floats(settings.buckets, width) if spelling else None
        if spelling is None:
            source.skip(4 * width * settings.buckets)
        _check_end(path, source, width)
    words = [word for word, _, kind in entries if kind == WORD]
    counts = np.array([count for _, count, kind in entries if kind == WORD], np.int64)
    if len(words) != settings.words or [kind for *_, kind in entries[: len(words)]] != [WORD] * len(words):
        raise _damaged(path, f"{len(words)} words; expected {settings.words}, before all labels")
    if spelling is not None and buckets is not None:
        if not np.isfinite(buckets).all():
            raise _damaged(path, "NaN or infinity in the vectors of its n-grams")
        _compose(words, vectors, buckets, spelling)
    return FastTextModel(words, counts, vectors, spelling, buckets, uses_word_ngrams=settings.word_ngrams > 1)


class _Source:
    """Bytes of a file, of which some are read already."""

    def __init__(self, path: Path, file: IO[bytes], rest: bytes) -> None:
        self._path, self._file, self._rest = path, file, rest

    def take(self, count: int) -> bytes:
        """Read `count` bytes. Raises DataError if the file has fewer."""
        taken, self._rest = self._rest[:count], self._rest[count:]
        taken += self._file.read(count - len(taken))
        if len(taken) < count:
            raise _cut_off(self._path)
        return taken

    def floats(self, rows: int, width: int) -> FloatArray:
        """Read a table (rows, width)."""
        table = np.empty(rows * width, "<f4")  # its size was compared with the file's
        for begin in range(0, len(table), BLOCK // 4):
            part = table[begin : begin + BLOCK // 4]
            part[:] = np.frombuffer(self.take(part.nbytes), "<f4")
        return table.reshape(rows, width)

    def skip(self, count: int) -> None:
        """Pass over `count` bytes."""
        for begin in range(0, count, BLOCK):
            self.take(min(BLOCK, count - begin))

    def ends(self) -> bool:
        """Return whether no byte is left."""
        return not self._rest and not self._file.read(1)


def _source_behind_entries(path: Path, file: IO[bytes], settings: FastTextSettings) -> tuple[list[Entry], _Source]:
    """Return word, count and kind of each entry, and the bytes behind the last."""
    entries: list[Entry] = []
    rest, begin, told = b"", 0, 0
    while len(entries) < settings.entries:
        end = rest.find(b"\0", begin, begin + MAX_WORD_BYTES)
        if end >= 0 and end + 10 <= len(rest):
            count, kind = struct.unpack_from("<qb", rest, end + 1)
            if kind not in (WORD, LABEL) or count < 0:
                raise _damaged(path, f"entry {len(entries) + 1} of kind {kind} and count {count}")
            entries.append((rest[begin:end], count, kind))
            begin = end + 10
            continue
        if len(rest) - begin >= MAX_WORD_BYTES and end < 0:
            raise _damaged(path, f"entry {len(entries) + 1} of more than {MAX_WORD_BYTES:,} bytes")
        if len(entries) - told > 2 * len(
            {word for word, *_ in entries[told:]}
        ):  # a packed file may hold no end of them
            raise _damaged(path, f"the same words again and again from entry {told + 1} on")
        told = len(entries)
        more = file.read(BLOCK)
        if not more:
            raise _cut_off(path)
        rest, begin = rest[begin:] + more, 0
    return entries, _Source(path, file, rest[begin:])


def _spelling(settings: FastTextSettings) -> Spelling | None:
    """Return how words become n-grams; None for a model of whole words."""
    old = settings.version == 11 and settings.model == SUPERVISED  # these never used n-grams
    if old or not 0 < settings.max_gram or settings.max_gram < settings.min_gram:
        return None
    return Spelling(min=max(1, settings.min_gram), max=settings.max_gram, buckets=settings.buckets)


def _check_end(path: Path, source: _Source, width: int) -> None:
    """Pass over the output table, so that a file that was cut off is told. It must be the last."""
    source.take(1)
    rows, columns = struct.unpack("<2q", source.take(16))
    if rows < 0 or columns != width:
        raise _damaged(path, f"an output table of {rows} × {columns}")
    source.skip(4 * rows * columns)
    if not source.ends():
        raise _damaged(path, "more bytes behind its last table")


def _compose(words: list[bytes], vectors: FloatArray, buckets: FloatArray, spelling: Spelling) -> None:
    """Turn the words' own rows into the means that fastText gives them."""
    spelt = [place for place, word in enumerate(words) if word != END_OF_LINE]
    for begin in range(0, len(spelt), WORDS_AT_ONCE):
        places = spelt[begin : begin + WORDS_AT_ONCE]
        ids, offsets = bucket_ids([words[place].decode("utf-8", "replace") for place in places], spelling)
        grams = np.diff(offsets)
        rows = vectors[places]
        if (has := grams > 0).any():
            rows[has] += np.add.reduceat(buckets[ids], offsets[:-1][has], axis=0)
        vectors[places] = rows / (grams[:, None].astype(np.float32) + 1)


def _damaged(path: Path, found: str) -> DataError:
    return DataError(f"{path}: this fastText model is damaged: found {found}. Fetch or save it again.")


def _cut_off(path: Path) -> DataError:
    return DataError(
        f"{path}: this fastText model was cut off: its tables are larger than the file. Fetch or save it again."
    )


def _quantised(path: Path) -> DataError:
    return DataError(
        f"{path}: is a quantised fastText model (.ftz), whose vectors are compressed and not read here; expected a "
        "model before `quantize` (.bin) or its vectors as text (.vec). Give one of these."
    )
