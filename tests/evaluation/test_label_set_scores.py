"""Scores of label sets: equal to scikit-learn's, with the intervals of a plain bootstrap."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from nlptl.errors import DataError
from nlptl.evaluation.label_sets import LabelSetEvaluation, evaluate_label_sets

NAMES = ["a", "b", "c", "never"]


def drawn(rows: int, *, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and predictions (N, K); nothing has the last label, and texts without a label are among them."""
    rng = np.random.default_rng(seed)
    true = rng.random((rows, 4)) < [0.5, 0.3, 0.1, 0.0]
    return true, true ^ (rng.random((rows, 4)) < [0.2, 0.2, 0.1, 0.0])


def sets(matrix: np.ndarray) -> list[tuple[str, ...]]:
    return [tuple(name for name, has in zip(NAMES, row, strict=True) if has) for row in matrix]


def scores(true: np.ndarray, guessed: np.ndarray, resamples: int = 1000) -> LabelSetEvaluation:
    return evaluate_label_sets(labels=sets(true), predicted=sets(guessed), names=NAMES, resamples=resamples)


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    true, guessed = drawn(60, seed=seed)
    found = scores(true, guessed, resamples=20)
    assert found.micro_f1.value == pytest.approx(f1_score(true, guessed, average="micro"))
    assert found.macro_f1.value == pytest.approx(f1_score(true, guessed, average="macro", zero_division=0))
    assert found.subset_accuracy.value == pytest.approx(accuracy_score(true, guessed))
    assert found.right == int((true == guessed).all(axis=1).sum())
    precision, recall, f1, support = precision_recall_fscore_support(true, guessed, zero_division=0)
    for place, one in enumerate(found.per_label):
        assert (one.precision.value if one.precision else 0.0) == pytest.approx(precision[place])
        assert (one.recall.value if one.recall else 0.0) == pytest.approx(recall[place])
        assert (one.f1, one.support) == (pytest.approx(f1[place]), support[place])
    first = int(true.sum(axis=0).argmax())
    assert found.most_frequent.label == NAMES[first]
    alone = np.zeros_like(true)
    alone[:, first] = True
    assert found.most_frequent.micro_f1 == pytest.approx(f1_score(true, alone, average="micro"))


def test_intervals_are_those_of_a_plain_bootstrap() -> None:
    true, guessed = drawn(120)
    found, rng = scores(true, guessed, resamples=4000), np.random.default_rng(0)
    rows = rng.integers(0, 120, (4000, 120))
    for interval, average in ((found.micro_f1, "micro"), (found.macro_f1, "macro")):
        hits, total = 2.0 * (true & guessed)[rows], true[rows].astype(float) + guessed[rows]
        if average == "micro":
            values = hits.sum(axis=(1, 2)) / total.sum(axis=(1, 2))
        else:
            values = (hits.sum(axis=1) / np.maximum(total.sum(axis=1), 1)).mean(axis=1)
        assert interval.low == pytest.approx(np.quantile(values, 0.025), abs=0.01)
        assert interval.high == pytest.approx(np.quantile(values, 0.975), abs=0.01)


def test_few_texts_give_no_interval() -> None:
    found = scores(*drawn(19))
    assert (found.micro_f1.low, found.macro_f1.high) == (None, None)
    assert found.subset_accuracy.low < found.subset_accuracy.high


def test_texts_without_labels_count() -> None:
    nothing = np.zeros((30, 4), dtype=bool)
    found = scores(nothing, nothing)
    assert (found.subset_accuracy.value, found.micro_f1.value, found.labels_per_text) == (1.0, 0.0, 0.0)


def test_lines_and_json() -> None:
    found = scores(*drawn(200))
    first, *_, last = found.summary_lines()
    assert first == (
        f"micro-F1 {found.micro_f1} on 200 texts; the most frequent label alone, 'a', gets {found.most_frequent.micro_f1:.3f}"
    )
    assert last == "never: precision none (never predicted), recall none (not in the test set), F1 0.000 on 0 texts"
    assert LabelSetEvaluation.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_faults() -> None:
    with pytest.raises(DataError) as caught:
        evaluate_label_sets(labels=[("a",), ("b", "x")], predicted=[(), ()], names=["a", "b"])
    assert str(caught.value) == (
        "evaluation: the label 'x' of text 2 is not among the label names ['a', 'b']. Correct the label, or leave the text out."
    )
    with pytest.raises(DataError) as caught:
        evaluate_label_sets(labels=[("a",)], predicted=[], names=["a", "b"])
    assert str(caught.value) == (
        "evaluation: the number of texts is 1, that of predictions 0. Predict exactly the labelled texts, one at least."
    )
