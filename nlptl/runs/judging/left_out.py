"""Judges of labelled rows, each of which has not learnt from the row: a linear head, the words, and the nearest rows.

Shapes: n labelled rows, K labels, D dimension, B texts.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.duplicates import DuplicateGroups, duplicate_groups
from nlptl.evaluation.label_errors import NEIGHBOURS, UNSEEN, WEIGHT_OF_NEIGHBOURS, joined_judges, neighbours_judge
from nlptl.evaluation.nearest_rows import nearest_rows
from nlptl.evaluation.regions import unit

if TYPE_CHECKING:
    from nlptl.finetuning.linear import FittedHead

MAX_WORDS_TOGETHER = 20_000  # labelled texts whose words are judged by folds
MAX_WORDS_LEARNT = 25_000  # labelled texts that one of two classifiers by words learns, where there are more
TEXTS_AT_ONCE = 20_000

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """What all judges say of labelled rows that they have not learnt from."""

    probabilities: (
        Floats  # (n, K), calibrated to the labels as they are given; NaN for a row that could not be left out
    )
    head: FittedHead | None  # over the vectors, of the labels `known`; None where no row has one
    known: NDArray[np.int64]
    by_head: Floats | None  # (n, K) what the head alone says, not calibrated with the others
    by: tuple[str, ...]  # names of the judges

    def predicted(self, vectors: NDArray[np.float32]) -> Floats:
        """Return the probabilities (B, K) that the head gives vectors (B, D) of other texts."""
        import torch

        assert self.head is not None
        found = np.zeros((len(vectors), self.probabilities.shape[1]))
        found[:, self.known] = self.head.calibrated().probabilities(torch.from_numpy(vectors)).cpu().numpy()
        return found


@dataclasses.dataclass(frozen=True)
class LabelledRows:
    """Labelled texts to be judged."""

    texts: Sequence[str]
    labels: NDArray[np.int64]  # (n,) label ids
    label_count: int

    @functools.cached_property
    def groups(self) -> DuplicateGroups:
        """Groups of rows with one text, whatever their labels."""
        return duplicate_groups(self.texts, [0] * len(self.texts))


def left_out(
    rows: LabelledRows, vectors: NDArray[np.float32] | None, *, encoded: NDArray[np.int64], seed: int
) -> LeftOut:
    """Return the probabilities of each row by judges without it and its copies.

    `vectors` (E, D) belong to the rows `encoded` (E,); the others are judged by their words alone.
    """
    head, by_head, judges, by = None, None, list[tuple[float, Floats]](), list[str]()
    known = np.unique(rows.labels[encoded])
    if vectors is not None and len(known) > 1:
        head, found = _head(rows, vectors, encoded)
        by_head = _spread(found, encoded, rows)
        near = _spread(_neighbours(rows, vectors, encoded), encoded, rows)
        judges += [(1.0, by_head), (WEIGHT_OF_NEIGHBOURS, near)]
        by += ["a linear head", "the nearest labelled texts"]
    if (words := _words(rows, seed=seed)) is not None:
        judges.append((1.0, words))
        by.append("the words")
    if not judges:
        return LeftOut(np.full((len(rows.texts), rows.label_count), np.nan), None, known, None, ())
    joined = joined_judges(judges, np.bincount(rows.labels, minlength=rows.label_count) / len(rows.labels))
    joined[~_can_be_left_out(rows)] = np.nan
    return LeftOut(_calibrated(joined, rows.labels), head, known, by_head, tuple(by))


def _head(rows: LabelledRows, vectors: NDArray[np.float32], encoded: NDArray[np.int64]) -> tuple[FittedHead, Floats]:
    """Return a ridge head and, in closed form, the probabilities (E, K) of each row by the head without it.

    A text whose rows have other labels is an example of each. The head knows the labels of `encoded` alone.
    """
    import torch

    from nlptl.finetuning.linear import LabelledVectors, fit_ridge

    known, labels = np.unique(rows.labels[encoded], return_inverse=True)
    groups = duplicate_groups([rows.texts[row] for row in encoded.tolist()], labels.tolist())
    some = LabelledVectors.of(
        torch.from_numpy(vectors[groups.first]), torch.from_numpy(labels[groups.first]), len(known),
        copies=torch.from_numpy(groups.copies),
    )  # fmt: skip
    fit = fit_ridge(some)
    found = torch.softmax(fit.out_of_fold_logits.double() / fit.temperature, dim=1)
    probabilities = np.zeros((len(encoded), rows.label_count))
    probabilities[:, known] = found[torch.from_numpy(groups.owner)].cpu().numpy()
    return fit, probabilities


def _neighbours(rows: LabelledRows, vectors: NDArray[np.float32], encoded: NDArray[np.int64]) -> Floats:
    centred = unit(vectors - vectors.mean(axis=0))  # without it, all means of word vectors point the same way
    nearest = nearest_rows(centred, min(NEIGHBOURS, len(centred)))
    return neighbours_judge(nearest, rows.labels[encoded], rows.label_count, groups=rows.groups.owner[encoded])


def _words(rows: LabelledRows, *, seed: int) -> Floats | None:
    """Return the probabilities (n, K) by a classifier over n-grams that has not learnt the row; None without words."""
    import torch

    from nlptl.finetuning.words.word_expert import fit_words

    groups = rows.groups
    if len(rows.texts) > MAX_WORDS_TOGETHER:
        return _words_by_halves(rows, groups, seed=seed)
    labels = torch.from_numpy(rows.labels)
    expert = fit_words(rows.texts, labels, rows.label_count, groups=groups, seed=seed)
    return None if expert is None else _levelled(expert.out_of_fold_logits)


def _words_by_halves(rows: LabelledRows, groups: DuplicateGroups, *, seed: int) -> Floats | None:
    """Judge each half of the texts by a classifier over the words of some of the other half."""
    import torch

    from nlptl.finetuning.words.word_expert import fit_words

    found = np.full((len(rows.texts), rows.label_count), np.nan)
    half = np.random.default_rng(seed).integers(2, size=len(groups.first))[groups.owner]
    for side in (0, 1):
        learnt = np.flatnonzero(half == side)
        learnt = np.sort(np.random.default_rng(seed).permutation(learnt)[:MAX_WORDS_LEARNT])
        texts, labels = [rows.texts[row] for row in learnt.tolist()], torch.from_numpy(rows.labels[learnt])
        own = duplicate_groups(texts, [0] * len(texts))
        expert = fit_words(texts, labels, rows.label_count, groups=own, seed=seed)
        if expert is None:
            return None
        judged = np.flatnonzero(half != side)
        for begin in range(0, len(judged), TEXTS_AT_ONCE):
            part = judged[begin : begin + TEXTS_AT_ONCE]
            found[part] = _levelled(expert.view.vectors([rows.texts[row] for row in part.tolist()]).double())
    return found


def _levelled(logits: object) -> Floats:
    """Return the softmax of logits, a small part of it dealt evenly."""
    import torch

    assert isinstance(logits, torch.Tensor)
    found = np.asarray(torch.softmax(logits.double(), dim=1).cpu().numpy())
    return np.asarray((1 - UNSEEN / 10) * found + UNSEEN / 10 / found.shape[1])


def _spread(found: Floats, encoded: NDArray[np.int64], rows: LabelledRows) -> Floats:
    every = np.full((len(rows.texts), rows.label_count), np.nan)
    every[encoded] = found
    return every


def _can_be_left_out(rows: LabelledRows) -> NDArray[np.bool_]:
    """Return whether the label of each row stands on another text too: no judge knows a label that it has not learnt."""
    pairs = np.unique(np.column_stack([rows.labels, rows.groups.owner]), axis=0)
    texts = np.bincount(pairs[:, 0], minlength=rows.label_count)
    return np.asarray(texts[rows.labels] > 1)


def _calibrated(probabilities: Floats, labels: NDArray[np.int64]) -> Floats:
    """Return the probabilities at the temperature under which the given labels have the smallest loss."""
    import torch

    from nlptl.evaluation.calibration import fit_temperature

    known = np.flatnonzero(~np.isnan(probabilities).any(axis=1))
    if not len(known):
        return probabilities
    logits = torch.from_numpy(np.log(np.maximum(probabilities[known], 1e-12)))
    temperature = fit_temperature(logits, torch.from_numpy(labels[known]))
    found = probabilities.copy()
    found[known] = torch.softmax(logits / temperature, dim=1).numpy()
    return found
