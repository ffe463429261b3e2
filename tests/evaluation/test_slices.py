"""Scores of slices: their intervals, what is left out, and the correction for their number."""

from __future__ import annotations

import numpy as np
import pytest

from nlptl.evaluation.intervals import wilson
from nlptl.evaluation.slices import MIN_SLICE, difference_of_shares, slice_scores


def test_each_slice_has_its_own_scores_and_the_difference_from_the_rest() -> None:
    values = ["a"] * 60 + ["b"] * 40
    right = [True] * 54 + [False] * 6 + [True] * 20 + [False] * 20
    first, second = slice_scores({"kind": values}, right=right, confidences=np.full(100, 0.9))
    assert (first.value, first.texts, first.accuracy.value) == ("a", 60, 0.9)
    assert (first.accuracy.low, first.accuracy.high) == (
        wilson(54, 60, level=0.975).low,
        wilson(54, 60, level=0.975).high,
    )
    assert second.difference is not None
    assert second.difference.value == pytest.approx(-0.4)
    assert (first.differs, second.differs) == (True, True)
    assert (first.misjudges_itself, second.misjudges_itself) == (False, True)
    assert second.overconfidence.value == pytest.approx(0.4)


def test_small_slices_missing_values_and_kinds_with_one_value_have_none() -> None:
    values = {"one": ["a"] * 40, "few": ["a"] * 31 + ["b"] * (MIN_SLICE - 1), "missing": ["a"] * 20 + [""] * 20}
    found = slice_scores(values, right=[True] * 40, confidences=np.ones(40))
    assert [(one.by, one.value) for one in found] == [("few", "a")]


def test_more_slices_have_wider_intervals() -> None:
    halves = ["a", "b"] * 50
    one = slice_scores({"kind": halves}, right=[True] * 100, confidences=np.ones(100))
    two = slice_scores({"kind": halves, "again": halves}, right=[True] * 100, confidences=np.ones(100))
    assert two[0].accuracy.low < one[0].accuracy.low


def test_newcombe_s_example() -> None:
    """Newcombe (1998), table II, case (a): 56/70 against 48/80, method 10."""
    found = difference_of_shares((56, 70), (48, 80), level=0.95)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_intervals_of_all_slices_hold_together_under_the_null() -> None:
    generator = np.random.default_rng(0)
    false_alarms = 0
    for _ in range(300):
        right = (generator.random(200) < 0.8).tolist()
        values = [str(value) for value in generator.integers(0, 8, 200)]
        found = slice_scores({"kind": values}, right=right, confidences=np.full(200, 0.8))
        false_alarms += any(one.differs for one in found)
    assert false_alarms <= 25  # 5 % of 300 are 15, with three standard errors
