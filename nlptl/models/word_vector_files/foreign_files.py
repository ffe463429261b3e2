"""Files that hold no readable word vectors, told by their first bytes, with what to do instead."""

from __future__ import annotations

from pathlib import Path

from nlptl.errors import DataError

_EXPECTED = "expected word2vec text or binary, GloVe text, or fastText's .bin"
_UNPACK = "Unpack it, and give the file inside"
_GENSIM = (
    "In gensim: KeyedVectors.load(...).save_word2vec_format('vectors.txt'), then give that file. "
    "For a Word2Vec model: Word2Vec.load(...).wv.save_word2vec_format('vectors.txt')"
)
_NUMBERS = "Write each word and its numbers as a line of text, and give that file"
_FETCH = "Fetch the file itself"
_KINDS: tuple[tuple[bytes, str, str], ...] = (  # first bytes, what the file is, what to do
    (b"\x80", "is a pickle, which can run code when it is opened", _GENSIM),
    (b"\x93NUMPY", "is a NumPy array, which holds numbers and no words", f"{_NUMBERS}. {_GENSIM}"),
    (b"PK\x03\x04", "is a zip archive (.npz and files of torch are such archives too)", _UNPACK),
    (b"PK\x05\x06", "is an empty zip archive", _FETCH),
    (b"BZh", "is packed with bzip2", _UNPACK),
    (b"\xfd7zXZ", "is packed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "is packed with zstd", _UNPACK),
    (b"7z\xbc\xaf", "is a 7z archive", _UNPACK),
    (b"Rar!", "is a rar archive", _UNPACK),
    (b"\xff\xfe", "is text in UTF-16", "Save it as UTF-8, for example with `iconv -f UTF-16 -t UTF-8`"),
    (b"\xfe\xff", "is text in UTF-16", "Save it as UTF-8, for example with `iconv -f UTF-16 -t UTF-8`"),
    (b"\x89HDF", "is an HDF5 file", _NUMBERS),
    (b"SQLite format 3", "is a database (as Magnitude's files are)", _NUMBERS),
    (b"PAR1", "is a parquet file", _NUMBERS),
    (b"version https://git-lfs", "is a pointer of Git LFS and not the file", f"{_FETCH} with `git lfs pull`"),
    (b"<!doctype", "is a web page", f"{_FETCH} and not the page about it"),
    (b"<html", "is a web page", f"{_FETCH} and not the page about it"),
)
_TAR_AT, _TAR = 257, b"ustar"


def refuse_foreign(path: Path, head: bytes) -> None:
    """Raise DataError for a file whose first bytes `head` name another format. It says which, and the remedy."""
    beginning = head[:64].lstrip().lower()
    for mark, kind, remedy in _KINDS:
        if head.startswith(mark) or (mark.startswith(b"<") and beginning.startswith(mark)):
            raise DataError(f"{path}: {kind}; {_EXPECTED}. {remedy}.")
    if head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        raise DataError(f"{path}: is a tar archive; {_EXPECTED}. {_UNPACK}.")
    if head[8:9] == b"{" and head[:8].rstrip(b"\0") != head[:8]:  # eight bytes of length, then JSON
        raise DataError(f"{path}: is a safetensors file, which holds numbers and no words; {_EXPECTED}. {_NUMBERS}.")
