"""Words as character n-grams, hashed into buckets (Bojanowski et al. 2017).

Hashes equal those of the fastText program, so that its models can be written.
Shapes: N characters of a block of words, L lengths of n-grams from `min` on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nlptl.config import Config

WORDS_AT_ONCE = 100_000  # hashed together; bounds the memory for a large vocabulary
BASIS, PRIME = np.uint32(2166136261), np.uint32(16777619)  # of FNV-1a with 32 bits
SIGN = np.uint32(0xFFFFFF00)  # sign extension of bytes from 128 on, since fastText's bytes are signed
MAX_CHARACTER_BYTES = 4  # in UTF-8


class Spelling(Config):
    """Character n-grams of "<word>" that a word's vector is composed of."""

    min: int = Field(default=3, ge=1, le=100)
    """Characters of the shortest n-gram, < and > included."""
    max: int = Field(default=6, ge=1, le=100)
    """Characters of the longest n-gram. Longer ones are rarer and more specific."""
    buckets: int = Field(default=2_000_000, ge=1, lt=2**31)
    """Vectors shared by all n-grams, by hash. Fewer save memory but make more n-grams share a vector."""

    @model_validator(mode="after")
    def _min_before_max(self) -> Spelling:
        if self.max < self.min:
            raise ValueError(
                f"found min: {self.min} and max: {self.max}; expected max to be at least min. Raise max or lower min"
            )
        return self


def bucket_ids(words: Sequence[str], spelling: Spelling) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the bucket of every n-gram of every word, end to end, and where each word's begin (len(words) + 1).

    As in fastText, the n-grams of "<word>" are ordered by place, then by length, and hashed by FNV-1a over their bytes.
    A lone "<" or ">" is not an n-gram. A word shorter than `min` has none.
    """
    parts = [_hashes(words[begin : begin + WORDS_AT_ONCE], spelling) for begin in range(0, len(words), WORDS_AT_ONCE)]
    counts = [np.zeros(1, np.int64), *(counts for _, counts in parts)]
    hashes = np.concatenate([np.zeros(0, np.uint32), *(hashes for hashes, _ in parts)])
    return (hashes % np.uint32(spelling.buckets)).astype(np.int32), np.cumsum(np.concatenate(counts))


def _hashes(words: Sequence[str], spelling: Spelling) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the hashes of all n-grams, end to end, and the number of n-grams of each word."""
    data = np.frombuffer("".join(f"<{word}>" for word in words).encode(), np.uint8)
    begins = np.flatnonzero(data & 0xC0 != 0x80)  # (N,) first bytes of characters
    widths = np.diff(begins, append=len(data))
    characters = np.fromiter((len(word) + 2 for word in words), np.int64, len(words))
    word = np.repeat(np.arange(len(words)), characters)
    ends = np.cumsum(characters)[word]
    first = np.arange(len(begins)) == ends - characters[word]
    signed = data.astype(np.uint32)
    signed[data >= 128] |= SIGN

    max_length = min(spelling.max, int(characters.max(initial=0)))
    found = np.zeros((len(begins), max(0, max_length - spelling.min + 1)), np.uint32)  # (N, L)
    exists = np.zeros(found.shape, np.bool_)
    running = np.full(len(begins), BASIS)
    for length in range(1, max_length + 1):
        here = np.flatnonzero(np.arange(len(begins)) + length <= ends)
        last, width = begins[here + length - 1], widths[here + length - 1]
        for byte in range(MAX_CHARACTER_BYTES):  # hash one more character into `running`
            rows = here[has := width > byte]
            running[rows] = (running[rows] ^ signed[last[has] + byte]) * PRIME
        if length >= spelling.min:
            kept = here[~first[here] & (here + 1 < ends[here])] if length == 1 else here
            found[kept, length - spelling.min] = running[kept]
            exists[kept, length - spelling.min] = True
    grams = np.bincount(word, weights=exists.sum(axis=1), minlength=len(words)).astype(np.int64)
    return found[exists], grams
