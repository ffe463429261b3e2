"""Word vectors from and for other tools: word2vec text and binary, GloVe text, gensim KeyedVectors."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

FloatArray = NDArray[np.float32]
Format = Literal["word2vec", "word2vec-binary", "glove"]
_PICKLE = b"\x80"


def read_vectors(path: Path) -> tuple[list[str], FloatArray]:
    """Read words and their vectors (V, D) from word2vec text or binary or GloVe text, each optionally .gz.

    The format is recognised by content. A pickle (gensim's own .save, .kv, .model) is refused: opening one can run
    anything that somebody put into it. Raises DataError with place and remedy for files that are missing, cut off, of
    uneven width, with a word twice, or that hold NaN.
    """
    form, expected, width = inspect(path)
    words: list[str] = []
    rows: list[FloatArray] = []
    with _opened(path) as file, _told_as_data_error(path, words):
        if form != "glove":
            file.readline()
        records = (
            _binary_records(file, expected or 0, width) if form == "word2vec-binary" else _text_records(file, width)
        )
        for word, row in records:
            if not np.isfinite(row).all():
                raise _Fault(f"the vector of {word!r} holds NaN or infinity; every number must be finite")
            words.append(word)
            rows.append(row)
    if expected is not None and len(words) != expected:
        raise DataError(
            f"{path}: found {len(words)} vectors where the header says {expected}; the file was cut off or its header "
            "is wrong. Fetch or export it again."
        )
    if not words:
        raise DataError(f"{path}: holds no vectors; expected at least one. Fetch or export the file again.")
    first: dict[str, int] = {}
    for place, word in enumerate(words, start=1):
        if first.setdefault(word, place) != place:
            raise DataError(
                f"{path}: {word!r} is vector {first[word]} and again vector {place}; every word must stand once. "
                "Remove one of them."
            )
    return words, np.stack(rows)


def inspect(path: Path) -> tuple[Format, int | None, int]:
    """Return format, number of words (None for GloVe, which does not say) and width from a file's beginning."""
    head = _head(path)
    if head[:1] == _PICKLE:
        raise DataError(
            f"{path}: is a pickle, which can run code when it is opened; expected word2vec text or binary, or GloVe "
            "text. In gensim: KeyedVectors.load(...).save_word2vec_format('vectors.txt'), then give that file."
        )
    lines = head.split(b"\n", 2)
    first = lines[0].split()
    if len(first) == 2 and all(part.isdigit() for part in first):
        words, width = int(first[0]), int(first[1])
        second = lines[1].rstrip().split(b" ") if len(lines) > 1 else []
        is_text = len(second) == width + 1 and all(_is_number(part) for part in second[1:])
        return ("word2vec" if is_text else "word2vec-binary"), words, width
    if len(first) > 2 and all(_is_number(part) for part in first[1:]):
        return "glove", None, len(first) - 1
    raise DataError(
        f"{path}:1: found {head[:30]!r}; expected a header 'words width' (word2vec) or a word and its numbers (GloVe). "
        "Give a file of one of these formats."
    )


def write_vectors(path: Path, words: Sequence[str], vectors: FloatArray, *, format: Format) -> None:
    """Write words and vectors (V, D) in one of the formats that `read_vectors` reads."""
    keyed = to_gensim(words, vectors)
    keyed.save_word2vec_format(str(path), binary=format == "word2vec-binary", write_header=format != "glove")


def to_gensim(words: Sequence[str], vectors: FloatArray) -> KeyedVectors:
    """Return gensim KeyedVectors of words and vectors (V, D)."""
    from gensim.models import KeyedVectors

    keyed = KeyedVectors(vectors.shape[1])
    keyed.add_vectors(list(words), vectors)
    return keyed


def from_gensim(keyed: KeyedVectors) -> tuple[list[str], FloatArray]:
    """Return words and vectors (V, D) of gensim KeyedVectors (or of a model's `.wv`)."""
    return list(keyed.index_to_key), np.array(keyed.vectors, dtype=np.float32)


class _Fault(ValueError):
    """What is wrong with one record."""


@contextlib.contextmanager
def _told_as_data_error(path: Path, words: list[str]) -> Iterator[None]:
    """Tell a fault with the number of the vector at which it was met."""
    try:
        yield
    except _Fault as fault:
        raise DataError(
            f"{path}, vector {len(words) + 1}: {fault}. Remove the word or export the vectors again."
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}, vector {len(words) + 1}: cannot be read ({error}). Fetch the file again.") from None


def _text_records(file: IO[bytes], width: int) -> Iterator[tuple[str, FloatArray]]:
    for line in file:
        parts = line.rstrip().replace(b"\t", b" ").rsplit(b" ", width)
        if parts == [b""]:
            continue
        if len(parts) != width + 1:
            raise _Fault(f"found {len(line.split()) - 1} numbers; expected {width} like in the first line")
        try:
            yield parts[0].decode("utf-8"), np.array(parts[1:], dtype=np.float32)
        except ValueError:
            raise _Fault(f"found {line[:40]!r}; expected a word in UTF-8 and {width} numbers") from None


def _binary_records(file: IO[bytes], count: int, width: int) -> Iterator[tuple[str, FloatArray]]:
    for _ in range(count):
        word = bytearray()
        while (byte := file.read(1)) not in (b" ", b""):
            word += byte
        numbers = file.read(4 * width)
        if len(numbers) < 4 * width:
            return
        try:
            yield word.decode("utf-8").lstrip("\n"), np.frombuffer(numbers, dtype="<f4")
        except ValueError:
            raise _Fault(f"found the word {bytes(word)!r}; expected UTF-8") from None


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _head(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected word vectors (word2vec text or binary, GloVe text). Check it.")
    try:
        with _opened(path) as file:
            return file.read(100_000)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}). Check the file, or fetch it again.") from None


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
