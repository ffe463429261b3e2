"""Sums over chunks against each text read alone."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from nlptl.inference import chunk_sums
from nlptl.inference.chunk_sums import ChunkSums

TEXTS = ["a bb  a", "", " \n\t", "ccc", "a<br />bb", "a<BR\t/>bb", "<br", "/>", "\u00e9 a\u00a0b", "<\u00adbr\n/> a"]


def lengths(chunks: list[str]) -> np.ndarray:
    """Return the characters of each chunk and 1."""
    return np.array([[len(chunk), 1.0] for chunk in chunks])


def test_sums_are_those_of_each_text_alone() -> None:
    sums = ChunkSums(lengths, 2)
    found = sums(TEXTS)
    # Only ASCII whitespace parts chunks, and a line break of HTML is whitespace.
    assert found.tolist() == [[4, 3], [0, 0], [0, 0], [3, 1], [3, 2], [3, 2], [3, 1], [2, 1], [4, 2], [1, 1]]
    assert sums(TEXTS[::-1]).tolist() == found[::-1].tolist()
    assert sums([]).shape == (0, 2)


def test_each_chunk_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def read(chunks: list[str]) -> np.ndarray:
        asked.extend(chunks)
        return lengths(chunks)

    sums = ChunkSums(read, 2)
    sums(["a b a", "b c"])
    sums(["c a d"])
    assert asked == ["a", "b", "c", "d"]
    monkeypatch.setattr(chunk_sums, "MAX_CHUNKS", 3)
    assert sums(["d"]).tolist() == [[1, 1]]
    assert asked == ["a", "b", "c", "d", "d"], "too many are forgotten"


def test_a_failure_leaves_no_number_without_a_row() -> None:
    fails = [True]

    def read(chunks: list[str]) -> np.ndarray:
        if fails:
            raise KeyError(fails.pop())
        return lengths(chunks)

    sums = ChunkSums(read, 2)
    with pytest.raises(KeyError):
        sums(["aa b"])
    assert sums(["b aa"]).tolist() == [[3, 2]]
    with pytest.raises(UnicodeEncodeError):
        sums(["\ud800"])


def test_threads_may_call_at_once() -> None:
    sums = ChunkSums(lengths, 2)
    texts = [[f"w{one} x{two} w{one + two}" for two in range(200)] for one in range(8)]
    found: dict[int, np.ndarray] = {}
    threads = [threading.Thread(target=lambda n=n: found.setdefault(n, sums(texts[n]))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, own in enumerate(texts):
        assert found[number].tolist() == [[len(text.replace(" ", "")), 3] for text in own]
