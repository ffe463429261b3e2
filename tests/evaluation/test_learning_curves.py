"""Learning curves that are known, measured with noise, and extrapolated."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nlptl.errors import DataError
from nlptl.evaluation.curve_noise import DrawNoise, MeasuredCurve
from nlptl.evaluation.learning_curves import FittedCurve, fit_curve, why_too_short

SIZES = (8, 11, 16, 23, 32, 45, 64)
SAMPLES = 2000

Floats = NDArray[np.float64]


def power_law(sizes: Floats) -> Floats:
    """Return the scores of a known curve: from 0.62 at 8 texts to 0.84 at 256, and 0.9 at last."""
    return 0.9 - 0.6 * (sizes + 2) ** -0.35


def drawn_curve(
    seed: int, *, draws: int = 12, later: int = 256, deviation: float = 0.02
) -> tuple[MeasuredCurve, float]:
    """Return a curve whose score is f(n) plus the mean influence of the texts learnt, and one measurement of 4 times as many."""
    generator = np.random.default_rng(seed)
    influence = generator.standard_normal(later) * deviation * np.sqrt(64)
    orders = [generator.permutation(64) for _ in range(draws)]

    def score(texts: Floats) -> float:
        return float(np.clip(power_law(np.array([float(len(texts))]))[0] + texts.mean(), 0, 1))

    scores = [np.array([score(influence[order[:size]]) for order in orders]) for size in SIZES[:-1]]
    return MeasuredCurve(SIZES, (*scores, np.array([score(influence[:64])])), 64), score(influence)


def fitted(*scores: float, draws: int = 5) -> FittedCurve:
    measured = MeasuredCurve(SIZES, tuple(np.full(draws, score) for score in scores), 64)
    return fit_curve(measured, samples=SAMPLES)


def test_intervals_hold_what_is_measured_later_about_as_often_as_they_say() -> None:
    held, errors = 0, []
    for seed in range(30):
        measured, truth = drawn_curve(seed)
        found = fit_curve(measured, samples=SAMPLES).predicted(256)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
        errors.append(abs(found.value - truth))
    assert held >= 24
    assert np.median(errors) < 0.025


def test_more_draws_and_nearer_sizes_narrow_the_interval() -> None:
    def width(draws: int, size: float) -> float:
        found = fit_curve(drawn_curve(3, draws=draws)[0], samples=SAMPLES).predicted(size)
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    assert width(12, 96) < width(12, 256)
    few, many = (np.diag(DrawNoise(drawn_curve(3, draws=draws)[0], 0.03).measured()) for draws in (3, 40))
    assert (many[:-1] < few[:-1]).all()


def test_a_curve_that_stays_level_promises_little() -> None:
    found = fitted(*[0.8] * 7)
    gain = found.gains(64, np.array([256.0]))
    assert np.quantile(gain, 0.95) < 0.07
    rising = fitted(0.5, 0.55, 0.6, 0.65, 0.7, 0.74, 0.77)
    more = rising.gains(64, np.array([256.0]))
    assert np.quantile(more, 0.05) > np.quantile(gain, 0.5)


def test_scores_stay_scores_and_the_same_seed_gives_the_same() -> None:
    found = fitted(0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 1.0)
    later = found.later_scores(np.array([128.0, 512.0]))
    assert later.min() >= 0
    assert later.max() <= 1
    assert np.array_equal(later, fitted(0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 1.0).later_scores(np.array([128.0, 512.0])))


def test_a_gain_is_that_of_labels_and_not_of_luck_with_the_texts_that_judge() -> None:
    scores = (*[np.full(5, 0.6)] * 6, np.full(5, 0.6))
    on_test = fit_curve(MeasuredCurve(SIZES, scores, 64), samples=SAMPLES).gains(64, np.array([256.0]))
    itself = MeasuredCurve(SIZES, scores, 64, judged_share=1.0)
    on_others = fit_curve(itself, samples=SAMPLES)
    assert np.std(on_others.gains(64, np.array([256.0]))) == pytest.approx(np.std(on_test), rel=0.35)
    width = np.std(on_others.later_scores(np.array([256.0])))
    assert width > np.std(on_others.gains(64, np.array([256.0]))) + 0.01


def test_nested_subsets_err_together() -> None:
    measured, _ = drawn_curve(0)
    noise = DrawNoise.of(measured)
    covariance = noise.measured()
    assert np.linalg.eigvalsh(covariance).min() > 0
    correlation = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert correlation[-1, -2] > correlation[-1, 0] > 0
    # What is judged on the texts themselves varies with them too.
    itself = MeasuredCurve(measured.sizes, measured.scores, measured.texts, judged_share=1.0)
    assert (DrawNoise.of(itself).measured() - covariance).min() == pytest.approx(0.78 * 0.22 / 64, rel=0.2)


def test_scores_that_are_none_are_refused() -> None:
    scores = (np.array([0.5, np.nan, 0.6]), *[np.array([0.7, 0.7, 0.7])] * 6)
    with pytest.raises(DataError) as caught:
        fit_curve(MeasuredCurve(SIZES, scores, 64))
    assert str(caught.value) == (
        "learning curve: found a score that is no number from 0 to 1. Leave out the fits that failed."
    )


def test_a_short_curve_is_not_extrapolated() -> None:
    few = MeasuredCurve((8, 16, 64), (np.full(3, 0.5),) * 3, 64)
    assert why_too_short(few) == "it has 3 sizes, and 4 are needed"
    single = MeasuredCurve((8, 16, 32, 64), (np.full(3, 0.5), *[np.full(2, 0.5)] * 3), 64)
    assert why_too_short(single) == "1 of its sizes have 3 draws, and 3 are needed"
    near = MeasuredCurve((24, 30, 40, 64), (np.full(3, 0.5),) * 4, 64)
    assert why_too_short(near) == "its largest size, 64, is less than 3 times the smallest, 24"
    with pytest.raises(DataError) as caught:
        fit_curve(near)
    assert str(caught.value) == (
        "learning curve: its largest size, 64, is less than 3 times the smallest, 24. Measure more of it, or label more texts."
    )
