"""Word vectors read from other tools: word2vec text and binary, GloVe text, files of counts.

Shapes: V words, D dimension.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError

FloatArray = NDArray[np.float32]
Format = Literal["word2vec", "word2vec-binary", "glove"]
Blocks = Iterator[tuple[list[bytes], FloatArray]]  # words and their vectors
BLOCK = 1 << 22  # bytes parsed at once
MAX_WORD_BYTES = 10_000  # a binary file without a space for longer is not one
MAX_HEADER_DIGITS = 18
BOM = b"\xef\xbb\xbf"
PICKLE_MARK = b"\x80"


def read_vectors(path: Path) -> tuple[list[str], FloatArray]:
    """Read words and their vectors (V, D) from word2vec text or binary or GloVe text, each optionally .gz.

    Content tells the format. Raises DataError for a pickle (gensim's own .save), a damaged file, a word twice, or NaN.
    """
    form, expected, width = inspect(path)
    words: list[str] = []
    blocks = [np.zeros((0, width), np.float32)]
    try:
        with _opened(path) as file:
            if form != "glove":
                file.readline()
            binary = form == "word2vec-binary"
            for found, rows in _binary_blocks(file, expected or 0, width) if binary else _text_blocks(file, width):
                words.extend(_checked(found, rows))
                blocks.append(rows)
    except _RecordError as fault:
        at = f"{path}, vector {len(words) + 1}"
        raise DataError(f"{at}: {fault}. Remove the word or export the vectors again.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}, vector {len(words) + 1}: cannot be read ({error}). Fetch the file again.") from None
    _check_words(path, words, expected)
    return words, np.concatenate(blocks)


def inspect(path: Path) -> tuple[Format, int | None, int]:
    """Return format, number of words (None for GloVe, which does not state it) and width, from a file's beginning."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected word vectors (word2vec text or binary, GloVe text). Check it.")
    try:
        with _opened(path) as file:
            head = file.read(100_000)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}). Check the file, or fetch it again.") from None
    if not head.strip():
        raise DataError(f"{path}: is empty; expected word vectors. Fetch or export the file again.")
    if head[:1] == PICKLE_MARK:
        raise DataError(
            f"{path}: is a pickle, which can run code when it is opened; expected word2vec text or binary, or GloVe "
            "text. In gensim: KeyedVectors.load(...).save_word2vec_format('vectors.txt'), then give that file."
        )
    lines = head.split(b"\n", 2)
    first = lines[0].split()
    if len(first) == 2 and all(part.isdigit() and len(part) <= MAX_HEADER_DIGITS for part in first) and int(first[1]):
        second = lines[1].rstrip().replace(b"\t", b" ").split(b" ") if len(lines) > 1 else []
        is_text = len(second) > 1 and all(_is_number(part) for part in second[1:])
        return ("word2vec" if is_text else "word2vec-binary"), int(first[0]), int(first[1])
    if len(first) > 2 and all(_is_number(part) for part in first[1:]):
        return "glove", None, len(first) - 1
    raise DataError(
        f"{path}:1: found {head[:30]!r}; expected a header 'words width' (word2vec) or a word and its numbers (GloVe). "
        "Give a file of one of these formats."
    )


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
            word, _, count = line.rstrip().rpartition(b" ")
            try:
                if not count.isdigit():
                    raise ValueError
                counts[word.decode("utf-8")] = int(count)
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


class _RecordError(ValueError):
    """Fault of one record."""


def _check_words(path: Path, words: list[str], expected: int | None) -> None:
    """Refuse a file of too few or too many words, or with a word twice."""
    if expected is not None and len(words) != expected:
        found = "more" if len(words) > expected else str(len(words))
        raise DataError(
            f"{path}: found {found} vectors where the header says {expected}; the file was cut off or its header "
            "is wrong. Fetch or export it again."
        )
    if not words:
        raise DataError(f"{path}: holds no vectors; expected at least one. Fetch or export the file again.")
    if len(set(words)) == len(words):
        return
    first: dict[str, int] = {}
    for place, word in enumerate(words, start=1):
        if first.setdefault(word, place) != place:
            raise DataError(
                f"{path}: {word!r} is vector {first[word]} and again vector {place}; every word must stand once. "
                "Remove one of them."
            )


def _checked(words: list[bytes], rows: FloatArray) -> Iterator[str]:
    """Yield each word. Raises _RecordError for one that is not UTF-8 or whose vector is not finite."""
    finite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(rows), axis=1)
    for word, is_finite in zip(words, finite, strict=True):
        try:
            decoded = word.decode("utf-8")
        except UnicodeDecodeError:
            raise _RecordError(f"found the word {word!r}; expected UTF-8") from None
        if not is_finite:
            raise _RecordError(f"the vector of {decoded!r} holds NaN or infinity; every number must be finite")
        yield decoded


def _text_blocks(file: IO[bytes], width: int) -> Blocks:
    """Yield words and vectors of many lines at a time."""
    while block := file.read(BLOCK):
        block = (block + file.readline()).replace(b"\t", b" ").replace(b"\r\n", b"\n").replace(b" \n", b"\n")
        found = _parsed(block, width)
        if found is None:
            yield from _text_lines(block.split(b"\n"), width)
        else:
            yield found


def _parsed(block: bytes, width: int) -> tuple[list[bytes], FloatArray] | None:
    """Parse lines of a word and `width` numbers together, or return None if one needs a closer look."""
    import pyarrow as pa
    from pyarrow import csv

    if b"\r" in block or block.startswith(BOM):  # Arrow would end a line at the one and drop the other
        return None
    names = [str(column) for column in range(width + 1)]
    types = {name: pa.float32() for name in names} | {names[0]: pa.binary()}
    try:
        table = csv.read_csv(
            pa.BufferReader(block),
            read_options=csv.ReadOptions(column_names=names, use_threads=False),
            parse_options=csv.ParseOptions(delimiter=" ", quote_char=False),
            convert_options=csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False),
        )
    except pa.ArrowInvalid:
        return None
    rows = np.column_stack([table.column(column + 1).to_numpy() for column in range(width)])
    return table.column(0).to_pylist(), rows


def _text_lines(lines: list[bytes], width: int) -> Blocks:
    """Yield line by line, so that a fault is located and a word may hold spaces."""
    for line in filter(None, map(bytes.rstrip, lines)):
        word, *numbers = line.rsplit(b" ", width)
        if len(numbers) != width:
            raise _RecordError(f"found {len(line.split()) - 1} numbers; expected {width} like in the first line")
        try:
            yield [word], np.array([numbers], dtype=np.float32)
        except ValueError:
            raise _RecordError(f"found {line[:40]!r}; expected a word in UTF-8 and {width} numbers") from None


def _binary_blocks(file: IO[bytes], count: int, width: int) -> Blocks:
    """Yield words and vectors of many records (word, space, numbers). Bytes behind the last count as one more."""
    rest, left = b"", count
    while block := file.read(BLOCK):
        rest += block
        words, rows, begin = [], [], 0
        while left and (space := rest.find(b" ", begin, begin + MAX_WORD_BYTES)) >= 0:
            end = space + 1 + 4 * width
            if end > len(rest):
                break
            words.append(rest[begin:space].lstrip(b"\n"))
            rows.append(rest[space + 1 : end])
            begin, left = end, left - 1
        yield words, np.frombuffer(b"".join(rows), "<f4").reshape(-1, width)
        rest = rest[begin:]
        if left and len(rest) >= MAX_WORD_BYTES and b" " not in rest[:MAX_WORD_BYTES]:
            raise _RecordError(f"found {rest[:40]!r}; expected a word, a space and {width} numbers of four bytes")
        if not left and rest.strip(b"\n"):
            yield [b""], np.zeros((1, width), np.float32)
            return


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
