"""Scores of arms on the same texts: values of scikit-learn, copies together, and honest widths."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from nlptl.evaluation.arm_scores import ArmScores


def scores(*, texts: int = 120, copies: int = 1, arms: tuple[float, ...] = (0.6, 0.8), seeds: int = 3) -> ArmScores:
    """Return arms that are right with these shares, on texts that each stand `copies` times."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, texts)
    found = []
    for share in arms:
        wrong = generator.random((seeds, texts)) >= share
        found.append(np.where(wrong, (truth + 1) % 3, truth))
    predicted = np.repeat(np.array(found), copies, axis=2)
    return ArmScores(np.repeat(truth, copies), predicted, np.repeat(np.arange(texts), copies), 3)


def test_values_are_scikit_learns() -> None:
    found = scores()
    for arm, (accuracy, macro_f1) in enumerate(zip(found.accuracies(), found.macro_f1s(), strict=True)):
        runs = found.predicted[arm]
        assert accuracy.value == pytest.approx(np.mean([accuracy_score(found.truth, one) for one in runs]))
        expected = [f1_score(found.truth, one, average="macro", labels=range(3)) for one in runs]
        assert macro_f1.value == pytest.approx(np.mean(expected))
        for one in (accuracy, macro_f1):
            assert one.low is not None
            assert one.high is not None
            assert one.low < one.value < one.high
    [difference] = found.accuracy_differences()
    assert difference.difference.low > 0


def test_copies_of_a_text_add_nothing() -> None:
    """Four copies of each text are one text: intervals stay as wide."""
    once, often = scores(), scores(copies=4)
    assert once.texts == often.texts == 120
    for one, other in zip(once.accuracies(), often.accuracies(), strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    [one], [other] = once.accuracy_differences(), often.accuracy_differences()
    assert one.difference.low == pytest.approx(other.difference.low)


def test_equal_arms_do_not_differ() -> None:
    found = scores(arms=(0.7,))
    twice = ArmScores(found.truth, np.concatenate([found.predicted] * 2), found.owner, 3)
    [difference] = twice.accuracy_differences()
    assert difference.difference.value == 0
    assert difference.difference.low < 0 < difference.difference.high
    assert difference.p_value == 1.0


def test_folds_that_share_texts_widen_intervals() -> None:
    found = scores(seeds=1)
    wider = ArmScores(found.truth, found.predicted, found.owner, 3, variance_factor=4.0, seeds_vary=False)
    [one], [other] = found.accuracy_differences(), wider.accuracy_differences()
    assert other.difference.high - other.difference.low > 1.6 * (one.difference.high - one.difference.low)
    for narrow, wide in zip(found.accuracies(), wider.accuracies(), strict=True):
        assert narrow.low is not None
        assert wide.low is not None
        assert wide.low < narrow.low


def test_few_texts_have_no_interval() -> None:
    found = scores(texts=19)
    assert [one.low for one in (*found.accuracies(), *found.macro_f1s())] == [None] * 4


def test_a_label_that_no_test_has_is_a_mistake() -> None:
    truth = np.array([0, 1] * 20)
    arm = np.where(np.arange(40) < 10, -1, truth)
    found = ArmScores(truth, arm[None, None], np.arange(40), 2)
    assert found.accuracies()[0].value == pytest.approx(0.75)
    expected = f1_score(truth, arm, average="macro", labels=[0, 1])
    assert found.macro_f1s()[0].value == pytest.approx(expected)
