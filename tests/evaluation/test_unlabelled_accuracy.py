"""Accuracy without labels: estimates that are right where probabilities are, with intervals that hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from nlptl.evaluation.unlabelled_accuracy import (
    PRIOR_STRENGTH,
    SHIFT_ERROR,
    HeldOut,
    corrected_by_labels,
    estimated_accuracy,
    texts_to_settle,
    thresholded_confidence,
)


def calibrated(count: int, low: float, seed: int) -> HeldOut:
    """Draw confidences from `low` to 1, and answers that are right as often as these say."""
    generator = np.random.default_rng(seed)
    confidences = generator.uniform(low, 1.0, count)
    return HeldOut(confidences, (generator.random(count) < confidences).astype(float))


def test_the_estimate_follows_the_confidence_and_its_interval_holds_the_truth() -> None:
    hits = 0
    for seed in range(25):
        before, new = calibrated(200, 0.7, seed), calibrated(400, 0.5, 1000 + seed)
        found = estimated_accuracy(before, new.confidences, seed=seed)
        assert found.change.value == pytest.approx(new.confidences.mean() - before.confidences.mean())
        assert found.change.high < 0
        hits += found.accuracy.low <= new.right.mean() <= found.accuracy.high
    assert hits >= 23


def test_held_out_texts_correct_probabilities_the_more_the_more_there_are() -> None:
    """A classifier that is always right and says 0.6 is worth 0.6 + its share of 0.4."""
    for count in (30, PRIOR_STRENGTH, 3000):
        before = HeldOut(np.full(count, 0.6), np.ones(count))
        found = estimated_accuracy(before, np.full(50, 0.6))
        assert found.accuracy.value == pytest.approx(0.6 + 0.4 * count / (count + PRIOR_STRENGTH))
        assert found.change.value == pytest.approx(0)


@pytest.mark.parametrize(
    ("then", "right", "now"), [(0.6, 1.0, 0.8), (0.9, 0.0, 0.5), (0.4, 1.0, 0.99), (0.99, 0.0, 0.01), (0.7, 0.7, 0.7)]
)
def test_the_change_lies_between_the_two_estimates(then: float, right: float, now: float) -> None:
    count = 10 * PRIOR_STRENGTH
    before = HeldOut(np.full(count, then), (np.arange(count) < right * count).astype(float))
    found = estimated_accuracy(before, np.full(50, now))
    assert found.accuracy.value - found.before == pytest.approx(found.change.value) == pytest.approx(now - then)
    assert 0 <= min(found.before, found.accuracy.value)
    assert max(found.before, found.accuracy.value) <= 1
    labelled = corrected_by_labels(before, np.full(50, now), HeldOut(np.full(30, now), np.zeros(30)))
    assert labelled.accuracy.value - labelled.before == pytest.approx(labelled.change.value)
    assert labelled.before == pytest.approx(right)


def test_the_change_is_as_unsure_of_a_shift_as_the_level() -> None:
    before, new = calibrated(500, 0.7, 1), calibrated(2000, 0.6, 2).confidences
    alike, apart = (estimated_accuracy(before, new, auc=auc) for auc in (0.5, 1.0))
    assert alike.change.value == apart.change.value
    assert alike.change.high - alike.change.low < 0.03
    for found in (apart.change, apart.accuracy):
        assert 3.6 * SHIFT_ERROR < found.high - found.low < 4.5 * SHIFT_ERROR
    assert alike.change.high < 0 < apart.change.high
    assert apart.sampled_change.high < 0
    assert apart.sampled_change == alike.sampled_change


def test_few_held_out_texts_make_wide_intervals() -> None:
    new = calibrated(1000, 0.5, 1).confidences
    few, many = (estimated_accuracy(calibrated(count, 0.5, 2), new).accuracy for count in (30, 1000))
    assert few.high - few.low > 1.5 * (many.high - many.low)


def test_without_a_shift_hardly_any_change_is_shown() -> None:
    found = [
        estimated_accuracy(calibrated(150, 0.6, seed), calibrated(200, 0.6, 500 + seed).confidences, seed=seed).change
        for seed in range(30)
    ]
    assert np.mean([one.high < 0 for one in found]) <= 0.1


def test_labels_of_some_new_texts_tell_what_confidence_cannot() -> None:
    """Confident and wrong: the labels' meaning has changed."""
    before = HeldOut(np.full(200, 0.9), np.r_[np.ones(180), np.zeros(20)])
    labelled = HeldOut(np.full(50, 0.9), np.r_[np.ones(25), np.zeros(25)])
    confidences = np.full(500, 0.9)
    assert estimated_accuracy(before, confidences).accuracy.value == pytest.approx(0.9)
    found = corrected_by_labels(before, confidences, labelled)
    assert found.accuracy.value == pytest.approx(0.5)
    assert found.accuracy.low < 0.4 < 0.6 < found.accuracy.high
    assert found.change.value == pytest.approx(-0.4)
    assert found.change.high < -0.2


def test_thresholded_confidence_is_the_share_above_a_threshold() -> None:
    before = HeldOut(np.array([0.5, 0.6, 0.7, 0.8, 0.9]), np.array([0.0, 0.0, 1.0, 1.0, 1.0]))
    found = thresholded_confidence(before, np.array([0.65, 0.7, 0.75, 0.95]))
    assert found.value == 0.75
    assert found.low <= 0.75 <= found.high
    nobody = HeldOut(np.array([0.9, 0.8]), np.zeros(2))
    assert thresholded_confidence(nobody, np.array([0.99])).value == 0


def test_how_many_texts_settle_it() -> None:
    assert texts_to_settle(0.8, margin=0.05) == 246
    assert texts_to_settle(0.8, margin=0.1) == 62
    assert texts_to_settle(1.0, margin=0.05) == 77


def test_held_out_answers_must_pair() -> None:
    with pytest.raises(ValueError, match="0 confidences for 0 answers; expected as many, and some"):
        HeldOut(np.zeros(0), np.zeros(0))
