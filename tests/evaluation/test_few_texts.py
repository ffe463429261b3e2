"""Which intervals are reported: none over texts too few for one. The reason is computed, not believed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binom

from nlptl.evaluation.intervals import MIN_TEXTS, Estimate, Interval, bootstrap, estimate, wilson
from nlptl.evaluation.most_frequent import MostFrequent
from nlptl.evaluation.scores import Evaluation, evaluate_predictions


def coverage(texts: int, share: float) -> float:
    """Return how often the percentile bootstrap of a share holds the truth: its resamples are binomial."""
    hits = np.arange(texts + 1)
    low, high = (binom.ppf(end, texts, hits / texts) / texts for end in (0.025, 0.975))
    low[0], high[0], low[-1], high[-1] = 0, 0, 1, 1
    return float(binom.pmf(hits, texts, share)[(low <= share) & (share <= high)].sum())


@pytest.mark.parametrize(("texts", "stated"), [(2, 0.36), (5, 0.71), (10, 0.84), (MIN_TEXTS, 0.90)])
def test_the_bootstrap_of_few_texts_covers_less_than_it_says(texts: int, stated: float) -> None:
    shares = np.linspace(0.5, 0.95, 91)
    assert np.mean([coverage(texts, share) for share in shares]) == pytest.approx(stated, abs=0.005)


def test_a_kind_of_text_that_is_rare_is_often_missing() -> None:
    assert 0.95**MIN_TEXTS == pytest.approx(0.36, abs=0.005)


def test_an_interval_needs_texts_and_resamples_that_differ() -> None:
    interval = Interval(0.8, 0.6, 0.9)
    assert estimate(interval, texts=MIN_TEXTS) == Estimate(0.8, 0.6, 0.9)
    assert estimate(interval, texts=MIN_TEXTS - 1) == Estimate(0.8, None, None)
    assert estimate(Interval(1.0, 1.0, 1.0), texts=10_000) == Estimate(1.0, None, None)
    assert str(estimate(interval, texts=2)) == "0.800 (too few texts for an interval)"
    assert estimate(interval, texts=50).told("+.1f", 100) == "+80.0 [+60.0, +90.0]"
    agreed = bootstrap(lambda drawn: drawn.mean(axis=1), np.ones(500))
    assert (agreed.low, agreed.high) == (1.0, 1.0), "what the rule is for"


def scored(labels: str, predicted: str, *, sure: float = 0.9) -> Evaluation:
    probabilities = [[sure, 1 - sure] if guess == "a" else [1 - sure, sure] for guess in predicted]
    return evaluate_predictions(labels=labels, predicted=predicted, probabilities=probabilities, names=["a", "b"])


@pytest.mark.parametrize(
    ("labels", "predicted"),
    [
        ("ab", "ab"),
        ("a", "a"),
        ("a", "b"),
        ("aaaabbbb", "aaaabbbb"),
        ("a" * 19, "a" * 9 + "b" * 10),
        ("ab" * 40, "ab" * 40),
    ],
)
def test_no_bootstrapped_score_of_few_texts_claims_certainty(labels: str, predicted: str) -> None:
    evaluation = scored(labels, predicted)
    for found in (evaluation.macro_f1, evaluation.log_loss, evaluation.expected_calibration_error):
        assert found is not None
        assert found.low is None or found.low < (found.high or 0)
    assert (evaluation.macro_f1.low, evaluation.macro_f1.high) == (None, None)
    assert evaluation.accuracy == wilson(sum(map(str.__eq__, labels, predicted)), len(labels))
    told = "\n".join(evaluation.summary_lines())
    why = "too few texts for an interval" if len(labels) < 20 else "no interval: all are right"
    assert f"macro-F1 {evaluation.macro_f1.value:.3f} ({why})" in told
    raw = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert (raw["macro_f1"]["low"], raw["macro_f1"]["high"]) == (None, None)
    assert Evaluation.from_dict(raw) == evaluation


def test_texts_of_one_label_alone_have_no_macro_f1_to_bound() -> None:
    evaluation = scored("a" * 60, "a" * 50 + "b" * 10)
    assert evaluation.macro_f1.low is None
    assert evaluation.log_loss is not None
    assert evaluation.log_loss.low is not None
    assert (
        f"macro-F1 {evaluation.macro_f1.value:.3f} (no interval: all resamples agree) over 2 labels"
        in evaluation.summary_lines()
    )
    assert "Matthews correlation 0.000 (undefined with one label)" in evaluation.summary_lines()
    assert "Matthews correlation 1.000" in scored("ab", "ab").summary_lines()


def test_twenty_texts_with_a_mistake_have_an_interval() -> None:
    evaluation = scored("ab" * 10, "ab" * 9 + "aa")
    assert evaluation.macro_f1.low is not None
    assert evaluation.macro_f1.low < evaluation.macro_f1.value


def test_a_file_of_an_earlier_version_loads() -> None:
    raw = scored("ab" * 10, "ab" * 9 + "aa").to_dict()
    del raw["most_frequent"], raw["texts_learnt"]
    raw["macro_f1"].update(low=1.0, high=1.0)
    old = Evaluation.from_dict(raw)
    assert (old.most_frequent, old.texts_learnt) == (None, None)
    assert old.warnings() == []
    assert old.score_lines()[:2] == [
        f"accuracy {old.accuracy} on 20 texts",
        f"macro-F1 {old.macro_f1.value:.3f} (no interval: all resamples agree) over 2 labels",
    ]


def test_the_bar_is_the_most_frequent_label_of_the_training_part() -> None:
    assert MostFrequent.of("aab", learnt={"a": 1, "b": 9}) == MostFrequent("b", wilson(1, 3))
    assert MostFrequent.of("abb", learnt={"a": 4, "b": 4}) == MostFrequent("b", wilson(2, 3)), (
        "the highest of equal bars"
    )
    assert MostFrequent.of("abb", learnt={}) == MostFrequent("b", wilson(2, 3))
    assert MostFrequent.of("ab", learnt={}) == MostFrequent("a", wilson(1, 2))
    assert MostFrequent.of("ab", learnt={"c": 3}) == MostFrequent("c", wilson(0, 2))
    assert str(MostFrequent.of("abb", learnt={})) == "the most frequent label, 'b', gets 0.667"
