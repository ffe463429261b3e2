"""Vectors from and for other tools, with gensim as the judge."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from nlptl.errors import DataError
from nlptl.inference.spelling import Spelling
from nlptl.models.word_vector_files import reading as formats
from nlptl.models.word_vector_files import vector_text
from nlptl.models.word_vector_files.reading import Format, inspect, read_counts, read_vectors
from nlptl.models.word_vector_files.writing import is_writable, write_counts, write_fasttext, write_vectors

WORDS = ["the", "naïve", "猫", "3,5"]
VECTORS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def to_gensim(words: list[str], vectors: np.ndarray) -> KeyedVectors:
    keyed = KeyedVectors(vectors.shape[1])
    keyed.add_vectors(words, vectors)
    return keyed


def write(path: Path, words: list[str], vectors: np.ndarray, *, format: Format) -> None:
    with path.open("wb") as file:
        write_vectors(file, words, vectors, format=format)


@pytest.mark.parametrize("form", ["word2vec", "word2vec-binary", "glove"])
@pytest.mark.parametrize("packed", [False, True])
def test_round_trip(tmp_path: Path, form: str, packed: bool) -> None:
    path = tmp_path / "vectors"
    write(path, WORDS, VECTORS, format=form)
    if packed:
        path.with_suffix(".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path = path.with_suffix(".gz")
    assert inspect(path) == (form, None if form == "glove" else 4, 3)
    words, vectors = read_vectors(path)
    assert words == WORDS
    np.testing.assert_array_equal(vectors, VECTORS)


def test_gensim_reads_what_we_write(tmp_path: Path) -> None:
    write(tmp_path / "v.bin", WORDS, VECTORS, format="word2vec-binary")
    keyed = KeyedVectors.load_word2vec_format(str(tmp_path / "v.bin"), binary=True)
    assert list(keyed.index_to_key) == WORDS
    np.testing.assert_array_equal(keyed.vectors, VECTORS)


def fault(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_vectors(path)
    return str(caught.value)


def test_a_pickle_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "v.kv"
    to_gensim(WORDS, VECTORS).save(str(path))
    assert fault(path) == (
        f"{path}: is a pickle, which can run code when it is opened; expected word2vec text or binary, GloVe text, or "
        "fastText's .bin. In gensim: KeyedVectors.load(...).save_word2vec_format('vectors.txt'), then give that file. "
        "For a Word2Vec model: Word2Vec.load(...).wv.save_word2vec_format('vectors.txt')."
    )


def test_faults_of_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    assert fault(path) == (
        f"{path}: no such file; expected word vectors (word2vec text or binary, GloVe text, or fastText's .bin). Check it."
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
        f"{path}, vector 2: found b'b x 1'; expected a word in UTF-8 and 2 numbers. "
        "Remove the word or export the vectors again."
    )
    write(path, WORDS, VECTORS, format="word2vec-binary")
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
    for text in ("a\t1\t2\nb\t3\t4\n\n", "a 1 2 \r\n\r\nb 3 4", "2 2\na +1 2.\nb 3e0 4 \n", "a 1 2\n \nb 3 4\n"):
        path.write_bytes(text.encode())
        words, vectors = read_vectors(path)
        assert (words, vectors.tolist()) == (["a", "b"], [[1, 2], [3, 4]])


def test_other_faults_are_told(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    for content in (b"", b"\n\n"):
        path.write_bytes(content)
        assert fault(path) == f"{path}: is empty; expected word vectors. Fetch or export the file again."
    path.write_text("3 2\n")
    assert fault(path) == (
        f"{path}: found 0 vectors where the header says 3; the file was cut off or its header is wrong. "
        "Fetch or export it again."
    )
    path.write_text("2 3\na 1 2\nb 1 2\n")
    assert fault(path) == (
        f"{path}, vector 1: found 2 numbers; expected 3 like in the first line. "
        "Remove the word or export the vectors again."
    )
    path.write_text("1 2\na 1 2\nb 1 2\n")
    assert fault(path) == (
        f"{path}: found more vectors where the header says 1; the file was cut off or its header is wrong. "
        "Fetch or export it again."
    )
    path.write_bytes(b"2 2\na 1 2\n\xff\xfe 1 2\n")
    assert fault(path) == (
        f"{path}, vector 2: found the word b'\\xff\\xfe'; expected UTF-8. Remove the word or export the vectors again."
    )
    path.write_text("5 0\n")
    assert fault(path).startswith(f"{path}:1: found b'5 0\\n'; expected a header")
    path.write_text("3 2\na 1 2\nb 1")
    assert fault(path).startswith(f"{path}, vector 2: found 1 numbers; expected 2")


def test_faults_of_binary_files_are_told(tmp_path: Path) -> None:
    path, half = tmp_path / "v.bin", np.array([1, 2], "<f4").tobytes()
    path.write_bytes(b"2 2\na " + half + b"\xff " + half)
    assert fault(path) == (
        f"{path}, vector 2: found the word b'\\xff'; expected UTF-8. Remove the word or export the vectors again."
    )
    path.write_bytes(b"2 2\na " + half + b"b " + np.array([1, np.nan], "<f4").tobytes())
    assert fault(path) == (
        f"{path}, vector 2: the vector of 'b' holds NaN or infinity; every number must be finite. "
        "Remove the word or export the vectors again."
    )
    path.write_bytes(b"1 2\na " + half + b"\nb " + half)
    assert fault(path) == (
        f"{path}: found more vectors where the header says 1; the file was cut off or its header is wrong. "
        "Fetch or export it again."
    )
    path.write_bytes(b"2 2\na " + half + b"a " + half)
    assert fault(path) == (
        f"{path}: 'a' is vector 1 and again vector 2; every word must stand once. Remove one of them."
    )
    path.write_bytes(b"2 2\na " + half + b"x" * 20_000)
    assert fault(path) == (
        f"{path}, vector 2: found b'{'x' * 40}'; expected a word, a space and 2 numbers of four bytes. "
        "Remove the word or export the vectors again."
    )
    packed = tmp_path / "v.bin.gz"
    write(path, [f"w{i}" for i in range(30_000)], np.random.default_rng(0).random((30_000, 2), np.float32),
          format="word2vec-binary")  # fmt: skip
    packed.write_bytes(gzip.compress(path.read_bytes())[:-12])
    assert "cannot be read (Compressed file ended before" in fault(packed)


@pytest.mark.parametrize("form", ["word2vec", "word2vec-binary", "glove"])
def test_blocks_join(tmp_path: Path, form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*(f"w{i}" for i in range(50)), *ODD]
    vectors = np.random.default_rng(1).normal(size=(len(words), 5)).astype(np.float32)
    write(tmp_path / "v", words, vectors, format=form)
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr(vector_text, "BLOCK", size)
        found, rows = read_vectors(tmp_path / "v")
        assert found == words
        np.testing.assert_array_equal(rows, vectors)


def test_words_with_spaces_are_read_from_text(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text("a 1 2\nat name 3 4\n. . . 5 6 \nb 7 8\n")
    words, vectors = read_vectors(path)
    assert words == ["a", "at name", ". . .", "b"]
    assert vectors.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]


ODD = [
    "a", "don't", "naïve", "3,5", "猫", "🎉", "a\u200bb", "<user>", "new_york", "\ufeffx", "é", "%s", "[UNK]x", "\\n", "½",
    "#1", "|", '"q"', "-0", "nan",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # gensim leaves a file open (GloVe)
def test_gensim_reads_odd_words(tmp_path: Path) -> None:
    assert all(map(is_writable, ODD))
    vectors = np.random.default_rng(2).normal(size=(len(ODD), 7)).astype(np.float32)
    vectors[0] = [1e-38, -1e38, 0, -0.0, 1, 1 / 3, 16777217]
    counts = np.arange(len(ODD))[::-1].copy()
    for form, options in (
        ("word2vec", {}),
        ("word2vec-binary", {"binary": True}),
        ("glove", {"no_header": True}),
    ):
        path = tmp_path / form
        write(path, ODD, vectors, format=form)
        with formats.counts_path(path).open("wb") as file:
            write_counts(file, ODD, counts)
        keyed = KeyedVectors.load_word2vec_format(str(path), fvocab=str(formats.counts_path(path)), **options)
        assert keyed.index_to_key == ODD
        np.testing.assert_array_equal(keyed.vectors, vectors)
        assert [keyed.get_vecattr(word, "count") for word in ODD] == counts.tolist()
        words, rows = read_vectors(path)
        assert words == ODD
        np.testing.assert_array_equal(rows, vectors)
        assert read_counts(path) == dict(zip(ODD, counts.tolist(), strict=True))


@pytest.mark.parametrize("form", ["word2vec", "word2vec-binary"])
def test_we_read_what_gensim_writes(tmp_path: Path, form: Format) -> None:
    path = tmp_path / "v"
    to_gensim(ODD, np.eye(len(ODD), dtype=np.float32)).save_word2vec_format(str(path), binary=form == "word2vec-binary")
    words, vectors = read_vectors(path)
    assert words == ODD
    np.testing.assert_array_equal(vectors, np.eye(len(ODD)))


@pytest.mark.parametrize("word", ["", "a b", "\u3000", "a\xa0b", "a\nb", "a\tb", "a\x00b", "a\u2028", "a\x85"])
def test_words_with_spaces_are_not_writable(word: str) -> None:
    assert not is_writable(word)


def test_counts_that_are_none_are_told(tmp_path: Path) -> None:
    path = tmp_path / "v"
    assert read_counts(path) is None
    for line in ("b x", "b -1", "b", "b 1.5", ""):
        (tmp_path / "v.vocab").write_text(f"a 3\n{line}\n")
        with pytest.raises(DataError) as caught:
            read_counts(path)
        assert str(caught.value) == (
            f"{path}.vocab:2: found {line.encode() + bytes([10])!r}; expected a word in UTF-8 and how often it occurs. "
            "Correct the line, or remove the file to do without counts."
        )


@pytest.mark.parametrize("spelling", [Spelling(min=3, max=5, buckets=40), Spelling(min=1, max=2, buckets=7),
                                      Spelling(min=6, max=6, buckets=11)])  # fmt: skip
def test_gensim_reads_our_fasttext_models(tmp_path: Path, spelling: Spelling) -> None:
    from gensim.models.fasttext import load_facebook_model, load_facebook_vectors

    generator = np.random.default_rng(3)
    vectors = generator.normal(size=(len(ODD), 6)).astype(np.float32)
    buckets = generator.normal(size=(spelling.buckets, 6)).astype(np.float32)
    counts = np.array([*range(len(ODD), 1, -1), 0])
    path = tmp_path / "model.bin"
    with path.open("wb") as file:
        write_fasttext(file, ODD, vectors, counts, buckets=buckets, spelling=spelling)
    model, keyed = load_facebook_model(str(path)), load_facebook_vectors(str(path))
    assert (model.sg, model.hs, model.wv.min_n, model.wv.max_n) == (1, 0, spelling.min, spelling.max)
    assert not model.syn1neg.any()
    for found in (model.wv, keyed):
        assert found.index_to_key == ODD
        np.testing.assert_allclose(found.vectors, vectors, atol=1e-5)
        np.testing.assert_array_equal(found.vectors_ngrams, buckets)
        assert [found.get_vecattr(word, "count") for word in ODD] == [*counts[:-1].tolist(), 1]
