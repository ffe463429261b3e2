"""Vectors from and for other tools, with gensim as the judge."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from nlptl.errors import DataError
from nlptl.word2vec.formats import from_gensim, inspect, read_vectors, to_gensim, write_vectors

WORDS = ["the", "naïve", "猫", "3,5"]
VECTORS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


@pytest.mark.parametrize("form", ["word2vec", "word2vec-binary", "glove"])
@pytest.mark.parametrize("packed", [False, True])
def test_round_trip(tmp_path: Path, form: str, packed: bool) -> None:
    path = tmp_path / "vectors"
    write_vectors(path, WORDS, VECTORS, format=form)
    if packed:
        path.with_suffix(".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path = path.with_suffix(".gz")
    assert inspect(path) == (form, None if form == "glove" else 4, 3)
    words, vectors = read_vectors(path)
    assert words == WORDS
    np.testing.assert_allclose(vectors, VECTORS, rtol=1e-5)


def test_gensim_reads_what_we_write_and_we_its_objects(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v.bin", WORDS, VECTORS, format="word2vec-binary")
    keyed = KeyedVectors.load_word2vec_format(str(tmp_path / "v.bin"), binary=True)
    words, vectors = from_gensim(keyed)
    assert words == WORDS
    np.testing.assert_array_equal(vectors, VECTORS)
    assert to_gensim(WORDS, VECTORS).most_similar("the") == keyed.most_similar("the")


def fault(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_vectors(path)
    return str(caught.value)


def test_a_pickle_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "v.kv"
    to_gensim(WORDS, VECTORS).save(str(path))
    assert fault(path) == (
        f"{path}: is a pickle, which can run code when it is opened; expected word2vec text or binary, or GloVe text. "
        "In gensim: KeyedVectors.load(...).save_word2vec_format('vectors.txt'), then give that file."
    )


def test_faults_of_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    assert fault(path) == (
        f"{path}: no such file; expected word vectors (word2vec text or binary, GloVe text). Check it."
    )
    path.write_text("hello\n")
    assert fault(path) == (
        f"{path}:1: found b'hello\\n'; expected a header 'words width' (word2vec) or a word and its numbers (GloVe). "
        "Give a file of one of these formats."
    )
    path.write_text("2 2\na 1 2\nb 1 nan\n")
    assert fault(path) == (
        f"{path}, vector 2: the vector of 'b' holds NaN or infinity; every number must be finite. "
        "Remove the word or export the vectors again."
    )
    path.write_text("2 2\na 1 2\na 1 2\n")
    assert fault(path) == (
        f"{path}: 'a' is vector 1 and again vector 2; every word must stand once. Remove one of them."
    )
    path.write_text("0 2\n")
    assert fault(path) == f"{path}: holds no vectors; expected at least one. Fetch or export the file again."
    path.write_text("3 2\na 1 2\nb 1 2\n")
    assert fault(path) == (
        f"{path}: found 2 vectors where the header says 3; the file was cut off or its header is wrong. "
        "Fetch or export it again."
    )
    path.write_text("a 1 2\nb 1\n")
    assert fault(path) == (
        f"{path}, vector 2: found 1 numbers; expected 2 like in the first line. "
        "Remove the word or export the vectors again."
    )
    path.write_text("a 1 2\nb x 1\n")
    assert fault(path) == (
        f"{path}, vector 2: found b'b x 1\\n'; expected a word in UTF-8 and 2 numbers. "
        "Remove the word or export the vectors again."
    )
    write_vectors(path, WORDS, VECTORS, format="word2vec-binary")
    path.write_bytes(path.read_bytes()[:-9])
    assert fault(path) == (
        f"{path}: found 3 vectors where the header says 4; the file was cut off or its header is wrong. "
        "Fetch or export it again."
    )
    packed = tmp_path / "v.gz"
    packed.write_bytes(gzip.compress(np.random.default_rng(0).bytes(200_000))[:-12])
    assert fault(packed).startswith(f"{packed}:1: found b")
    text = "".join(f"w{i} {i} 1\n" for i in range(30_000))
    packed.write_bytes(gzip.compress(text.encode(), mtime=0)[:-12])
    assert re.fullmatch(
        re.escape(str(packed))
        + r", vector \d+: cannot be read \(Compressed file ended before .*\)\. Fetch the file again\.",
        fault(packed),
    )


def test_tabs_and_blank_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_text("a\t1\t2\nb\t3\t4\n\n")
    words, vectors = read_vectors(path)
    assert (words, vectors.tolist()) == (["a", "b"], [[1, 2], [3, 4]])
