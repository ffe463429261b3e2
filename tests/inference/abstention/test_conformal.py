"""Prediction sets: their coverage, its own distribution, and what is said where the held-out texts are too few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.errors import ConfigError, DataError
from nlptl.inference.abstention.conformal import check_coverage, coverage_of, in_set, set_threshold


def drawn(generator: np.random.Generator, count: int, labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and labels that follow them more or less."""
    logits = 2 * generator.normal(size=(count, labels))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    blurred = np.exp(0.5 * logits) / np.exp(0.5 * logits).sum(axis=1, keepdims=True)
    truth = (blurred.cumsum(axis=1) > generator.random((count, 1))).argmax(axis=1)
    return probabilities, truth


@pytest.mark.parametrize(("count", "coverage"), [(16, 0.9), (19, 0.9), (30, 0.7)])
def test_sets_cover_what_they_promise(count: int, coverage: float) -> None:
    generator = np.random.default_rng(count)
    found, inside = [], []
    for _ in range(250):
        held, labels = drawn(generator, count)
        threshold = set_threshold(1 - held[np.arange(count), labels], coverage, where="here")
        probabilities, truth = drawn(generator, 300)
        found.append(in_set(probabilities, threshold)[np.arange(300), truth].mean())
        if count == 19:
            said = coverage_of(held, labels, coverage, weight=1.0, is_approximate=False)
            inside.append(said.low - 0.02 <= found[-1] <= said.high + 0.02)  # 300 texts have noise of their own
    assert np.mean(found) == pytest.approx(coverage, abs=0.015)
    assert not inside or 0.86 < np.mean(inside) < 0.97


def test_the_threshold_is_the_score_at_its_rank() -> None:
    scores = np.random.default_rng(0).random(19)
    assert set_threshold(scores, 0.9, where="here") == np.sort(scores)[17]  # rank 18 of 20
    half_way = set_threshold(scores[:9], 0.85, where="here")  # rank 8.5
    assert half_way == pytest.approx(np.sort(scores[:9])[7:9].mean())
    assert set_threshold(scores, 0.01, where="here") == scores.min()


@given(st.integers(0, 10_000), st.floats(0.05, 0.9), st.floats(0.05, 0.9))
@settings(max_examples=25, deadline=None)
def test_a_larger_coverage_has_larger_sets_and_none_is_empty(seed: int, one: float, other: float) -> None:
    probabilities, labels = drawn(np.random.default_rng(seed), 30)
    scores = 1 - probabilities[np.arange(30), labels]
    small, large = (in_set(probabilities, set_threshold(scores, level, where="")) for level in sorted((one, other)))
    assert (small <= large).all()
    assert small[np.arange(30), probabilities.argmax(axis=1)].all()


def test_what_is_said_of_held_out_texts_leaves_each_of_them_out() -> None:
    probabilities, labels = drawn(np.random.default_rng(5), 40)
    said = coverage_of(probabilities, labels, 0.8, weight=0.5, is_approximate=True)
    scores = 1 - probabilities[np.arange(40), labels]
    single = right = 0
    for row in range(40):
        others = np.delete(np.arange(40), row)
        found = in_set(probabilities[row : row + 1], set_threshold(scores[others], 0.8, where=""))[0]
        single += found.sum() == 1
        right += found.sum() == 1 and found[labels[row]]
    assert (said.single, said.right, said.held_out) == (single, right, 40)
    whole = coverage_of(probabilities, labels, 0.8, weight=1.0, is_approximate=True)
    assert said.low < whole.low < 0.8 < whole.high < said.high
    assert str(said) == (
        f"about 0.8 [{said.low:.2f}, {said.high:.2f}], by 40 labelled texts, each judged by a classifier that had not learnt it"
    )


def test_too_few_held_out_texts_are_told() -> None:
    with pytest.raises(DataError) as raised:
        set_threshold(np.zeros(6), 0.9, where="predict_sets")
    assert str(raised.value) == (
        "predict_sets: found 6 held-out texts, too few for a coverage of 0.9: each set would hold every label. Expected 9 at "
        "least. Lower it to 0.85, or label more texts."
    )
    set_threshold(np.zeros(6), 0.85, where="predict_sets")


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0, 90.0, float("nan")])
def test_a_coverage_is_a_share(coverage: float) -> None:
    with pytest.raises(ConfigError) as raised:
        check_coverage(coverage, where="--abstain")
    assert str(raised.value) == (
        f"--abstain: found {coverage:g}; expected a share above 0 and below 1. Give one such as 0.9."
    )


@pytest.mark.parametrize("coverage", ["abc", None, True, [0.9], 1 + 0j])
def test_a_coverage_of_another_kind_is_told(coverage: object) -> None:
    with pytest.raises(ConfigError) as raised:
        check_coverage(coverage, where="predict_sets")
    assert str(raised.value) == (
        f"predict_sets: found {coverage!r}; expected a share above 0 and below 1. Give one such as 0.9."
    )


def test_a_coverage_may_be_a_number_of_numpy() -> None:
    check_coverage(np.float32(0.9), where="predict_sets")
