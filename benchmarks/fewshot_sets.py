"""The data sets of the few-label benchmarks: their metrics, their label names, their splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from texts import EMOTION, IMDB, Rows, distinct_rows, label_names, plain, read_rows, sample

ACCURACY, MACRO_F1, MACRO_RECALL, FAVOR_AGAINST = "accuracy", "macro-F1", "macro-recall", "F1 of favor and against"
SEEDS = tuple(range(20))  # of the splits
DEV_SEEDS = tuple(range(1000, 1020))
TEST_SEED = 0
HELD_OUT = 400  # training rows that stand in for the test while methods are developed


@dataclass(frozen=True)
class Set:
    """Where a data set lies and how it is scored."""

    folder: str
    metric: str = ACCURACY
    train: str = "train"
    test: str | None = "test"
    """None: the file has no official test, which is then `test_rows` of its distinct rows by TEST_SEED."""
    test_rows: int = 500
    label_names: Mapping[str, str] = field(default_factory=dict)
    """In words, only where the set's own labels are none; fixed before any result was seen."""
    has_pile: bool = False
    """Whether its file of unlabelled texts is read."""


TREC = {
    "ABBR": "abbreviation", "DESC": "description", "ENTY": "entity", "HUM": "human being", "LOC": "location",
    "NUM": "number",
}  # fmt: skip
SETS = {
    "emotion": Set(EMOTION, MACRO_F1),
    "offensive": Set("tweeteval/offensive", MACRO_F1),
    "sentiment": Set("tweeteval/sentiment", MACRO_RECALL, train="train_pool"),  # of SemEval-2017, no official file
    "stance": Set("tweeteval/stance", FAVOR_AGAINST, label_names={"none": "neutral"}),
    "hahackathon": Set("hahackathon"),
    "cr": Set("cr"),
    "trec": Set("trec", label_names=TREC),
    "ag_news": Set("ag_news"),
    "banking77": Set("banking77"),
    "imdb": Set(IMDB, test_rows=300, has_pile=True),
}
AMAZON = {
    name: Set("amazon_mdsd", train=name, test=None) for name in ("books", "dvd", "electronics", "kitchen")
}  # fmt: skip
"""Reviews of four kinds of goods (Blitzer et al. 2007), which the pile is measured on beside the ten sets."""
JAPANESE = {"chabsa_ja": Set("chabsa_ja")}
"""Sentences on finance (chABSA), which abstention is measured on beside them."""
EVERY = {**SETS, **AMAZON, **JAPANESE}


@dataclass(frozen=True)
class Material:
    """What the runs of one set are drawn from and scored on."""

    train: Rows
    test: Rows
    unlabelled: Rows
    names: tuple[str, ...]
    dropped: int
    """Training rows left out because their text stands in the test."""

    @property
    def truth(self) -> np.ndarray:
        """Label numbers of the test (I,)."""
        return np.array([self.names.index(label) for label in self.test.labels()])


def material(folder: Path, name: str, *, dev: bool, tiny: bool) -> Material:
    """Read a set; with `dev` its test is part of the training rows, and the real one is not looked at but for leaks."""
    what = EVERY[name]
    train = read_rows(folder, what.folder, what.train)
    if what.test is None:
        train = distinct_rows(train)
        test = sample(train, 12 if tiny else what.test_rows, seed=TEST_SEED)
    else:
        test = read_rows(folder, what.folder, what.test)
    names = label_names(train)
    without = not_in(train, test)
    unlabelled = not_in(read_rows(folder, what.folder, "unlabelled"), test) if what.has_pile else Rows(name, [])
    dropped = 0 if what.test is None else len(train) - len(without)
    count = 12 if tiny else HELD_OUT if dev else what.test_rows
    if not dev:
        return Material(without, sample(test, count, seed=TEST_SEED), unlabelled, names, dropped)
    held_out = sample(without, count, seed=DEV_SEEDS[0])
    return Material(not_in(without, held_out), held_out, not_in(unlabelled, held_out), names, dropped)


def not_in(rows: Rows, others: Rows) -> Rows:
    """Return the rows whose text does not stand in `others`."""
    known = {plain(text) for text in others.texts()}
    return rows.select([number for number, text in enumerate(rows.texts()) if plain(text) not in known])


def shots_of(rows: Rows, shots: int, seed: int) -> Rows:
    """Draw `shots` rows a label as nlptl's few-shot draw does, so that a smaller draw is part of a larger one.

    Unlike it, a label with fewer rows gives all that it has (banking77's rarest, 64 shots).
    """
    return rows.select(chosen(rows.labels(), shots, seed).tolist())


def chosen(labels: Sequence[str], shots: int, seed: int) -> np.ndarray:
    names = np.asarray(labels, dtype=np.object_)
    generator = np.random.default_rng(seed)
    drawn = [generator.permutation(np.flatnonzero(names == name))[:shots] for name in np.unique(names)]
    return np.sort(np.concatenate(drawn))
