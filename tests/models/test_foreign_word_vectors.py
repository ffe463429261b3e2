"""Files of word vectors as other tools and people write them: blanks, tabs, marks, damage, other formats."""

from __future__ import annotations

import gzip
import io
import resource
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.errors import DataError
from nlptl.models.word_vector_files import reading, vector_text
from nlptl.models.word_vector_files.reading import inspect, read_counts, read_vector_file, read_vectors

SOUP = "soup 0.5 -1e-3 2E+1\nbread 1 2 3\nstaff .5 4. +6\n"
ROWS = [[0.5, -0.001, 20], [1, 2, 3], [0.5, 4, 6]]


def read(path: Path, content: str | bytes) -> tuple[list[str], list[list[float]]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    words, vectors = read_vectors(path)
    return words, vectors.tolist()


def fault(path: Path, content: str | bytes) -> str:
    with pytest.raises(DataError) as caught:
        read(path, content)
    told = str(caught.value)
    assert told.startswith(str(path))
    return told.removeprefix(str(path))


@pytest.mark.parametrize("header", ["", "3 3\n", "3  3\n", "3\t3 \r\n", "\n3 3\n"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace(" ", "  "),
        lambda text: text.replace(" ", "     ", 1),
        lambda text: text.replace(" ", "\t"),
        lambda text: text.replace(" ", " \t "),
        lambda text: text.replace("\n", " \n"),
        lambda text: text.replace("\n", "\t \r\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.rstrip("\n"),
        lambda text: "".join(f"  {line}\n" for line in text.splitlines()),
        lambda text: "".join(f'"{line.replace(" ", chr(34) + " ", 1)}\n' for line in text.splitlines()),
        lambda text: text.replace("soup ", "soup\xa0 ").replace("bread ", "bread\u3000 ").replace("staff ", "staff\u2003 "),
    ],
    ids=["plain", "two blanks", "wide first", "tabs", "mixed", "blank at end", "tab and CRLF", "CRLF", "empty lines",
         "no last line end", "blanks before", "quoted words", "blanks of Unicode"],
)  # fmt: skip
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "BOM"])
def test_words_never_keep_what_stands_between(tmp_path: Path, header: str, change: object, mark: str) -> None:
    words, vectors = read(tmp_path / "v", mark + header + change(SOUP))
    assert words == ["soup", "bread", "staff"]
    np.testing.assert_allclose(vectors, ROWS)


@pytest.mark.parametrize("header", ["", "4 3\n"])
@pytest.mark.parametrize("first", ["new york", "at name@domain.com", ". . .", "route 66", "20 000 leagues"])
def test_a_first_word_may_hold_blanks(tmp_path: Path, header: str, first: str) -> None:
    words, vectors = read(tmp_path / "v", f"{header}{first} 7 8 9\n{SOUP}")
    assert words == [first, "soup", "bread", "staff"]
    assert vectors[0] == [7, 8, 9]


def test_the_name_does_not_tell_whether_a_file_is_packed(tmp_path: Path) -> None:
    assert read(tmp_path / "v.txt", gzip.compress(SOUP.encode()))[0] == ["soup", "bread", "staff"]
    assert read(tmp_path / "v.gz", SOUP)[0] == ["soup", "bread", "staff"]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_binary_records_may_end_a_line(tmp_path: Path, end: bytes) -> None:
    record = np.array([1, 2], "<f4").tobytes()
    assert read(tmp_path / "v", b"2 2\na " + record + end + b"b " + record + end) == (["a", "b"], [[1, 2], [1, 2]])


def test_a_few_words_that_no_text_has_are_left_out_and_told(tmp_path: Path) -> None:
    lines = [f"w{place} {place} 1".encode() for place in range(1_000)]
    lines[10:10] = [b" 5 5", b"\xff\xfe 5 5", b"w3 5 5", b"w4 5 5"]
    path = tmp_path / "v"
    path.write_bytes(b"\n".join(lines))
    found = read_vector_file(path)
    assert found.words == [f"w{place}" for place in range(1_000)]
    assert found.vectors[:, 0].tolist() == list(range(1_000))
    assert found.notes == (
        f"{path}: 1 word not in UTF-8 was left out; the first is vector 12.",
        f"{path}: 1 word without a character was left out; the first is vector 11.",
        f"{path}: 2 words that stood there before were left out; the first is vector 13.",
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("soup 0,5 1,5\nbread 1,0 2,0\n",
         ":1: found b'soup 0,5 1,5', numbers with a decimal comma; expected decimal points. Write 0.5 and not 0,5."),
        ("2 2\nsoup 0,5 1,5\nbread 1,0 2,0\n",
         ", vector 1: found b'soup 0,5 1,5', numbers with a decimal comma; expected decimal points. "
         "Write 0.5 and not 0,5."),
        ("soup,0.5,1.5\nbread,1,2\n",
         ":1: found b'soup,0.5,1.5', commas between the numbers; expected blanks or tabs. Replace them by blanks."),
        ("soup;0.5;1.5\nbread;1;2\n",
         ":1: found b'soup;0.5;1.5', semicolons between the numbers; expected blanks or tabs. Replace them by blanks."),
        ("0.1 0.2 0.3\n0.4 0.5 0.6\n",
         ", vector 1: the word '0.1' is a number; expected a word before the numbers of each line (2 of 2 are so). "
         "Fetch or export the file again."),
        (" 0 1 2\nsoup 0.1 0.2 0.3\nbread 1 2 3\n",
         ", vector 2: the word 'soup 0.1' ends in a number; expected as many numbers in each line as in the first "
         "(2 of 3 are so). Fetch or export the file again."),
        ("2 2\na 1 2 3\nb 1 2 3\n",
         ":2: found 3 numbers; expected 2 like in the header. Correct the header, or export the file again."),
        ("2 2\na 1 inf\nb 1 2\n",
         ", vector 1: the vector of 'a' holds NaN or infinity; every number must be finite. "
         "Remove the word or export the vectors again."),
        ("2 2\na 1 1e99\nb 1 2\n",
         ", vector 1: the vector of 'a' holds NaN or infinity; every number must be finite. "
         "Remove the word or export the vectors again."),
        ("a 1 2\n 1 2\n",
         ", vector 2: found no word before the numbers; expected one. Fetch or export the file again."),
        ("a 1 2\nb 1_0 2\n",
         ", vector 2: found b'b 1_0 2'; expected a word in UTF-8 and 2 numbers. "
         "Remove the word or export the vectors again."),
        ("10000000000000 1000000000\na 1 2\n",
         ":1: the header says 1,000,000,000 numbers a vector; expected at most 65,536. "
         "Correct the header, or export the file again."),
        (b"10000000000000 300\na \x00\x01\x02\x03",
         ": the file is too small for the 10,000,000,000,000 vectors of 300 numbers that its header says; it was cut off "
         "or its header is wrong. Fetch or export it again."),
        ("9" * 17 + " 2\na 1 2\n",
         f": found 1 vectors where the header says {'9' * 17}; the file was cut off or its header is wrong. "
         "Fetch or export it again."),
    ],
)  # fmt: skip
def test_lines_that_would_be_misread_are_told(tmp_path: Path, content: str | bytes, expected: str) -> None:
    assert fault(tmp_path / "v", content) == expected


READABLE = "expected word2vec text or binary, GloVe text, or fastText's .bin"
GENSIM = (
    "In gensim: KeyedVectors.load(...).save_word2vec_format('vectors.txt'), then give that file. "
    "For a Word2Vec model: Word2Vec.load(...).wv.save_word2vec_format('vectors.txt')."
)


def saved(save: object, *arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arrays)
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("glove.txt", SOUP)
    return buffer.getvalue()


WRITE = "Write each word and its numbers as a line of text, and give that file."


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (zipped(), f"is a zip archive (.npz and files of torch are such archives too); {READABLE}. "
         "Unpack it, and give the file inside."),
        (saved(np.savez, np.ones(3)), f"is a zip archive (.npz and files of torch are such archives too); {READABLE}. "
         "Unpack it, and give the file inside."),
        (saved(np.save, np.ones(3)), f"is a NumPy array, which holds numbers and no words; {READABLE}. {WRITE} {GENSIM}"),
        (gzip.compress(b"\x80\x04x", mtime=0), f"is a pickle, which can run code when it is opened; {READABLE}. {GENSIM}"),
        (SOUP.encode("utf-16"), f"is text in UTF-16; {READABLE}. "
         "Save it as UTF-8, for example with `iconv -f UTF-16 -t UTF-8`."),
        (b"\n<!DOCTYPE html><html>", f"is a web page; {READABLE}. Fetch the file itself and not the page about it."),
        (b"version https://git-lfs.github.com/spec/v1\n", f"is a pointer of Git LFS and not the file; {READABLE}. "
         "Fetch the file itself with `git lfs pull`."),
        (struct.pack("<Q", 9) + b'{"a": {}}', f"is a safetensors file, which holds numbers and no words; {READABLE}. {WRITE}"),
        (bytes(257) + b"ustar", f"is a tar archive; {READABLE}. Unpack it, and give the file inside."),
    ],
)  # fmt: skip
def test_other_formats_are_named(tmp_path: Path, content: bytes, told: str) -> None:
    assert fault(tmp_path / "v", content) == f": {told}"


def test_a_long_line_in_a_small_file_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "v.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"1 2\na 1 2\nb")
        for _ in range(200):
            file.write(bytes(1 << 20).replace(b"\0", b"x"))
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from nlptl.models.word_vector_files.reading import read_vectors\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_vectors(Path(sys.argv[1]))\n"
        "except Exception as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
    told, more = run.stdout.strip().split("\n")
    assert told == (
        f"{path}, vector 1: found a line of more than 10,128 bytes; expected a word and 2 numbers. "
        "Remove the word or export the vectors again."
    )
    assert int(more) < 100_000 * (1024 if sys.platform == "darwin" else 1), "in kB"


@pytest.mark.parametrize("line", [b"a 1 2\n", b"a b 1 2\n"])
def test_a_small_file_that_unpacks_to_the_same_line_is_refused_early(
    line: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_text, "BLOCK", 1 << 12)
    seen: list[int] = []
    check = reading.checked_words
    monkeypatch.setattr(reading, "checked_words", lambda path, words: seen.append(len(words)) or check(path, words))
    content = gzip.compress(b"x 1 2\n" + line * 100_000)
    word = line[:-5].decode()
    assert fault(tmp_path / "v", content) == (
        f": {word!r} is vector 2 and again vector 3; every word must stand once. Remove one of them."
    )
    assert seen[0] < 2_000


def test_a_binary_header_that_claims_much_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "v"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fault(path, b"10000000 60000\na " + bytes(100))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    with pytest.raises(DataError, match="too small for the 10,000,000 vectors"):
        inspect(path)


def test_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_vectors(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: is a folder; expected a file of word vectors (word2vec text or binary, GloVe text, or fastText's .bin). "
        "Give the file inside, or write one from a run with `nlptl vectors export`."
    )


def test_counts_may_stand_behind_blanks_and_tabs(tmp_path: Path) -> None:
    (tmp_path / "v.vocab").write_bytes("\ufeffsoup  7\nbread\t 5\r\nnew york 3 \n".encode())
    assert read_counts(tmp_path / "v") == {"soup": 7, "bread": 5, "new york": 3}


ADDED = st.binary(max_size=4) | st.sampled_from([b" ", b"\t", b"\r\n", b"9"])


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([SOUP, f"3 3\n{SOUP}", ". . . 1 2 3\n" + SOUP]).map(str.encode)
    | st.just(b"2 2\na " + np.array([1, 2], "<f4").tobytes() + b"\nb " + np.array([3, 4], "<f4").tobytes()),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3), ADDED), max_size=4),
)  # fmt: skip
def test_any_edit_gives_whole_words_or_one_sentence(whole: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    for place, dropped, added in edits:
        whole = whole[:place] + added + whole[place + dropped :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v"
        path.write_bytes(whole)
        try:
            words, vectors = read_vectors(path)
        except DataError as error:
            told = str(error)
        else:
            told = f"{path}"
            assert vectors.shape[0] == len(words) > 0
            assert np.isfinite(vectors).all()
            assert all(word == word.strip(" \t\r\n") for word in words)
    assert told.startswith(str(path))
    assert "\n" not in told
