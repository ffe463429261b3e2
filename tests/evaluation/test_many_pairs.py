"""Correction for many pairs: against Tukey's distribution, and by how often it claims what is not so."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import studentized_range

from nlptl.errors import DataError
from nlptl.evaluation.many_pairs import PairErrors, corrected_differences, pairs_of


@pytest.mark.parametrize("arms", [2, 3, 6])
def test_the_critical_value_is_tukeys(arms: int) -> None:
    """Independent normal scores of equal variance are those of the studentised range."""
    draws = np.random.default_rng(0).normal(size=(arms, 40_000))
    found = corrected_differences(np.zeros(arms), draws)
    expected = studentized_range.ppf(0.95, arms, np.inf)  # √2 × the error of a difference, which is √2
    assert [(one.first, one.second) for one in found] == pairs_of(arms)
    for one in found:
        half = (one.difference.high - one.difference.low) / 2
        assert min(half, 1.0) == pytest.approx(min(float(expected), 1.0), rel=0.02)
    scaled = corrected_differences(np.zeros(arms), 0.01 * draws)
    halves = [(one.difference.high - one.difference.low) / 2 for one in scaled]
    assert halves == pytest.approx([0.01 * float(expected)] * len(scaled), rel=0.02)


def test_p_values_are_tukeys() -> None:
    values = np.array([0.0, 0.03, 0.05])
    draws = 0.01 * np.random.default_rng(1).normal(size=(3, 40_000))
    for one in corrected_differences(values, draws):
        statistic = abs(values[one.second] - values[one.first]) / 0.01
        assert one.p_value == pytest.approx(float(studentized_range.sf(statistic, 3, np.inf)), abs=0.005)
        assert (one.p_value < 0.05) == (one.difference.low > 0 or one.difference.high < 0)


def test_arms_that_always_agree_are_one_arm() -> None:
    """Bonferroni would count each of their pairs; here the critical value is that of the one pair that differs."""
    draws = 0.01 * np.random.default_rng(2).normal(size=(1, 20_000))
    together = np.concatenate([np.zeros((1, 20_000)), *[draws] * 5])
    found = corrected_differences(np.zeros(6), together)
    assert found[0].difference.high == pytest.approx(0.0196, rel=0.02)


def test_it_seldom_claims_what_is_not_so() -> None:
    """Of equal arms, at most about one comparison in twenty shows any difference, however many pairs it has."""
    generator, claims = np.random.default_rng(3), 0
    for _ in range(100):
        hits = generator.random((5, 80)) < 0.6
        weights = generator.multinomial(80, np.full(80, 1 / 80), 400) / 80
        found = corrected_differences(hits.mean(axis=1), hits @ weights.T)
        claims += any(one.p_value < 0.05 for one in found)
    assert claims <= 11  # 5 expected; more than 11 with a probability of one in a hundred


def test_errors_that_resamples_cannot_show() -> None:
    """Arms that always agree have resamples without spread, and still an interval with a width."""
    least = PairErrors(np.array([0.0]), np.array([0.02]))
    [found] = corrected_differences(np.array([0.5, 0.5]), np.full((2, 100), 0.5), least=least)
    assert (found.difference.low, found.difference.high) == pytest.approx((-0.0392, 0.0392), abs=1e-4)
    assert found.p_value == 1.0


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        corrected_differences(np.array([0.5, np.nan]), np.zeros((2, 10)))
    assert str(caught.value) == "corrected differences: a score is not finite. Leave out arms that did not finish."
