"""The 🤗 evaluate face: the same figures as Evaluation, offline, in batches and combined, with nothing left on disk."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from nlptl.errors import DataError
from nlptl.evaluation import evaluate_metric as metric
from nlptl.evaluation.scores import evaluate_predictions

NAMES = ["sad", "glad", "wild"]


@pytest.fixture(autouse=True)
def offline_and_tidy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Refuse every connection, and check that no file is left where temporary and cache files go."""

    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path / "cache")
    yield
    assert list(tmp_path.iterdir()) == []


def random_case(rows: int = 60) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet(np.ones(3), size=rows)
    return {
        "labels": [NAMES[index] for index in rng.integers(0, 3, rows)],
        "predicted": [NAMES[index] for index in probabilities.argmax(axis=1)],
        "probabilities": probabilities,
    }


def scikit_figures(case: dict[str, Any]) -> dict[str, float]:
    """Return the figures as scikit-learn and scipy give them; the ends of macro-F1 are a bootstrap's."""
    labels, predicted = case["labels"], case["predicted"]
    right = sum(a == b for a, b in zip(labels, predicted, strict=True))
    wilson = binomtest(right, len(labels)).proportion_ci(0.95, method="wilson")
    return {
        "rows": len(labels),
        "mcc": matthews_corrcoef(labels, predicted),
        "accuracy": accuracy_score(labels, predicted),
        "accuracy_low": wilson.low,
        "accuracy_high": wilson.high,
        "macro_f1": f1_score(labels, predicted, labels=NAMES, average="macro"),
    }


def log_loss(case: dict[str, Any]) -> float:
    columns = sorted(range(3), key=NAMES.__getitem__)  # scikit-learn orders labels by name
    return float(metrics.log_loss(case["labels"], np.asarray(case["probabilities"])[:, columns]))


def test_compute_gives_evaluations_figures() -> None:
    case = random_case()
    report = metric.load(names=NAMES)
    assert isinstance(report, evaluate.Metric)
    found = report.compute(predictions=case["predicted"], references=case["labels"])
    ends = evaluate_predictions(
        labels=case["labels"], predicted=case["predicted"], probabilities=None, names=NAMES
    ).macro_f1
    assert (found.pop("macro_f1_low"), found.pop("macro_f1_high")) == (ends.low, ends.high)
    assert found == pytest.approx(scikit_figures(case))


def test_ids_mean_the_places_in_the_names() -> None:
    case = random_case()
    report = metric.load(names=NAMES)
    by_name = report.compute(predictions=case["predicted"], references=case["labels"])
    predicted, labels = ([NAMES.index(label) for label in case[kind]] for kind in ("predicted", "labels"))
    assert report.compute(predictions=predicted, references=labels) == by_name
    assert report.compute(predictions=np.array(predicted), references=np.array(labels)) == by_name


def test_batches_add_up_with_probabilities() -> None:
    case = random_case()
    report = metric.load(names=NAMES, probabilities=True)
    for start in range(0, 60, 25):
        here = slice(start, start + 25)
        report.add_batch(
            predictions=case["predicted"][here],
            references=case["labels"][here],
            probabilities=case["probabilities"][here],
        )
    found = report.compute(seed=4, resamples=100)
    whole = evaluate_predictions(**case, names=NAMES, seed=4, resamples=100)
    assert whole.log_loss is not None
    assert whole.expected_calibration_error is not None
    for name, interval in (
        ("macro_f1", whole.macro_f1),
        ("log_loss", whole.log_loss),
        ("expected_calibration_error", whole.expected_calibration_error),
    ):
        ends = [found.pop(f"{name}_{end}") for end in ("low", "high")]
        assert ends == [interval.low, interval.high]
        assert ends[0] < found[name] < ends[1]
    assert found.pop("expected_calibration_error") == whole.expected_calibration_error.value
    assert found == pytest.approx({**scikit_figures(case), "log_loss": log_loss(case)})


def test_a_metric_can_be_used_again() -> None:
    report = metric.load(names=NAMES)
    report.add(prediction="sad", reference="sad")
    assert report.compute()["rows"] == 1
    report.add_batch(predictions=["sad", "glad"], references=["sad", "sad"])
    assert report.compute()["accuracy"] == 0.5


def test_two_metrics_combine() -> None:
    case = random_case()
    both = evaluate.combine(
        {"figures": metric.load(names=NAMES), "calibrated": metric.load(names=NAMES, probabilities=True)}
    )
    both.add_batch(predictions=case["predicted"], references=case["labels"], probabilities=case["probabilities"])
    found = both.compute(resamples=50)
    whole = evaluate_predictions(**case, names=NAMES, resamples=50)
    assert found["figures_accuracy"] == found["calibrated_accuracy"] == pytest.approx(scikit_figures(case)["accuracy"])
    assert found["figures_macro_f1_low"] == whole.macro_f1.low
    assert found["log_loss"] == pytest.approx(log_loss(case))


def test_a_list_of_metrics_combines_under_numbered_names() -> None:
    case = random_case()
    both = evaluate.combine([metric.load(names=NAMES), metric.load(names=NAMES)])
    found = both.compute(predictions=case["predicted"], references=case["labels"])
    assert found["classification_report_0_mcc"] == found["classification_report_1_mcc"]


def test_a_label_outside_the_names_is_refused_and_the_metric_lives_on() -> None:
    report = metric.load(names=NAMES)
    for predictions, references, found in ((["mad"], ["sad"], "mad"), ([3], [0], "3"), ([-1], [0], "-1")):
        with pytest.raises(DataError) as caught:
            report.compute(predictions=predictions, references=references)
        assert str(caught.value) == (
            f"evaluation: the predicted label '{found}' of text 1 is not among the label names ['sad', 'glad', 'wild']. "
            "Correct the label, or leave the text out."
        )
    assert report.compute(predictions=["sad"], references=["sad"])["accuracy"] == 1.0
