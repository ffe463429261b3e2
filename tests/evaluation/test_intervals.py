"""Intervals: known values, properties, coverage on a seeded simulation, and the full error sentences."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binomtest

from nlptl.errors import ConfigError, DataError
from nlptl.evaluation import intervals as statistics
from nlptl.evaluation.intervals import (
    Interval,
    bootstrap,
    hierarchical_mean,
    paired_difference,
    percentile_interval,
    sign_test,
    wilson,
)

Floats = npt.NDArray[np.float64]

matrices = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.sampled_from([0.0, 1.0])
)


def test_importing_loads_neither_scipy_nor_sklearn_nor_evaluate() -> None:
    code = (
        "import sys, nlptl.evaluation.intervals, nlptl.evaluation.scores, nlptl.evaluation.evaluate_metric;"
        "print([m for m in ('scipy', 'sklearn', 'evaluate', 'datasets', 'transformers', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- Interval


def test_interval_reads_as_text() -> None:
    assert str(Interval(0.85, 0.79, 0.895)) == "0.850 [0.790, 0.895]"


def test_interval_prints_no_negative_zero() -> None:
    assert str(Interval(-0.0001, -0.0002, 0.0)) == "0.000 [0.000, 0.000]"


# --- Wilson


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [
        (2, 2, 0.3424, 1.0),
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (1, 1, 0.2065, 1.0),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_values(successes: int, total: int, low: float, high: float) -> None:
    interval = wilson(successes, total)
    assert interval.value == successes / total
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=6e-5)


@settings(deadline=None)
@given(st.integers(1, 500), st.floats(0, 1), st.floats(0.5, 0.999))
def test_wilson_is_scipys_and_contains_its_value_within_0_and_1(total: int, share: float, level: float) -> None:
    successes = round(share * total)
    interval = wilson(successes, total, level=level)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    oracle = binomtest(successes, total).proportion_ci(confidence_level=level, method="wilson")
    assert (interval.low, interval.high) == pytest.approx((oracle.low, oracle.high), abs=1e-9)


@settings(deadline=None)
@given(st.integers(1, 300), st.floats(0, 1))
def test_wilson_treats_success_and_failure_alike(total: int, share: float) -> None:
    successes = round(share * total)
    one, other = wilson(successes, total), wilson(total - successes, total)
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-12)


@pytest.mark.parametrize(("successes", "total"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(successes: int, total: int) -> None:
    with pytest.raises(DataError) as caught:
        wilson(successes, total)
    assert str(caught.value) == (
        f"wilson: {successes} successes of {total} is no proportion. Give a total of at least 1, and at most as many "
        "successes."
    )


# --- bootstrap


def mean_of_rows(drawn: Floats) -> Floats:
    return np.asarray(drawn.mean(axis=1))


def test_bootstrap_of_the_mean_is_the_normal_interval() -> None:
    items = np.random.default_rng(3).normal(size=400)
    interval = bootstrap(mean_of_rows, items, resamples=4000)
    half = 1.96 * items.std() / np.sqrt(items.size)
    assert interval.value == pytest.approx(items.mean())
    assert (interval.low, interval.high) == pytest.approx((items.mean() - half, items.mean() + half), abs=0.01)


def test_bootstrap_keeps_pairs_together() -> None:
    items = np.random.default_rng(0).normal(size=(40, 2))
    interval = bootstrap(lambda a, b: np.abs(a - b).max(axis=(1, 2)), items, items * 1.0, resamples=40)
    assert interval == Interval(0.0, 0.0, 0.0)


def test_bootstrap_depends_on_its_seed_alone() -> None:
    items = np.random.default_rng(0).normal(size=30)
    np.random.seed(1)
    first = bootstrap(mean_of_rows, items, resamples=50, seed=5)
    np.random.seed(2)
    assert bootstrap(mean_of_rows, items, resamples=50, seed=5) == first
    assert bootstrap(mean_of_rows, items, resamples=50, seed=6) != first


def test_bootstrap_leaves_the_global_generator_alone() -> None:
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    bootstrap(mean_of_rows, [1.0, 2.0], resamples=5)
    hierarchical_mean(np.ones((2, 2)), resamples=5)
    assert np.random.random() == expected


def test_bootstrap_in_chunks_has_every_resample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_MAX_ELEMENTS", 70)
    assert list(statistics.chunks(8, 30)) == [2, 2, 2, 2]
    assert list(statistics.chunks(5, 30)) == [2, 2, 1]
    assert list(statistics.chunks(2, 900)) == [1, 1]
    items = np.arange(30.0)
    interval = bootstrap(mean_of_rows, items)
    assert interval.low < items.mean() < interval.high
    assert hierarchical_mean(np.stack([items, items])).value == pytest.approx(14.5)
    assert hierarchical_mean([items, items[:9]]).value == pytest.approx((14.5 + 4) / 2)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    intervals = [bootstrap(mean_of_rows, rng.exponential(size=80), resamples=300, seed=seed) for seed in range(300)]
    coverage = np.mean([interval.low <= 1 <= interval.high for interval in intervals])
    assert 0.89 <= coverage <= 0.98


def test_bootstrap_of_one_item_is_a_point() -> None:
    assert bootstrap(mean_of_rows, [0.3], resamples=20) == Interval(0.3, 0.3, 0.3)


@pytest.mark.parametrize(
    ("arrays", "found"),
    [([], "no"), ([[]], "0"), ([[1.0], [1.0, 2.0]], "1, 2"), ([1.0], "0")],
    ids=["none", "empty", "unequal", "scalar"],
)
def test_bootstrap_refuses_unfit_arrays(arrays: list[npt.ArrayLike], found: str) -> None:
    with pytest.raises(DataError) as caught:
        bootstrap(mean_of_rows, *arrays)
    assert str(caught.value) == (
        f"bootstrap: the arrays have {found} items. Give one or more arrays of equal length, with at least one item."
    )


def test_a_statistic_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        percentile_interval(0.5, np.array([0.5, np.nan]))
    assert str(caught.value) == (
        "bootstrap: the statistic is not finite on the items, or on a resample of them. Let it return a finite "
        "number where it is undefined."
    )


@pytest.mark.parametrize(("resamples", "level"), [(0, 0.95), (10, 0.0), (10, 1.0), (10, math.nan)])
def test_unfit_settings_are_refused(resamples: int, level: float) -> None:
    scores = np.ones((2, 2))
    for call in (
        lambda: paired_difference(scores, scores, resamples=resamples, level=level),
        *([] if resamples else [lambda: bootstrap(mean_of_rows, [1.0], resamples=0)]),
        *([] if resamples else [lambda: hierarchical_mean(scores, resamples=0)]),
    ):
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(caught.value) == (
            f"interval: resamples is {resamples} and level {level}, but resamples must be at least 1 and level between 0 "
            "and 1. The defaults are 1000 and 0.95."
        )


# --- hierarchical mean


def seeds_by_items(rng: np.random.Generator, *, seeds: int, items: int) -> npt.NDArray[np.bool_]:
    seed_effect = rng.normal(0, 0.3, size=(seeds, 1))
    item_effect = rng.normal(0, 1.0, size=(1, items))
    return np.asarray(rng.random((seeds, items)) < 1 / (1 + np.exp(-seed_effect - item_effect)))


def test_hierarchical_mean_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    intervals = [hierarchical_mean(seeds_by_items(rng, seeds=8, items=60), resamples=300) for _ in range(200)]
    coverage = np.mean([interval.low <= 0.5 <= interval.high for interval in intervals])
    assert 0.90 <= coverage <= 0.995


def test_hierarchical_mean_is_wider_than_one_that_takes_all_scores_as_independent() -> None:
    scores = seeds_by_items(np.random.default_rng(1), seeds=10, items=50)
    naive, honest = wilson(int(scores.sum()), scores.size), hierarchical_mean(scores)
    assert honest.value == pytest.approx(naive.value)
    assert honest.high - honest.low > 1.5 * (naive.high - naive.low)


def test_shared_items_make_the_interval_wider_than_own_items() -> None:
    scores = np.tile(np.random.default_rng(1).random(60) < 0.6, (8, 1))
    shared, own = hierarchical_mean(scores), hierarchical_mean(list(scores))
    assert shared.high - shared.low > 2 * (own.high - own.low)


def test_with_one_seed_the_interval_is_the_bootstrap_over_items() -> None:
    items = np.random.default_rng(1).random(200)
    one = hierarchical_mean(items[None], resamples=4000)
    own = hierarchical_mean([items], resamples=4000)
    plain = bootstrap(mean_of_rows, items, resamples=4000)
    for interval in (one, own):
        assert (interval.low, interval.high) == pytest.approx((plain.low, plain.high), abs=0.004)


def test_with_one_item_the_interval_is_the_bootstrap_over_seeds() -> None:
    scores = np.random.default_rng(1).random(40)
    one = hierarchical_mean(scores[:, None], resamples=4000)
    plain = bootstrap(mean_of_rows, scores, resamples=4000)
    assert (one.low, one.high) == pytest.approx((plain.low, plain.high), abs=0.01)


def test_one_seed_on_one_item_is_a_point() -> None:
    assert hierarchical_mean(np.array([[1]])) == Interval(1.0, 1.0, 1.0)
    assert hierarchical_mean([[0.3]]) == Interval(0.3, 0.3, 0.3)


def test_splits_with_their_own_items_weigh_the_same() -> None:
    interval = hierarchical_mean([[1, 1, 1, 1], [0], [0, 1]])
    assert interval.value == pytest.approx(0.5)
    assert (interval.low, interval.high) == (0.0, 1.0)


@settings(max_examples=40, deadline=None)
@given(matrices)
def test_hierarchical_mean_stays_within_the_scores_and_around_a_mean(scores: Floats) -> None:
    for given_scores in (scores, list(scores)):
        interval = hierarchical_mean(given_scores, resamples=60)
        assert interval.value == pytest.approx(scores.mean())
        assert scores.min() - 1e-9 <= interval.low <= interval.high <= scores.max() + 1e-9


@pytest.mark.parametrize(
    "scores",
    [np.ones((0, 3)), np.ones((3, 0)), [], [[1.0], []], np.array([[np.nan]]), np.ones(3), np.ones((2, 2, 2))],
    ids=["no seed", "no item", "no split", "an empty split", "nan", "one axis", "three axes"],
)
def test_unfit_scores_are_refused(scores: statistics.Scores) -> None:
    with pytest.raises(DataError) as caught:
        hierarchical_mean(scores)
    assert str(caught.value) == (
        "scores: there is no seed, a seed without items, or a score that is not finite. Give an array of seeds × "
        "items, or a list of 1-D arrays, of finite numbers. Leave out seeds that did not finish."
    )


# --- paired difference


@settings(max_examples=40, deadline=None)
@given(matrices)
def test_identical_arms_differ_by_exactly_nothing(scores: Floats) -> None:
    for arm in (scores, list(scores)):
        result = paired_difference(arm, arm, resamples=50)
        assert result.difference == Interval(0.0, 0.0, 0.0)
        assert (result.wins, result.ties, result.losses, result.p_value) == (0, len(scores), 0, 1.0)


def test_the_sign_is_second_minus_first_and_turns_with_the_arms() -> None:
    rng = np.random.default_rng(0)
    weak, strong = rng.random((10, 80)) < 0.5, rng.random((10, 80)) < 0.8
    forth, back = paired_difference(weak, strong), paired_difference(strong, weak)
    assert forth.difference.value == pytest.approx(strong.mean() - weak.mean())
    assert 0 < forth.difference.low < forth.difference.value < forth.difference.high
    assert forth.difference.low == pytest.approx(-back.difference.high, abs=1e-9)
    assert (forth.wins, forth.losses) == (back.losses, back.wins) == (10, 0)
    assert forth.p_value == back.p_value == pytest.approx(2 / 2**10)


def test_pairing_removes_what_the_arms_share() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(0, 5, size=(1, 100)) + rng.normal(0, 5, size=(8, 1))
    second = first + 0.1 + rng.normal(0, 0.01, size=first.shape)
    difference = paired_difference(first, second).difference
    assert difference.high - difference.low < 0.02
    assert hierarchical_mean(first).high - hierarchical_mean(first).low > 1


def test_seeds_are_counted_as_won_tied_and_lost() -> None:
    first = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0]])
    second = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 0], [1, 0, 0]])
    result = paired_difference(first, second)
    assert (result.wins, result.ties, result.losses) == (2, 1, 1)
    assert result.p_value == 1.0


@pytest.mark.parametrize("wins", range(8))
def test_the_p_value_is_scipys_sign_test(wins: int) -> None:
    second = np.where(np.arange(7) < wins, 1.0, -1.0)[:, None]
    result = paired_difference(np.zeros((7, 1)), second, resamples=10)
    assert result.p_value == pytest.approx(binomtest(wins, 7).pvalue)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (6, 0), (0, 6), (5, 5), (9, 2), (40, 61), (700, 600)])
def test_the_sign_test_is_scipys(wins: int, losses: int) -> None:
    expected = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert sign_test(wins, losses) == pytest.approx(expected)


def test_own_items_are_paired_by_split() -> None:
    result = paired_difference([[0.0, 0.0], [1.0]], [[1.0, 0.0], [1.0]])
    assert result.difference.value == 0.25
    assert (result.wins, result.ties, result.losses) == (1, 1, 0)


def test_one_seed_on_one_item_gives_a_point_and_no_evidence() -> None:
    result = paired_difference(np.zeros((1, 1)), np.ones((1, 1)))
    assert result.difference == Interval(1.0, 1.0, 1.0)
    assert (result.wins, result.p_value) == (1, 1.0)


@pytest.mark.parametrize(
    ("first", "second", "sizes"),
    [
        (np.ones((2, 3)), np.ones((3, 3)), ("[3, 3]", "[3, 3, 3]")),
        ([[1.0], [1.0, 0.0]], [[1.0, 0.0], [1.0]], ("[1, 2]", "[2, 1]")),
        (np.ones((1, 2)), [[1.0, 1.0]], ("[2]", "[2]")),
    ],
)
def test_arms_that_do_not_match_are_refused(
    first: statistics.Scores, second: statistics.Scores, sizes: tuple[str, str]
) -> None:
    with pytest.raises(DataError) as caught:
        paired_difference(first, second)
    assert str(caught.value) == (
        f"paired difference: the first arm has {sizes[0]} items by seed, the second {sizes[1]}. Score both arms with "
        "the same seeds on the same test texts, as two arrays or as two lists."
    )
