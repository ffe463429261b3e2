"""Accuracy of a classifier on texts without labels, estimated from its probabilities and from held-out predictions.

Chosen on training rows of six sets (tweets, news, questions), split by direction of their vectors, by length and by shares of
labels, with 64 and 250 labels each: the mean error of average thresholded confidence was 4.8 and 3.4 points, of the difference
of confidences 4.0 and 2.8, of the plain average confidence 3.7 and 2.8, of `estimated_accuracy` 3.7 and 2.7. Weighting the
held-out texts by a domain classifier gained at most .1; distances to the nearest neighbours, a regression on the confidence and
corrected label shares gained nothing that both sizes showed. Between real domains (tweets of two tasks on feelings, offence in
tweets and in jokes; 24 draws) its error was 4.5 and 4.7 points, that of thresholded confidence 8.7 and 3.6. Where a stance on
one topic was asked of another topic it was 44: labels mean something else there. Without these, intervals held the truth in 189
of 200 cases.

Shapes: n held-out texts, m new texts, k new texts with a label, R resamples.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.intervals import Interval, chunks, percentile_interval

PRIOR_STRENGTH = 300  # held-out texts that say as much on how right confidences are as these say themselves
SHIFT_ERROR = 0.08  # standard deviation of what confidences cannot tell, at an area under the curve of 1
UNKNOWN_AUC = 0.8  # where nobody has compared the inputs
RESAMPLES = 2_000

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Predictions for texts that the classifier did not learn from, whose labels are known."""

    confidences: Floats  # (n,) probability of the predicted label
    right: Floats  # (n,) 1 where it is right, else 0

    def __post_init__(self) -> None:
        if len(self.confidences) != len(self.right) or not len(self.right):
            raise ValueError(
                f"{len(self.confidences)} confidences for {len(self.right)} answers; expected as many, and some"
            )


@dataclasses.dataclass(frozen=True)
class AccuracyEstimate:
    """Estimated accuracy on new texts, and how far it is from that of before."""

    accuracy: Interval  # what counting right answers on these very texts would give
    before: float  # the same estimate for the texts of before
    change: Interval  # from `before` to `accuracy`, in shares: negative where the classifier got worse
    sampled_change: Interval  # the same, with the noise of sampling alone: what chance explains of it


def estimated_accuracy(
    held_out: HeldOut, confidences: Floats, *, auc: float | None = None, seed: int = 0
) -> AccuracyEstimate:
    """Estimate the accuracy on new texts with confidences (m,), none of which has a label.

    It is the mean confidence, corrected by how much more often than it claims the classifier is right on held-out texts: by the
    share n / (n + PRIOR_STRENGTH) of that. With very many of them it is the difference of confidences (Guillory et al. 2021). The
    texts of before are estimated in the same way, so that the change is that of the mean confidence. Both intervals resample both
    sides, and count what no confidence tells of a shift: the more, the better new texts are told from those of before, which `auc`
    says (`nlptl.evaluation.drift`). That of the accuracy counts the whole noise of the held-out texts too. What a label means must
    not have changed.
    """
    excess, claimed = held_out.right - held_out.confidences, float(confidences.mean())
    share, first = len(excess) / (len(excess) + PRIOR_STRENGTH), float(held_out.confidences.mean())
    correction = min(1 - max(claimed, first), max(-min(claimed, first), share * float(excess.mean())))
    value = claimed + correction
    generator = np.random.default_rng(seed)
    before = _resampled_means(np.stack([excess, held_out.confidences], axis=1), generator)
    answers = generator.binomial(len(confidences), min(1.0, max(0.0, claimed)), RESAMPLES) / len(confidences)
    untold = generator.normal(0.0, _shift_error(auc), RESAMPLES)
    noise = answers - claimed + before[:, 0] - excess.mean() + untold
    accuracies = np.clip(value + noise, 0.0, 1.0)
    change = claimed - first
    changes = _resampled_means(confidences[:, None], generator)[:, 0] - before[:, 1]
    return AccuracyEstimate(
        percentile_interval(value, accuracies),
        first + correction,
        percentile_interval(change, np.clip(changes + untold, -1.0, 1.0)),
        percentile_interval(change, changes),
    )


def corrected_by_labels(
    held_out: HeldOut, confidences: Floats, labelled: HeldOut, *, seed: int = 0
) -> AccuracyEstimate:
    """Estimate the accuracy on new texts with confidences (m,), of which k have a label: those of `labelled`, drawn at random.

    Their labels correct the mean confidence of all (prediction-powered inference, Angelopoulos et al. 2023). The change is that
    from the accuracy on held-out texts.
    """
    excess, claimed = labelled.right - labelled.confidences, float(confidences.mean())
    value = _bounded(claimed + float(excess.mean()))
    generator = np.random.default_rng(seed)
    corrections = _resampled_means(excess[:, None], generator)[:, 0]
    accuracies = np.clip(_resampled_means(confidences[:, None], generator)[:, 0] + corrections, 0.0, 1.0)
    before = _resampled_means(held_out.right[:, None], generator)[:, 0]
    first = float(held_out.right.mean())
    change = percentile_interval(value - first, accuracies - before)
    return AccuracyEstimate(percentile_interval(value, accuracies), first, change, change)


def thresholded_confidence(held_out: HeldOut, confidences: Floats, *, seed: int = 0) -> Interval:
    """Return the share of new texts whose confidence (m,) is above the threshold that as many held-out texts exceed as are right.

    It is average thresholded confidence (Garg et al. 2022), shown beside the estimate. The interval resamples both sides.
    """
    generator, count = np.random.default_rng(seed), len(held_out.right)
    draws = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        rows = generator.integers(0, count, count)
        threshold = _threshold(held_out.confidences[rows], held_out.right[rows])
        draws[number] = (confidences[generator.integers(0, len(confidences), len(confidences))] >= threshold).mean()
    value = float((confidences >= _threshold(held_out.confidences, held_out.right)).mean())
    return percentile_interval(value, draws)


def texts_to_settle(accuracy: float, *, margin: float) -> int:
    """Return how many texts, drawn at random and labelled, tell an `accuracy` to within ± `margin` at 95 %."""
    spread = max(accuracy * (1 - accuracy), 0.05)  # an estimate of 1 may be wrong
    return int(np.ceil(spread * (1.96 / margin) ** 2))


def _shift_error(auc: float | None) -> float:
    """Return the standard deviation of the estimate's error, beyond sampling, under a shift of this area under the curve."""
    return SHIFT_ERROR * max(0.0, 2 * (UNKNOWN_AUC if auc is None else auc) - 1) ** 2


def _bounded(accuracy: float) -> float:
    return min(1.0, max(0.0, accuracy))


def _threshold(confidences: Floats, right: Floats) -> float:
    """Return the confidence that as many texts reach as are right."""
    wrong = int(len(right) - right.sum())
    return float(np.sort(confidences)[wrong]) if wrong < len(right) else np.inf


def _resampled_means(values: Floats, generator: np.random.Generator) -> Floats:
    """Return the means (RESAMPLES, C) of resampled rows of values (n, C)."""
    drawn = [
        values[generator.integers(0, len(values), (size, len(values)))].mean(axis=1)
        for size in chunks(RESAMPLES, values.size)
    ]
    return np.concatenate(drawn)
