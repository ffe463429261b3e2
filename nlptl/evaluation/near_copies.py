"""Near-copies: texts that share most of their pairs of neighbouring words, found by MinHash and LSH.

Shapes: n texts, P pairs of texts, H hashes of a signature, S shingles.
"""

from __future__ import annotations

import dataclasses
import functools
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BANDS, ROWS_OF_A_BAND = (
    25,
    5,
)  # texts that share 0.8 of their pairs meet with probability 0.9999, those that share 0.2 with 0.008
HASHES = 128  # of a signature, a power of two; the last three are in no band
MIN_SHARE = 0.7  # of the pairs of words of both texts, from which two texts are kept as near-copies
SLACK = 0.15  # by which a signature may tell too small a share
CHARACTERS_AT_ONCE = 400_000  # which fit into a processor's cache
PAIRS_AT_ONCE = 20_000
MAX_BUCKET = 40  # texts of a bucket that are all compared with one another
EMPTY = np.iinfo(np.uint32).max  # a hash that no shingle has reached
TRIES = 512  # to fill it
TEXTS_AT_ONCE = 2_000

Words64 = NDArray[np.uint64]
Rows = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class CopyPairs:
    """Pairs of texts that share words, each pair once."""

    pairs: Rows  # (P, 2) row numbers, the smaller first
    shares: NDArray[np.float32]  # (P,) Jaccard index of their pairs of words, from MIN_SHARE to 1

    def above(self, share: float) -> CopyPairs:
        """Return the pairs that share at least so much."""
        kept = self.shares >= share - 1e-6
        return CopyPairs(self.pairs[kept], self.shares[kept])


def near_copies(texts: Sequence[str], *, after_texts: Callable[[int], object] | None = None) -> CopyPairs:
    """Return the pairs of texts whose sets of neighbouring words have a Jaccard index of at least `MIN_SHARE`.

    Case, blanks and punctuation are ignored; characters of scripts without blanks count as words. Texts without a word have
    no near-copy. In a bucket of more than `MAX_BUCKET` texts, each is compared with its neighbours and the first alone, so
    that groups stay whole though not every pair is listed.
    """
    signatures, has_words = _signatures(texts, after_texts or (lambda count: None))
    candidates = _candidates(signatures, has_words)
    found = _agreement(signatures, candidates) >= MIN_SHARE - SLACK
    return _checked(texts, candidates[found])


def word_counts(texts: Sequence[str]) -> Rows:
    """Return the number of words (n,) of texts; characters of scripts without blanks count as words."""
    found = np.zeros(len(texts), dtype=np.int64)
    for begin, some in _blocks(texts):
        text, _ = _words(*_characters(some))
        found[begin : begin + len(some)] = np.bincount(text, minlength=len(some))
    return found


def copy_groups(pairs: Rows, count: int) -> Rows:
    """Return the group (n,) of each of `count` texts, numbered by its first text: pairs and chains of pairs."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    number = connected_components(graph, directed=False)[1]
    first = np.full(int(number.max(initial=-1)) + 1, count, dtype=np.int64)
    np.minimum.at(first, number, np.arange(count))
    return np.asarray(first[number], dtype=np.int64)


def _signatures(texts: Sequence[str], after: Callable[[int], object]) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """Return a signature (n, H) of each text by one-permutation hashing, and whether it has a word.

    One hash of each shingle names both its place and its value (Li, Owen & Zhang 2012). Places that none has reached take
    the value of another one (optimal densification, Shrivastava 2017).
    """
    signatures = np.full((len(texts), HASHES), EMPTY, dtype=np.uint32)
    for begin, some in _blocks(texts):
        text, hashes = _shingles(some)
        place = (hashes >> np.uint64(32)).astype(np.int64) % HASHES
        part = signatures[begin : begin + len(some)]
        np.minimum.at(part.reshape(-1), text * HASHES + place, hashes.astype(np.uint32))
        after(len(some))
    has_words = (signatures != EMPTY).any(axis=1)
    _fill(signatures, has_words)
    return signatures, has_words


def _fill(signatures: NDArray[np.uint32], has_words: NDArray[np.bool_]) -> None:
    """Give each place that no shingle has reached the value of one that some has, the same one in all texts."""
    sources = np.random.default_rng(0).integers(HASHES, size=(TRIES, HASHES))
    waiting = np.flatnonzero(has_words)
    for rows in np.array_split(waiting, max(1, len(waiting) // TEXTS_AT_ONCE)):
        block = signatures[rows].reshape(-1)
        filled = block != EMPTY
        places = np.flatnonzero(~filled)
        for turn, source in enumerate(sources, start=1):
            taken = places - places % HASHES + source[places % HASHES]
            ready = filled[taken]
            block[places[ready]] = block[taken[ready]] + np.uint32(0x9E3779B1 * turn % 2**32)
            places = places[~ready]
            if not len(places):
                break
        signatures[rows] = block.reshape(-1, HASHES)


def _candidates(signatures: NDArray[np.uint32], has_words: NDArray[np.bool_]) -> Rows:
    """Return pairs (P, 2) that agree in one band of their signatures at least, each once."""
    rows = np.flatnonzero(has_words)
    found = [np.zeros(0, dtype=np.int64)]
    for band in range(BANDS):
        part = signatures[rows, band * ROWS_OF_A_BAND : (band + 1) * ROWS_OF_A_BAND]
        key = _mixed(part.astype(np.uint64) @ _odd(ROWS_OF_A_BAND))
        order = np.argsort(key, kind="stable")
        pairs = _pairs_of_runs(key[order], rows[order])
        found.append(np.unique(pairs[:, 0] * len(signatures) + pairs[:, 1]))
    both = np.unique(np.concatenate(found))
    return np.column_stack(np.divmod(both, max(1, len(signatures))))


def _pairs_of_runs(keys: Words64, rows: Rows) -> Rows:
    """Return pairs of `rows` whose sorted keys are equal; of a long run, neighbours and pairs with its first row."""
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.int64)
    sizes = np.diff(np.concatenate([begins, [len(keys)]]))
    place = np.arange(len(keys)) - np.repeat(begins, sizes)
    size_of = np.repeat(sizes, sizes)
    found = []
    for apart in range(1, min(MAX_BUCKET, int(sizes.max(initial=0)))):
        second = np.flatnonzero((place >= apart) & ((size_of <= MAX_BUCKET) | (apart == 1)))
        found.append(np.column_stack([rows[second - apart], rows[second]]))
    long = np.flatnonzero((size_of > MAX_BUCKET) & (place > 1))
    found.append(np.column_stack([rows[long - place[long]], rows[long]]))
    return np.sort(np.concatenate(found), axis=1)


def _agreement(signatures: NDArray[np.uint32], pairs: Rows) -> NDArray[np.float32]:
    """Return in what share of their hashes two texts agree, (P,)."""
    found = np.empty(len(pairs), dtype=np.float32)
    for begin in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[begin : begin + PAIRS_AT_ONCE]
        found[begin : begin + len(some)] = (signatures[some[:, 0]] == signatures[some[:, 1]]).mean(axis=1)
    return found


def _checked(texts: Sequence[str], pairs: Rows) -> CopyPairs:
    """Return the pairs that share at least `MIN_SHARE`, counted on the shingles themselves."""
    shares = np.zeros(len(pairs), dtype=np.float32)
    for begin in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[begin : begin + PAIRS_AT_ONCE]
        rows, place = np.unique(some, return_inverse=True)
        shares[begin : begin + len(some)] = _jaccard([texts[row] for row in rows.tolist()], place.reshape(some.shape))
    kept = shares >= MIN_SHARE
    return CopyPairs(pairs[kept], shares[kept])


def _jaccard(texts: Sequence[str], pairs: Rows) -> NDArray[np.float32]:
    from scipy.sparse import csr_matrix

    text, hashes = (np.concatenate(part) for part in zip(*_numbered(texts), strict=True))
    column = np.unique(hashes, return_inverse=True)[1]
    table: Any = csr_matrix((np.ones(len(text), np.float32), (text, column)), shape=(len(texts), int(column.max()) + 1))
    table.data[:] = 1  # a pair that stands twice in a text counts once
    sizes = np.diff(table.indptr)
    common = np.asarray(table[pairs[:, 0]].multiply(table[pairs[:, 1]]).sum(axis=1)).ravel()
    return np.asarray(common / np.maximum(sizes[pairs[:, 0]] + sizes[pairs[:, 1]] - common, 1), dtype=np.float32)


def _numbered(texts: Sequence[str]) -> Iterator[tuple[Rows, Words64]]:
    for begin, some in _blocks(texts):
        text, hashes = _shingles(some)
        yield text + begin, hashes


def _blocks(texts: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield texts with the number of the first, about `CHARACTERS_AT_ONCE` characters at once."""
    begin, some, size = 0, list[str](), 0
    for row, text in enumerate(texts):
        some.append(text)
        size += len(text)
        if size >= CHARACTERS_AT_ONCE or row == len(texts) - 1:
            yield begin, some
            begin, some, size = row + 1, [], 0


def _shingles(texts: Sequence[str]) -> tuple[Rows, Words64]:
    """Return the hash (S,) of each pair of neighbouring words, and its text (S,); a text's edge is a neighbour too."""
    text, words = _words(*_characters(texts))
    if not len(words):
        return np.zeros(0, np.int64), np.zeros(0, np.uint64)
    begins = np.concatenate([[True], text[1:] != text[:-1]])
    after = np.concatenate([np.where(begins[1:], np.uint64(1), words[1:]), [np.uint64(1)]])
    pairs, firsts = words * _odd(2)[0] + after * _odd(2)[1], words[begins] * _odd(2)[1] + _odd(2)[0]
    return np.concatenate([text, text[begins]]), _mixed(np.concatenate([pairs, firsts]))


def _characters(texts: Sequence[str]) -> tuple[NDArray[np.uint32], Rows]:
    """Return the characters of all texts in lower case, a line end between them, and where each text begins."""
    joined = "\n".join(texts).lower()
    characters = np.frombuffer(joined.encode("utf-32-le", errors="replace"), dtype=np.uint32)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    if int(lengths.sum()) + len(texts) - 1 != len(characters):  # a letter such as İ has two characters in lower case
        lengths = np.fromiter((len(text.lower()) for text in texts), np.int64, len(texts))
    return characters, np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])


def _words(characters: NDArray[np.uint32], edges: Rows) -> tuple[Rows, Words64]:
    """Return the text and the hash of each word: a run of letters and digits, or one character of a dense script."""
    kind = _kinds()[np.minimum(characters, 0x10000)]
    before = np.concatenate([[0], kind[:-1]])
    begins = np.flatnonzero((kind == 2) | ((kind == 1) & (before != 1)))
    ends_at = np.flatnonzero((kind > 0) & ((kind == 2) | (np.concatenate([kind[1:], [0]]) != 1))) + 1
    powers, inverses = _powers(1 << len(characters).bit_length())
    sums = np.concatenate([[np.uint64(0)], np.cumsum((characters + np.uint64(1)) * powers[: len(characters)])])
    hashes = _mixed((sums[ends_at] - sums[begins]) * inverses[begins])
    return np.searchsorted(edges, begins, side="right") - 1, hashes


@functools.cache
def _kinds() -> NDArray[np.uint8]:
    """Return 1 for letters, digits and their marks, 2 for characters that are words, 0 for others; the last for all beyond."""
    dense = [(0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF)]
    every = map(chr, range(0x10000))
    kinds = np.fromiter((one.isalnum() or unicodedata.category(one)[0] == "M" for one in every), np.uint8, 0x10000)
    for first, last in dense:
        kinds[first : last + 1] *= 2
    return np.concatenate([kinds, [np.uint8(2)]])


@functools.cache
def _powers(count: int) -> tuple[Words64, Words64]:
    """Return the powers of an odd number modulo 2^64, and their inverses."""
    base = 0x9E3779B97F4A7C15
    inverse = pow(base, -1, 1 << 64)
    found = []
    for number in (base, inverse):
        powers = np.full(count, number, dtype=np.uint64)
        powers[0] = 1
        found.append(np.cumprod(powers, dtype=np.uint64))
    return found[0], found[1]


@functools.cache
def _odd(count: int) -> Words64:
    return np.random.default_rng(1).integers(1 << 63, size=count, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def _mixed(values: Words64) -> Words64:
    """Return well spread hashes of numbers (the end of SplitMix64, Steele, Lea & Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
