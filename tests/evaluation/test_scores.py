"""Evaluation: scikit-learn as the oracle, properties, files, and the full error sentences."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn import metrics

from nlptl.errors import DataError
from nlptl.evaluation.intervals import wilson
from nlptl.evaluation.scores import BINS, Evaluation, evaluate_predictions

NAMES = ("calm", "glad", "wild", "sad")


def random_case(seed: int, *, rows: int = 120, labels: int = 4, used: int | None = None) -> dict[str, Any]:
    """Draw N texts of K labels of which only the first `used` are in the test set."""
    rng = np.random.default_rng(seed)
    names = [f"label {index}" for index in range(labels)]
    probabilities = rng.dirichlet(np.full(labels, 0.4), size=rows)
    true = rng.integers(0, used or labels, rows)
    probabilities[np.arange(rows), true] += 0.5
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return {
        "labels": [names[index] for index in true],
        "predicted": [names[index] for index in probabilities.argmax(axis=1)],
        "probabilities": probabilities,
        "names": names,
    }


CASES = [
    random_case(0),
    random_case(1, rows=1),
    random_case(2, rows=7, labels=9),
    random_case(3, rows=60, labels=6, used=2),
    random_case(4, rows=30, labels=1),
    random_case(5, rows=300, labels=2, used=1),
]


@pytest.mark.parametrize("case", CASES)
def test_the_figures_are_scikit_learns(case: dict[str, Any]) -> None:
    evaluation = evaluate_predictions(**case, resamples=20)
    true, predicted, names = case["labels"], case["predicted"], case["names"]
    assert evaluation.rows == len(true)
    assert evaluation.accuracy.value == metrics.accuracy_score(true, predicted)
    assert evaluation.macro_f1.value == metrics.f1_score(
        true, predicted, labels=names, average="macro", zero_division=0
    )
    assert evaluation.log_loss is not None
    ids = [names.index(label) for label in true]
    if len(names) > 1:
        # scikit-learn warns of a single label here.
        oracle = metrics.log_loss(ids, case["probabilities"], labels=range(len(names)))
        assert evaluation.log_loss.value == pytest.approx(oracle, rel=1e-9)
        assert evaluation.mcc == pytest.approx(metrics.matthews_corrcoef(true, predicted), abs=1e-12)
        np.testing.assert_array_equal(evaluation.confusion, metrics.confusion_matrix(true, predicted, labels=names))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        true, predicted, labels=names, zero_division=0
    )
    for index, scores in enumerate(evaluation.per_label):
        assert scores.label == names[index]
        assert (scores.precision.value if scores.precision else 0.0) == precision[index]
        assert (scores.recall.value if scores.recall else 0.0) == recall[index]
        assert (scores.f1, scores.support) == (f1[index], support[index])
        assert (scores.recall is None) == (support[index] == 0)
        assert (scores.precision is None) == (names[index] not in predicted)


def test_precision_and_recall_carry_wilsons_interval() -> None:
    evaluation = evaluate_predictions(
        labels=["a", "a", "a", "b"], predicted=["a", "a", "b", "a"], probabilities=None, names=["a", "b"]
    )
    assert evaluation.accuracy == wilson(2, 4)
    first, second = evaluation.per_label
    assert (first.precision, first.recall) == (wilson(2, 3), wilson(2, 3))
    assert (second.precision, second.recall) == (wilson(0, 1), wilson(0, 1))
    assert evaluation.confusion == ((2, 1), (1, 0))


def test_without_probabilities_there_is_no_log_loss() -> None:
    evaluation = evaluate_predictions(labels=["a"], predicted=["a"], probabilities=None, names=["a", "b"])
    assert evaluation.log_loss is None
    assert evaluation.expected_calibration_error is None


def test_macro_f1_is_bootstrapped_like_scikit_learn_on_drawn_texts() -> None:
    case = random_case(7, rows=150)
    interval = evaluate_predictions(**case, resamples=4000).macro_f1
    true, predicted = np.array(case["labels"]), np.array(case["predicted"])
    rng = np.random.default_rng(0)
    draws = [
        metrics.f1_score(true[chosen], predicted[chosen], labels=case["names"], average="macro", zero_division=0)
        for chosen in rng.integers(0, 150, (300, 150))
    ]
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.025)


def test_labels_that_only_a_resample_misses_do_not_pull_the_interval_down() -> None:
    names = [f"label {index}" for index in range(40)]
    evaluation = evaluate_predictions(labels=names, predicted=names, probabilities=None, names=[*names, "absent"])
    # The absent label counts as 0 in the value and in every resample, so that all of them agree.
    assert evaluation.macro_f1.value == pytest.approx(40 / 41)
    assert (evaluation.macro_f1.low, evaluation.macro_f1.high) == (None, None)
    one_wrong = [*names[:-1], names[0]]
    evaluation = evaluate_predictions(labels=names, predicted=one_wrong, probabilities=None, names=[*names, "absent"])
    assert evaluation.macro_f1.high == pytest.approx(40 / 41)


def test_the_bootstrap_is_fast_on_many_labels() -> None:
    # 1000 resamples of 150 labels: a scikit-learn call each would take seconds.
    names = [f"label {index}" for index in range(150)]
    labels, predicted = (
        [names[index] for index in np.random.default_rng(seed).integers(0, 150, 3000)] for seed in (0, 1)
    )
    started = time.perf_counter()
    interval = evaluate_predictions(labels=labels, predicted=predicted, probabilities=None, names=names).macro_f1
    assert time.perf_counter() - started < 3
    assert interval.low < interval.value < interval.high


def test_a_certain_mistake_costs_sixteen_nats() -> None:
    evaluation = evaluate_predictions(
        labels=["b"], predicted=["a"], probabilities=[[1.0, 0.0]], names=["a", "b"], resamples=5
    )
    assert evaluation.log_loss is not None
    assert evaluation.log_loss.value == pytest.approx(16.118, abs=1e-3)


def test_a_certain_hit_costs_exactly_nothing() -> None:
    evaluation = evaluate_predictions(labels=["a"], predicted=["a"], probabilities=[[1, 0]], names=["a", "b"])
    assert evaluation.log_loss is not None
    assert str(evaluation.log_loss.value) == "0.0"


def test_expected_calibration_error_is_its_definition() -> None:
    case = random_case(9, rows=400)
    evaluation = evaluate_predictions(**case, resamples=50)
    confidence = case["probabilities"].max(axis=1)
    right = np.array(case["labels"]) == np.array(case["predicted"])
    error = 0.0
    for index in range(BINS):
        inside = (confidence > index / BINS) & (confidence <= (index + 1) / BINS)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    interval = evaluation.expected_calibration_error
    assert interval is not None
    assert interval.value == pytest.approx(error)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_a_confidence_on_an_edge_belongs_to_the_lower_bin() -> None:
    # 0.6 = 9/15 shares the bin of 0.57 and parts from 0.61; one hit and one miss cancel only within a bin.
    def error(first: float, second: float) -> float:
        evaluation = evaluate_predictions(
            labels=["a", "b"],
            predicted=["a", "a"],
            probabilities=[[first, 1 - first], [second, 1 - second]],
            names=["a", "b"],
            resamples=5,
        )
        assert evaluation.expected_calibration_error is not None
        return evaluation.expected_calibration_error.value

    assert error(0.6, 0.57) == pytest.approx(abs(0.4 - 0.57) / 2)
    assert error(0.6, 0.61) == pytest.approx((0.4 + 0.61) / 2)
    assert error(0.0, 0.05) == pytest.approx((1 - 0.05) / 2)


def test_confidence_is_the_probability_of_the_predicted_label() -> None:
    evaluation = evaluate_predictions(
        labels=["b"], predicted=["b"], probabilities=[[0.7, 0.3]], names=["a", "b"], resamples=5
    )
    assert evaluation.expected_calibration_error is not None
    assert evaluation.expected_calibration_error.value == pytest.approx(0.7)


def test_the_calibration_interval_allows_for_the_upward_bias() -> None:
    rng = np.random.default_rng(0)
    lows = []
    for seed in range(20):
        confidence = rng.uniform(0.5, 1, 300)
        right = rng.random(300) < confidence
        evaluation = evaluate_predictions(
            labels=["a" if hit else "b" for hit in right],
            predicted=["a"] * 300,
            probabilities=np.stack([confidence, 1 - confidence], axis=1),
            names=["a", "b"],
            resamples=200,
            seed=seed,
        )
        assert evaluation.expected_calibration_error is not None
        lows.append(evaluation.expected_calibration_error.low)
    # Calibrated by construction; the plain percentile interval would begin near 0.04 every time.
    assert np.median(lows) < 0.015


def test_the_same_seed_gives_the_same_evaluation_and_another_seed_the_same_values() -> None:
    case = random_case(0)
    first, again, other = (evaluate_predictions(**case, seed=seed, resamples=50) for seed in (3, 3, 4))
    assert first == again
    assert other.macro_f1 != first.macro_f1
    assert other.macro_f1.value == first.macro_f1.value


def test_what_it_is_given_stays_unchanged() -> None:
    case = random_case(0)
    before = case["probabilities"].copy()
    evaluate_predictions(**case, resamples=5)
    np.testing.assert_array_equal(case["probabilities"], before)


pairs = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_the_texts_changes_no_value(rows: list[tuple[str, str]], shuffler: Any) -> None:
    def judge(rows: list[tuple[str, str]]) -> Evaluation:
        probabilities = [[0.4 if name == guess else 0.2 for name in NAMES] for _, guess in rows]
        labels, predicted = zip(*rows, strict=True)
        return evaluate_predictions(
            labels=labels, predicted=predicted, probabilities=probabilities, names=NAMES, resamples=20
        )

    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    first, second = judge(rows), judge(shuffled)
    assert first.per_label == second.per_label
    assert (first.accuracy, first.macro_f1, first.mcc) == (second.accuracy, second.macro_f1, second.mcc)
    assert first.log_loss is not None
    assert second.log_loss is not None
    assert first.log_loss.value == pytest.approx(second.log_loss.value)
    for interval in (first.accuracy, first.macro_f1, first.expected_calibration_error):
        assert interval is not None
        if interval.low is not None and interval.high is not None:
            assert 0 <= interval.low <= interval.high <= 1
        else:
            assert interval != first.accuracy
    assert -1 <= first.mcc <= 1


@settings(max_examples=30, deadline=None)
@given(pairs)
def test_json_round_trip_is_exact(rows: list[tuple[str, str]]) -> None:
    labels, predicted = zip(*rows, strict=True)
    uniform = np.full((len(rows), 4), 0.25)
    for probabilities in (None, uniform):
        evaluation = evaluate_predictions(
            labels=labels, predicted=predicted, probabilities=probabilities, names=NAMES, resamples=10
        )
        text = json.dumps(evaluation.to_dict(), allow_nan=False)
        assert Evaluation.from_dict(json.loads(text)) == evaluation


def test_a_damaged_evaluation_is_refused() -> None:
    raw = evaluate_predictions(**random_case(0), resamples=5).to_dict()
    for damaged in ({}, {**raw, "rows": "many"}, {**raw, "per_label": 1}):
        with pytest.raises(ValidationError):
            Evaluation.from_dict(damaged)


def test_summary_lines_are_plain_text() -> None:
    evaluation = evaluate_predictions(
        labels=["a"] * 9 + ["b"],
        predicted=["a"] * 10,
        probabilities=[[0.9, 0.1, 0.0]] * 10,
        names=["a", "b", "c"],
        resamples=200,
    )
    lines = evaluation.summary_lines()
    assert lines == [
        "accuracy 0.900 [0.596, 0.982] on 10 texts; the most frequent label, 'a', gets 0.900",
        "macro-F1 0.316 (too few texts for an interval) over 3 labels",
        "Matthews correlation 0.000 (undefined with one label)",
        "log loss 0.325 (too few texts for an interval)",
        "expected calibration error 0.000 (too few texts for an interval)",
        "a: precision 0.900 [0.596, 0.982], recall 1.000 [0.701, 1.000], F1 0.947 on 9 texts",
        "b: precision none (never predicted), recall 0.000 [0.000, 0.793], F1 0.000 on 1 text",
        "c: precision none (never predicted), recall none (not in the test set), F1 0.000 on 0 texts",
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"labels": [], "predicted": []},
            "evaluation: the test set is empty. Give at least one labelled text.",
        ),
        (
            {"predicted": ["a"]},
            ("evaluation: the number of labels is 2, that of predicted labels 1. Predict exactly the labelled texts."),
        ),
        (
            {"names": []},
            (
                "evaluation: the label names are [], but must be one or more different ones. Give them in the order of the "
                "classifier's labels."
            ),
        ),
        (
            {"names": ["a", "b", "a"]},
            (
                "evaluation: the label names are ['a', 'b', 'a'], but must be one or more different ones. Give them in the "
                "order of the classifier's labels."
            ),
        ),
        (
            {"labels": ["a", "z"]},
            (
                "evaluation: the label 'z' of text 2 is not among the label names ['a', 'b']. Correct the label, or leave "
                "the text out."
            ),
        ),
        (
            {"predicted": ["z", "a"]},
            (
                "evaluation: the predicted label 'z' of text 1 is not among the label names ['a', 'b']. Correct the label, "
                "or leave the text out."
            ),
        ),
        (
            {"probabilities": [[0.5, 0.5]]},
            (
                "evaluation: the probabilities have the shape (1, 2), but must have the shape (2, 2): a row for each text "
                "and a column for each label name."
            ),
        ),
        (
            {"probabilities": [[0.5, 0.5], [0.5, 0.6]]},
            (
                "evaluation: the probabilities of text 2 are [0.5, 0.6], but must be numbers from 0 to 1 with the sum 1 (± "
                "0.001). Compute the softmax of the logits in float32."
            ),
        ),
        (
            {"probabilities": [[1.5, -0.5], [0.5, 0.5]]},
            (
                "evaluation: the probabilities of text 1 are [1.5, -0.5], but must be numbers from 0 to 1 with the sum 1 (± "
                "0.001). Compute the softmax of the logits in float32."
            ),
        ),
        (
            {"probabilities": [[0.5, 0.5], [np.nan, 0.5]]},
            (
                "evaluation: the probabilities of text 2 are [nan, 0.5], but must be numbers from 0 to 1 with the sum 1 (± "
                "0.001). Compute the softmax of the logits in float32."
            ),
        ),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(change: dict[str, Any], sentence: str) -> None:
    right: dict[str, Any] = {
        "labels": ["a", "b"],
        "predicted": ["a", "a"],
        "probabilities": [[0.6, 0.4], [0.7, 0.3]],
        "names": ["a", "b"],
    }
    evaluate_predictions(**right, resamples=5)
    with pytest.raises(DataError) as caught:
        evaluate_predictions(**(right | change))
    assert str(caught.value) == sentence


def test_float32_probabilities_within_rounding_are_accepted() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    probabilities: npt.NDArray[np.float32] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = [str(index) for index in range(7)]
    evaluation = evaluate_predictions(
        labels=names * 7 + ["0"],
        predicted=["1"] * 50,
        probabilities=probabilities.astype(np.float16),
        names=names,
        resamples=5,
    )
    assert evaluation.log_loss is not None
