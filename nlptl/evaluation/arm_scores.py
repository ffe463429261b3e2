"""Accuracy and macro-F1 of several arms on the same texts, and on the same resamples of them.

Shapes: A arms, S seeds or repeats, I judged rows, G distinct texts, K labels, R resamples, P pairs of arms.
"""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nlptl.evaluation.intervals import Estimate, chunks, estimate, percentile_interval, wilson
from nlptl.evaluation.many_pairs import CorrectedDifference, PairErrors, corrected_differences, pairs_of

RESAMPLES = 2000

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class ArmScores:
    """What several arms predicted for the same rows, under the same seeds, and what that shows."""

    truth: Ids  # (I,) label ids from 0
    predicted: Ids  # (A, S, I) label ids; -1 for a label that no judged row has
    owner: Ids  # (I,) distinct text of each row, from 0: copies of a text are resampled together
    label_count: int  # K
    variance_factor: float = 1.0  # by which folds that share training texts raise the variance of a mean
    seeds_vary: bool = True  # whether seeds are resampled too; else rows are averaged over them
    seed: int = 0  # of the resamples

    @property
    def texts(self) -> int:
        """Number of distinct judged texts."""
        return int(self.owner.max()) + 1 if len(self.owner) else 0

    @cached_property
    def hits(self) -> npt.NDArray[np.bool_]:
        """Whether each prediction (A, S, I) is right."""
        return np.asarray(self.predicted == self.truth)

    def accuracies(self) -> tuple[Estimate, ...]:
        """Return the accuracy of each arm. Its interval covers Wilson's and the bootstrap's."""
        found = []
        for value, draws in zip(self._values[0], self._draws[0], strict=True):
            ends = percentile_interval(float(value), self._widened(draws))
            count = max(1.0, self.texts / self.variance_factor)
            other = wilson(min(count, float(value) * count), count)
            whole = dataclasses.replace(
                ends, low=max(0.0, min(ends.low, other.low)), high=min(1.0, max(ends.high, other.high))
            )
            found.append(estimate(whole, texts=self.texts))
        return tuple(found)

    def macro_f1s(self) -> tuple[Estimate, ...]:
        """Return the mean F1 of the judged labels of each arm, with a bootstrap interval."""
        found = []
        for value, draws in zip(self._values[1], self._draws[1], strict=True):
            ends = percentile_interval(float(value), np.clip(self._widened(draws), 0.0, 1.0))
            ends = dataclasses.replace(ends, low=min(ends.low, ends.value), high=max(ends.high, ends.value))
            found.append(estimate(ends, texts=self.texts if self.label_count > 1 else 0))
        return tuple(found)

    def accuracy_differences(self) -> tuple[CorrectedDifference, ...]:
        """Return how the accuracies of each pair differ, corrected for all pairs."""
        return corrected_differences(self._values[0], self._widened(self._draws[0]), least=self._least_errors())

    def macro_f1_differences(self) -> tuple[CorrectedDifference, ...]:
        """Return how the macro-F1 of each pair differs, corrected for all pairs."""
        return corrected_differences(self._values[1], self._widened(self._draws[1]))

    def _widened(self, draws: Floats) -> Floats:
        """Return resamples that lie as far from their mean as the variance factor says."""
        mean = draws.mean(axis=-1, keepdims=True)
        return np.asarray(mean + math.sqrt(self.variance_factor) * (draws - mean))

    def _least_errors(self) -> PairErrors:
        """Return Agresti & Min's (2005) centre and error of each pair, as if two more texts spoke for either arm."""
        counts = np.bincount(self.owner, minlength=self.texts)
        by_row = self.hits.mean(axis=1)
        by_text = np.stack([np.bincount(self.owner, weights=row, minlength=self.texts) for row in by_row]) / counts
        centres, errors = [], []
        for first, second in pairs_of(len(by_text)):
            apart, texts = by_text[second] - by_text[first], self.texts + 2
            centre = float(apart.sum()) / texts
            spread = (float((apart**2).sum()) + 1) / texts - centre**2
            centres.append(centre)
            errors.append(math.sqrt(max(0.0, spread) * self.variance_factor / texts))
        return PairErrors(np.array(centres), np.array(errors))

    @cached_property
    def _values(self) -> tuple[Floats, Floats]:
        """Accuracy and macro-F1 (A,) of each arm, each a mean over the seeds."""
        texts, seeds = np.ones((1, self.texts)), np.ones((1, self.predicted.shape[1]))
        accuracy, macro_f1 = self._scored(texts, seeds)
        return accuracy[:, 0], macro_f1[:, 0]

    @cached_property
    def _draws(self) -> tuple[Floats, Floats]:
        """Accuracy and macro-F1 (A, R) on resamples of texts and seeds, the same for all arms (Owen 2007)."""
        generator = np.random.default_rng(self.seed)
        seeds = self.predicted.shape[1]
        found = []
        for size in chunks(RESAMPLES, max(self.texts, 1)):
            texts = generator.multinomial(self.texts, np.full(self.texts, 1 / self.texts), size).astype(np.float64)
            drawn = np.ones((size, seeds))
            if self.seeds_vary:
                drawn = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size).astype(np.float64)
            found.append(self._scored(texts, drawn))
        accuracy, macro_f1 = zip(*found, strict=True)
        return np.concatenate(accuracy, axis=1), np.concatenate(macro_f1, axis=1)

    def _scored(self, texts: Floats, seeds: Floats) -> tuple[Floats, Floats]:
        """Return accuracy and macro-F1 (A, R) where texts count as often as `texts` (R, G) and seeds as `seeds` (R, S) say."""
        tested = self._counts(self.truth) @ texts.T
        rows, labels = tested.sum(axis=0), (tested > 0).sum(axis=0)
        accuracies, scores = [], []
        for arm in self.predicted:
            right_of, f1_of = [], []
            for found in arm:
                right = self._counts(np.where(found == self.truth, found, -1)) @ texts.T
                both = self._counts(found) @ texts.T + tested
                f1 = np.where(tested > 0, 2 * right / np.maximum(both, 1), 0.0).sum(axis=0) / labels
                right_of.append(right.sum(axis=0) / rows)
                f1_of.append(f1)
            share = seeds.T / seeds.sum(axis=1)
            accuracies.append((np.stack(right_of) * share).sum(axis=0))
            scores.append((np.stack(f1_of) * share).sum(axis=0))
        return np.stack(accuracies), np.stack(scores)

    def _counts(self, labels: Ids) -> Any:
        """Return how many rows of each text have each label, (K, G); -1 is none."""
        from scipy.sparse import csr_array

        known = labels >= 0
        cells = (labels[known], self.owner[known])
        return csr_array((np.ones(int(known.sum())), cells), shape=(self.label_count, self.texts))
