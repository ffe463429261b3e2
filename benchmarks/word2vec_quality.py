"""What word vectors are worth, asked of every arm by the same judge (gensim), and whether two arms are worth the same."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from arms import Row
from texts import read_rows
from word2vec_texts import split

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

Unseen = Callable[[list[str]], np.ndarray]
"""Gives vectors (words, D) to words that training did not see."""

WORDS = 30_000  # most frequent words among which an analogy's answer is sought, in every arm
LEVEL = 0.90  # of the interval of a difference: both one-sided tests of equivalence at 5 %
PAIRS = {
    "MEN": "EN-MEN-TR-3k.txt",
    "WS-353": "wordsim353.tsv",
    "SimLex-999": "simlex999.txt",
    "RareWords": "EN-RW-STANFORD.txt",
}
PROBES = {"cr": "cr", "emotion": "tweeteval/emotion"}
MARGINS = {"MEN": 0.02, "analogies": 1.0, "cr": 0.5, "emotion": 0.5}
"""Differences that pass for none: of Spearman's rho, else points of a hundred. A probe moves by .6 to .8 points from seed
to seed of gensim alone (4 million words, two epochs): five seeds leave an interval of ± .8, some 15 are needed for ± .5."""


@dataclass(frozen=True)
class Judge:
    """What vectors are asked."""

    folder: Path
    """Holds wordsim, cr and tweeteval/emotion."""
    pairs: tuple[str, ...] = tuple(PAIRS)
    analogies: bool = True
    probes: tuple[str, ...] = tuple(PROBES)


def scores(judge: Judge, vectors: KeyedVectors, unseen: Unseen | None = None) -> Row:
    """Return every score by name; where n-grams give vectors to unseen words, also what they add to it."""
    found: Row = {}
    for name in judge.pairs:
        found |= similarity(judge.folder / "wordsim" / PAIRS[name], vectors, name)
        if unseen is not None:
            every = with_unseen(vectors, unseen, words_of_pairs(judge.folder / "wordsim" / PAIRS[name]))
            found |= similarity(judge.folder / "wordsim" / PAIRS[name], every, f"{name}, unseen words too")
    if judge.analogies:
        found |= analogies(judge.folder / "wordsim" / "questions-words.txt", vectors)
    for name in judge.probes:
        found |= probe(judge.folder, name, vectors, unseen)
    return found


def similarity(path: Path, vectors: KeyedVectors, name: str) -> Row:
    """Return Spearman's rho with people's judgements, over the pairs whose words both have vectors."""
    _, spearman, missing = vectors.evaluate_word_pairs(str(path), restrict_vocab=len(vectors))
    pairs = len(pairs_in(path))
    return {
        name: round(float(spearman[0]), 5),
        f"{name}: pairs": round(pairs * (1 - missing / 100)),
        f"{name}: of": pairs,
    }


def analogies(path: Path, vectors: KeyedVectors) -> Row:
    """Return the percentage of analogies answered rightly, of those whose four words are frequent."""
    score, sections = vectors.evaluate_word_analogies(str(path), restrict_vocab=WORDS)
    asked = len(sections[-1]["correct"]) + len(sections[-1]["incorrect"])
    return {"analogies": round(100 * score, 3), "analogies: asked": asked}


def probe(folder: Path, name: str, vectors: KeyedVectors, unseen: Unseen | None) -> Row:
    """Return a logistic regression's accuracy in percent on means of word vectors, all training rows against the test."""
    train, test = (read_rows(folder, PROBES[name], part) for part in ("train", "test"))
    words = [split(train.texts()), split(test.texts())]
    tested = [word for text in words[1] for word in text]
    share = 100 * sum(word not in vectors.key_to_index for word in tested) / max(1, len(tested))
    found = {name: accuracy(vectors, words, train.labels(), test.labels()), f"{name}: unseen": round(share, 2)}
    if unseen is not None:
        every = with_unseen(vectors, unseen, sorted({word for part in words for text in part for word in text}))
        found[f"{name}, unseen words too"] = accuracy(every, words, train.labels(), test.labels())
    return found


def accuracy(vectors: KeyedVectors, words: Sequence[list[list[str]]], train: list[str], test: list[str]) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = [np.array([mean_vector(vectors, text) for text in part]) for part in words]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)).fit(features[0], train)
    return round(100 * float(np.mean(model.predict(features[1]) == np.array(test))), 3)


def mean_vector(vectors: KeyedVectors, words: list[str]) -> np.ndarray:
    known = [vectors.key_to_index[word] for word in words if word in vectors.key_to_index]
    return vectors.vectors[known].mean(axis=0) if known else np.zeros(vectors.vector_size, np.float32)


def with_unseen(vectors: KeyedVectors, unseen: Unseen, words: list[str]) -> KeyedVectors:
    """Return plain vectors by word: those at hand, and those of the words that are not among them."""
    from gensim.models import KeyedVectors

    missing = [word for word in words if word not in vectors.key_to_index]
    every = KeyedVectors(vectors.vector_size)
    every.add_vectors(list(vectors.index_to_key), vectors.vectors)
    if missing:
        every.add_vectors(missing, unseen(missing).astype(np.float32))
    return every


def words_of_pairs(path: Path) -> list[str]:
    return sorted({word.lower() for pair in pairs_in(path) for word in pair})


def pairs_in(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[:2] for line in lines if line.strip() and not line.startswith("#")]


def comparison(name: str, ours: Sequence[float], peer: Sequence[float], **more: Any) -> Row:
    """Return a bar: the end of the interval of the difference of means that lies farther from none, within its margin."""
    low, high = difference(ours, peer)
    digits = 4 if "RareWords" in name or name in PAIRS else 2
    bar: Row = {"name": f"{name}: farther end of the difference", "value": round(max(abs(low), abs(high)), digits)}
    if name in MARGINS and min(len(ours), len(peer)) > 1:  # one seed has no interval
        bar["at_most"] = MARGINS[name]
    told = {"ours": spread(ours, digits), "peer": spread(peer, digits)}
    return {**bar, "range": [round(low, digits), round(high, digits)], **told, **more}


def difference(ours: Sequence[float], peer: Sequence[float]) -> tuple[float, float]:
    """Return the 90 % interval of mean(ours) − mean(peer) over seeds, variances unequal (Welch 1947)."""
    from scipy.stats import t

    parts = [statistics.variance(arm) / len(arm) if len(arm) > 1 else 0.0 for arm in (ours, peer)]
    middle = statistics.fmean(ours) - statistics.fmean(peer)
    if (total := sum(parts)) == 0:
        return middle, middle
    freedom = total**2 / sum(part**2 / (len(arm) - 1) for part, arm in zip(parts, (ours, peer), strict=True) if part)
    half = float(t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(total)
    return middle - half, middle + half


def spread(values: Sequence[float], digits: int) -> str:
    """Return mean ± standard deviation over seeds."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.{digits}f} ± {deviation:.{digits}f}"
