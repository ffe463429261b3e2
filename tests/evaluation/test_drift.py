"""Drift: each test is silent where nothing has changed, and finds what has."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency
from sklearn.metrics import roc_auc_score

from nlptl.evaluation import drift
from nlptl.evaluation.drift import holm, mix_shift, rate_shift, vector_shift


def test_vectors_of_one_kind_are_hardly_told_apart_and_shifted_ones_are() -> None:
    generator = np.random.default_rng(0)
    before = generator.normal(size=(60, 12))
    p_values = [
        vector_shift(before, generator.normal(size=(40, 12)), permutations=39, seed=run).p_value for run in range(40)
    ]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.15
    assert len(set(p_values)) > 5
    found = vector_shift(before, generator.normal(size=(40, 12)) + 1.0, permutations=99)
    assert found.p_value == 0.01
    assert 0.9 < found.auc.low <= found.auc.value <= found.auc.high <= 1
    assert found.scores.shape == (40,)


def test_the_scores_of_a_text_do_not_depend_on_its_own_side() -> None:
    """Held-out scores: the matrix that makes them has no entry for a text and those of its fold."""
    generator = np.random.default_rng(1)
    vectors, fold = generator.normal(size=(20, 3)), np.arange(20) % drift.FOLDS
    smoother = drift._cross_fitted(vectors, fold)
    assert (smoother[fold[:, None] == fold[None, :]] == 0).all()
    assert smoother.sum(axis=1) == pytest.approx(0, abs=1e-12)


def test_the_area_under_the_curve_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(2)
    target = np.repeat([0.0, 1.0], [30, 20])
    scores = generator.normal(size=50) + target
    expected = roc_auc_score(target, scores)
    assert drift._auc(scores[:, None], target[:, None])[0] == pytest.approx(expected)
    assert drift._auc_interval(scores[:30], scores[30:]).value == pytest.approx(expected)


def test_a_changed_mix_is_found_with_the_largest_change_first() -> None:
    then, now = ["a"] * 60 + ["b"] * 40 + ["c"] * 20, ["a"] * 20 + ["b"] * 60 + ["c"] * 20
    found = mix_shift(then, now, permutations=499)
    assert found.values == ("a", "b", "c")
    assert found.then == pytest.approx((1 / 2, 1 / 3, 1 / 6))
    assert found.now == pytest.approx((0.2, 0.6, 0.2))
    assert found.p_value == 0.002
    assert chi2_contingency([[60, 40, 20], [20, 60, 20]]).pvalue < 0.001
    assert mix_shift(then, then[::2], permutations=99).p_value == 1.0


def test_a_rare_value_alone_is_no_change() -> None:
    assert mix_shift(["a"] * 50, ["a"] * 50 + ["b"], permutations=999).p_value > 0.4


def test_a_higher_share_of_words_is_found_and_a_lower_one_is_not() -> None:
    generator = np.random.default_rng(3)
    then = np.stack([generator.poisson(0.5, 80), np.full(80, 20)], axis=1)
    now = np.stack([generator.poisson(2.0, 90), np.full(90, 20)], axis=1)
    rise, fall = rate_shift(then, now), rate_shift(now, then)
    assert rise is not None
    assert fall is not None
    assert rise.then == then[:, 0].sum() / 1600 == fall.now
    assert rise.difference.low < rise.now - rise.then < rise.difference.high
    assert (rise.p_value, fall.p_value) == (1 / 999, 1.0)
    assert rate_shift(then[:0], now) is None


def test_several_causes_err_together_at_the_level() -> None:
    assert holm([0.2, 0.01, 0.03], level=0.05) == [False, True, False]
    assert holm([0.01, 0.02, 0.04], level=0.05) == [True, True, True]
    assert holm([], level=0.05) == []
