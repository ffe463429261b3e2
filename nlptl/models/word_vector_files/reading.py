"""Word vectors read from other tools: word2vec text and binary, GloVe text, fastText's models, files of counts.

Shapes: V words, D dimension, S buckets of n-grams.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError
from nlptl.inference.spelling import Spelling
from nlptl.models.word_vector_files import fasttext_model
from nlptl.models.word_vector_files.foreign_files import refuse_foreign
from nlptl.models.word_vector_files.packed_files import check_memory, most_bytes, opened
from nlptl.models.word_vector_files.vector_binary import binary_blocks
from nlptl.models.word_vector_files.vector_text import (
    BOM,
    MAX_WIDTH,
    FloatArray,
    RecordError,
    fault_of_first_line,
    first_lines,
    headless_width,
    is_line_of,
    looks_like_text,
    text_blocks,
    widths_without_blanks,
)
from nlptl.models.word_vector_files.vector_words import checked_words

Format = Literal["word2vec", "word2vec-binary", "glove"]
HEAD = 100_000  # first bytes, which tell the format
MAX_HEADER_DIGITS = 18
NAMES = "word2vec text or binary, GloVe text, or fastText's .bin"


@dataclasses.dataclass(frozen=True)
class VectorFile:
    """Content of a file of word vectors."""

    words: list[str]
    vectors: FloatArray  # (V, D)
    counts: NDArray[np.int64] | None = None  # (V,) if the file states them
    spelling: Spelling | None = None  # of fastText's n-grams
    buckets: FloatArray | None = None  # (S, D) their vectors
    notes: tuple[str, ...] = ()  # sentences on what was left out


def read_vectors(path: Path) -> tuple[list[str], FloatArray]:
    """Read words and their vectors (V, D); see `read_vector_file`."""
    found = read_vector_file(path)
    return found.words, found.vectors


def read_vector_file(path: Path) -> VectorFile:
    """Read word2vec text or binary, GloVe text, or a fastText model, each optionally packed by gzip.

    Content tells the format. Raises DataError for a pickle (gensim's own .save), a damaged file, many words twice or not in
    UTF-8, words that run into their numbers, or NaN. A few words twice, not in UTF-8 or empty are left out and noted.
    """
    form, expected, width = inspect(path)
    try:
        if form == "fasttext":
            return _of_fasttext(path)
        words, vectors = _records(path, form, expected, width)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}). Fetch the file again.") from None
    except MemoryError:
        raise DataError(f"{path}: its vectors do not fit in memory. Give a file of fewer words or numbers.") from None
    kept, places, notes = checked_words(path, words)
    return VectorFile(kept, _rows(vectors, places), notes=notes)


def inspect(path: Path) -> tuple[Format | Literal["fasttext"], int | None, int]:
    """Return format, number of words (None for GloVe, which does not state it) and width, from a file's beginning."""
    if path.is_dir():
        raise DataError(
            f"{path}: is a folder; expected a file of word vectors ({NAMES}). Give the file inside, or write one from a run "
            "with `nlptl vectors export`."
        )
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected word vectors ({NAMES}). Check it.")
    try:
        with opened(path) as file:
            head = file.read(HEAD)
            if head.startswith(fasttext_model.MARK):
                file.seek(0)
                settings = fasttext_model.read_settings(path, file)
                return "fasttext", settings.words, settings.dim
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}). Check the file, or fetch it again.") from None
    refuse_foreign(path, head)
    lines = first_lines(head, whole=len(head) < HEAD)
    if not lines:
        raise DataError(f"{path}: is empty; expected word vectors. Fetch or export the file again.")
    first = lines[0].split()
    if len(first) == 2 and all(part.isdigit() and len(part) <= MAX_HEADER_DIGITS for part in first) and int(first[1]):
        return _under_header(path, head, lines[1:], int(first[0]), int(first[1]))
    width = headless_width(lines)
    if width is not None and width <= MAX_WIDTH:
        return "glove", None, width
    fault = fault_of_first_line(lines[0]) or (
        f"found {head[:30]!r}; expected a header 'words width' (word2vec) or a word and its numbers (GloVe). "
        "Give a file of one of these formats."
    )
    raise DataError(f"{path}:1: {fault}")


def counts_path(path: Path) -> Path:
    """Return the path of the counts of a vector file's words: FILE.vocab."""
    return path.with_name(f"{path.name}.vocab")


def read_counts(path: Path) -> dict[str, int] | None:
    """Return the counts that stand beside the vector file `path`, if any. Raises DataError for a line that is not one."""
    path = counts_path(path)
    if not path.is_file():
        return None
    counts: dict[str, int] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            fields = (line.removeprefix(BOM) if number == 1 else line).rsplit(None, 1)
            word, count = fields if len(fields) == 2 else (b"", b"")
            try:
                if not word.strip() or not count.isdigit() or len(count) > MAX_HEADER_DIGITS:
                    raise ValueError
                counts[word.strip().decode("utf-8")] = int(count)
            except ValueError:
                raise DataError(
                    f"{path}:{number}: found {line[:40]!r}; expected a word in UTF-8 and how often it occurs. "
                    "Correct the line, or remove the file to do without counts."
                ) from None
    return counts


def placed_vectors(vocabulary: Sequence[str], words: Sequence[str], vectors: FloatArray) -> FloatArray:
    """Return the vectors (V, D) of a vocabulary's words; NaN for words that have none."""
    places = {word: index for index, word in enumerate(vocabulary) if index}
    placed = np.full((len(vocabulary), vectors.shape[1]), np.nan, dtype=np.float32)
    for word, vector in zip(words, vectors, strict=True):
        if word in places:
            placed[places[word]] = vector
    return placed


def _under_header(path: Path, head: bytes, lines: list[bytes], count: int, width: int) -> tuple[Format, int, int]:
    """Tell text from binary under a header, and refuse a header that the file cannot hold."""
    if width > MAX_WIDTH:
        raise DataError(
            f"{path}:1: the header says {width:,} numbers a vector; expected at most {MAX_WIDTH:,}. "
            "Correct the header, or export the file again."
        )
    first_is_text = bool(lines) and (is_line_of(lines[0], width) or 0 not in widths_without_blanks(lines[:1]))
    if not first_is_text and not looks_like_text(head):
        if (4 * width + 2) * count > most_bytes(path):
            raise DataError(
                f"{path}: the file is too small for the {count:,} vectors of {width} numbers that its header says; it was "
                "cut off or its header is wrong. Fetch or export it again."
            )
        check_memory(path, rows=count, width=width)
        return "word2vec-binary", count, width
    found = widths_without_blanks(lines) - {0}
    if len(found) == 1 and min(found) > width:
        raise DataError(
            f"{path}:2: found {min(found)} numbers; expected {width} like in the header. Correct the header, or export "
            "the file again."
        )
    return "word2vec", count, width


def _records(path: Path, form: Format, expected: int | None, width: int) -> tuple[list[bytes], FloatArray]:
    """Read the records of a text or binary file. Raises DataError for the first faulty one."""
    words: list[bytes] = []
    blocks = [np.zeros((0, width), np.float32)]
    try:
        with opened(path) as file:
            if form != "glove":
                _pass_header(file)
            if form == "word2vec-binary":
                found = binary_blocks(file, expected or 0, width)
            else:
                found = text_blocks(file, width, begins=form == "glove")
            for some, rows in found:
                _check_finite(path, some, rows, before=len(words))
                words.extend(some)
                blocks.append(rows)
                if len(some) > 2 * len(set(some)):  # a small packed file can unpack to no end of these
                    checked_words(path, words)
                if expected is not None and len(words) > expected:
                    break
    except RecordError as fault:
        raise DataError(f"{path}, vector {len(words) + 1}: {fault}. {fault.remedy}.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}, vector {len(words) + 1}: cannot be read ({error}). Fetch the file again.") from None
    if expected is not None and len(words) != expected:
        more = "more" if len(words) > expected else str(len(words))
        raise DataError(
            f"{path}: found {more} vectors where the header says {expected}; the file was cut off or its header "
            "is wrong. Fetch or export it again."
        )
    return words, np.concatenate(blocks)


def _of_fasttext(path: Path) -> VectorFile:
    model = fasttext_model.read_fasttext(path)
    _check_finite(path, model.words, model.vectors)
    words, places, notes = checked_words(path, model.words)
    if model.uses_word_ngrams:
        notes += (f"{path}: fastText's vectors of word n-grams (wordNgrams) are not used; those of words are.",)
    return VectorFile(words, _rows(model.vectors, places), model.counts[places], model.spelling, model.buckets, notes)


def _check_finite(path: Path, words: Sequence[bytes], rows: FloatArray, *, before: int = 0) -> None:
    """Raise DataError for a vector that holds NaN or infinity. `before` vectors were read before."""
    finite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(rows), axis=1)
    if finite.all():
        return
    place = int(np.argmin(finite))
    raise DataError(
        f"{path}, vector {before + place + 1}: the vector of {words[place].decode('utf-8', 'replace')!r} holds NaN or "
        "infinity; every number must be finite. Remove the word or export the vectors again."
    )


def _rows(vectors: FloatArray, places: NDArray[np.int64]) -> FloatArray:
    return vectors if len(places) == len(vectors) else vectors[places]


def _pass_header(file: IO[bytes]) -> None:
    """Read over the header, and over blank lines before it."""
    line = file.readline(HEAD)
    while line and not line.removeprefix(BOM).strip():
        line = file.readline(HEAD)
