"""Scored: one chain with all its fits, and how two of them differ on the same texts.

Shapes: J judged rows, G distinct judged texts, K labels.
"""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.intervals import Estimate, wilson
from nlptl.evaluation.scores import evaluate_predictions
from nlptl.runs.judging.fit_rows import FitRow, held_out_probabilities
from nlptl.runs.judging.judged_chain import JudgedChain
from nlptl.runs.judging.splits import Judging

Z = 1.96  # standard errors of a 95 % interval
GROWTH = 0.5  # exponent by which an error falls with the number of texts learnt; few curves fall faster

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Scored:
    """One chain with all its fits."""

    candidate: JudgedChain
    rows: tuple[FitRow, ...]
    judging: Judging
    labels: tuple[str, ...]  # K names, in the order of the probabilities
    seconds: float  # of one training

    @cached_property
    def probabilities(self) -> Floats:
        """Mean held-out probabilities (J, K) over the repeats."""
        return held_out_probabilities(self.rows, self.judging, label_count=len(self.labels))[0]

    def probabilities_or_nan(self) -> Floats:
        """Return the mean held-out probabilities (J, K); NaN for rows that were never held out."""
        found = self.probabilities.copy()
        found[np.setdiff1d(np.arange(len(found)), self.judged)] = math.nan
        return found

    @cached_property
    def judged(self) -> NDArray[np.int64]:
        """Row numbers that this chain was judged on, ascending."""
        found = [self.judging.splits[row.split].judged for row in self.rows]
        return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)

    @cached_property
    def hits(self) -> Floats:
        """In what share of the fits the label of each row (J,) was predicted; NaN where it was never held out."""
        position = {label: place for place, label in enumerate(self.labels)}
        true = np.array([position.get(label, -1) for label in self.judging.table.labels()])
        sums, counts = np.zeros(len(true)), np.zeros(len(true))
        for row in self.rows:
            held_out = self.judging.splits[row.split].judged
            sums[held_out] += row.predictions().argmax(axis=1) == true[held_out]
            counts[held_out] += 1
        return _shares(np.asarray(sums), counts.astype(np.float64))

    @cached_property
    def by_text(self) -> Floats:
        """Hits of each distinct text (G,), its copies' mean; NaN where it was not judged."""
        return _by_text(self.hits, self.judging)

    @property
    def texts(self) -> int:
        """Number of distinct texts that this chain was judged on."""
        return int((~np.isnan(self.by_text)).sum())

    @cached_property
    def repeats(self) -> float:
        """How often a judged text was judged, on average."""
        judged = sum(len(self.judging.splits[row.split].judged) for row in self.rows)
        return judged / max(1, len(self.judged))

    def accuracy(self, *, optimism: float = 0.0) -> Estimate:
        """Return the share of judged rows that are right. Its interval is Wilson's at the distinct texts, or wider.

        `optimism` is what being chosen adds to it; the lower end goes down by that. In cross-validation the upper end allows for
        the classifier that learns all texts and not all but a fold: at best its error falls as the root of their number.
        """
        hits = self.hits[self.judged]
        if not len(hits):
            return Estimate(1 / len(self.labels), 0.0, 1.0)
        texts = self.texts / variance_factor(self.judging, self.repeats)
        value = float(hits.mean())
        found = wilson(value * texts, texts)
        return Estimate(value, max(0.0, found.low - optimism), 1 - (1 - found.high) * self._rest_of_error)

    @property
    def _rest_of_error(self) -> float:
        """What is left of the error, at best, once a fold is learnt too."""
        return 1.0 if self.judging.by == "test" else (1 - 1 / max(2, self.judging.folds)) ** GROWTH

    def macro_f1(self) -> Estimate:
        """Return the mean F1 of the judged labels, with a bootstrap interval that allows for folds that share texts."""
        if not len(self.judged):
            return Estimate(0.0, None, None)
        true = [self.judging.table.labels()[row] for row in self.judged]
        predicted = [self.labels[place] for place in self.probabilities[self.judged].argmax(axis=1)]
        names = sorted({*true, *predicted})
        found = evaluate_predictions(labels=true, predicted=predicted, probabilities=None, names=names).macro_f1
        if found.low is None or found.high is None:
            return found
        wider = math.sqrt(variance_factor(self.judging, self.repeats))
        low, high = (found.value + wider * (end - found.value) for end in (found.low, found.high))
        return Estimate(found.value, max(0.0, low), min(1.0, high))


def variance_factor(judging: Judging, repeats: float) -> float:
    """Return by what the variance of a mean over folds exceeds that of as many independent texts.

    Trainings of cross-validation share texts, so that their scores are correlated (Nadeau & Bengio 2003): in R repeats of k
    folds the variance is 1/R + k/(k-1) times as large. A test has the factor 1.
    """
    if judging.by == "test":
        return 1.0
    folds = max(2, judging.folds)
    return 1 / max(repeats, 1e-9) + folds / (folds - 1)


def paired(first: Scored, second: Scored) -> Estimate | None:
    """Return the accuracy of `second` minus that of `first` on the texts and splits that both have; None where there are none."""
    found = paired_error(first, second)
    return None if found is None else found.estimate()


def paired_texts(first: Floats, second: Floats, judging: Judging, *, repeats: float) -> Estimate | None:
    """Return the mean difference (second - first) of the hits of judged rows (J,); NaN where one was not judged."""
    found = difference_of_texts(_by_text(first, judging), _by_text(second, judging), variance_factor(judging, repeats))
    return None if found is None else found.estimate()


@dataclasses.dataclass(frozen=True)
class TextDifference:
    """Paired difference of two accuracies.

    The interval is Agresti & Min's (2005) for pairs: two texts are added that speak for either, so that it has a width where
    both always agree.
    """

    value: float
    centre: float
    error: float  # standard error

    def estimate(self) -> Estimate:
        """Return the difference with its 95 % interval."""
        low, high = self.centre - Z * self.error, self.centre + Z * self.error
        return Estimate(self.value, max(-1.0, min(self.value, low)), min(1.0, max(self.value, high)))


def paired_error(first: Scored, second: Scored) -> TextDifference | None:
    """Return what `paired` does, with the standard error."""
    factor = variance_factor(first.judging, min(first.repeats, second.repeats))
    return difference_of_texts(first.by_text, second.by_text, factor)


def difference_of_texts(first: Floats, second: Floats, factor: float) -> TextDifference | None:
    """Return the mean difference (second - first) of the hits of texts (G,); None without a text that both have.

    `factor` is that of the variance, see `variance_factor`.
    """
    apart = second - first
    apart = apart[~np.isnan(apart)]
    if not len(apart):
        return None
    texts = len(apart)
    centre = float(apart.sum()) / (texts + 2)
    spread = (float((apart**2).sum()) + 1) / (texts + 2) - centre**2
    return TextDifference(float(apart.mean()), centre, math.sqrt(max(spread, 0.0) * factor / (texts + 2)))


def _by_text(hits: Floats, judging: Judging) -> Floats:
    """Return the hits of each distinct text (G,), its copies' mean; NaN where it was not judged."""
    known, groups = ~np.isnan(hits), len(judging.groups.first)
    owner = judging.groups.owner[known]
    sums, counts = np.bincount(owner, weights=hits[known], minlength=groups), np.bincount(owner, minlength=groups)
    return _shares(np.asarray(sums), counts.astype(np.float64))


def _shares(sums: Floats, counts: Floats) -> Floats:
    """Return sums / counts; NaN where nothing was counted."""
    found = np.full(len(sums), math.nan)
    found[counts > 0] = sums[counts > 0] / counts[counts > 0]
    return found


def points(difference: Estimate) -> str:
    """Return a difference of accuracies in points with its interval."""
    return f"{difference.told('+.0f', 100)} points"
