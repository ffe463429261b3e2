"""Word vectors from and for other tools: word2vec text and binary, GloVe text, gensim KeyedVectors."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
    anything that somebody put into it. Raises DataError with the remedy for files that are missing, cut off, of
    uneven width, or hold NaN.
    """
    from gensim.models import KeyedVectors

    form, words, _ = inspect(path)
    try:
        vectors = KeyedVectors.load_word2vec_format(
            str(path), binary=form == "word2vec-binary", no_header=form == "glove", unicode_errors="strict"
        )
    except (EOFError, ValueError, OSError) as error:
        raise DataError(
            f"{path}: is not a whole {form} file ({error}); it may have been cut off. Fetch or export it again."
        ) from None
    matrix = np.asarray(vectors.vectors, dtype=np.float32)
    if not np.isfinite(matrix).all():
        row = int(np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0])
        raise DataError(
            f"{path}: the vector of {vectors.index_to_key[row]!r} holds NaN or infinity; every number must be finite. "
            "Remove the word or export the vectors again."
        )
    if words is not None and len(vectors.index_to_key) < words:
        raise DataError(
            f"{path}: found {len(vectors.index_to_key)} different words where the header says {words}; "
            "words stand twice or the file is cut off. Export it again."
        )
    return list(vectors.index_to_key), matrix


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


def _head(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected word vectors (word2vec text or binary, GloVe text). Check it.")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return bytes(file.read(100_000))
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}). Check the file, or fetch it again.") from None


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
