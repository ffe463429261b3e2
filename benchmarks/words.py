"""A text of words as a corpus, and what vectors of them are worth: human ratings of pairs (MEN) and analogies."""

from __future__ import annotations

import collections
import dataclasses
import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nlptl.pretraining.word2vec.corpus import Corpus

FREQUENT = 30_000  # words that an answer can be, as in word2vec's and gensim's own test


@dataclasses.dataclass(frozen=True)
class Words:
    """A corpus and its words by id."""

    corpus: Corpus
    names: list[str]


def read_words(path: Path, *, least: int, line: int) -> Words:
    """Read lower-case words between spaces; cut every `line` words, drop words that occur less than `least` times."""
    words = gzip.decompress(path.read_bytes()).decode("utf-8").split()
    counted = collections.Counter(words)
    names = ["[UNK]", *(word for word, count in counted.most_common() if count >= least)]
    numbers = {name: number for number, name in enumerate(names)}
    ids = np.fromiter((numbers.get(word, 0) for word in words), np.int32, len(words))
    known = np.concatenate([[0], np.cumsum(ids != 0)])
    offsets = known[np.append(np.arange(0, len(ids), line), len(ids))]
    counts = np.bincount(ids, minlength=len(names)).astype(np.int64)
    return Words(Corpus(ids=ids[ids != 0], offsets=offsets.astype(np.int64), counts=counts), names)


def men(names: Sequence[str], vectors: np.ndarray, folder: Path) -> float:
    """Return Spearman's correlation of cosines and ratings in EN-MEN-TR-3k.txt, over pairs of known words."""
    numbers, unit = {name: number for number, name in enumerate(names)}, _unit(vectors)
    rated, cosines = [], []
    for row in (folder / "EN-MEN-TR-3k.txt").read_text(encoding="utf-8").splitlines():
        first, second, rating = row.split()
        if first in numbers and second in numbers:
            rated.append(float(rating))
            cosines.append(float(unit[numbers[first]] @ unit[numbers[second]]))
    return round(float(np.corrcoef(_ranks(rated), _ranks(cosines))[0, 1]), 4) if len(rated) > 1 else 0.0


def analogy(names: Sequence[str], vectors: np.ndarray, folder: Path) -> float:
    """Return the share of questions-words.txt answered by b - a + c, among the frequent words and none of the three."""
    unit = _unit(vectors)[: FREQUENT + 1]
    numbers = {name: number for number, name in enumerate(names[: len(unit)])}
    rows = (folder / "questions-words.txt").read_text(encoding="utf-8").lower().splitlines()
    split = [row.split() for row in rows if not row.startswith(":")]
    asked = np.array([[numbers[word] for word in row] for row in split if all(word in numbers for word in row)])
    hits = 0
    for part in np.array_split(asked, max(1, len(asked) // 1_000)) if len(asked) else []:
        scores = (unit[part[:, 1]] - unit[part[:, 0]] + unit[part[:, 2]]) @ unit.T
        scores[:, 0] = -np.inf
        np.put_along_axis(scores, part[:, :3], -np.inf, axis=1)
        hits += int((scores.argmax(axis=1) == part[:, 3]).sum())
    return round(hits / max(1, len(asked)), 4)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _ranks(values: Sequence[float]) -> np.ndarray:
    """Return ranks, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]
