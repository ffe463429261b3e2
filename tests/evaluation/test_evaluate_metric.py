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

from nlptl.errors import DataError
from nlptl.evaluation import evaluate_metric as metric
from nlptl.evaluation.scores import Evaluation, evaluate_predictions

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
    chances = rng.dirichlet(np.ones(3), size=rows)
    return {
        "labels": [NAMES[index] for index in rng.integers(0, 3, rows)],
        "predicted": [NAMES[index] for index in chances.argmax(axis=1)],
        "probabilities": chances,
    }


def figures(evaluation: Evaluation) -> dict[str, float]:
    found: dict[str, float] = {"rows": evaluation.rows, "mcc": evaluation.mcc}
    for name in ("accuracy", "macro_f1", "log_loss", "expected_calibration_error"):
        interval = getattr(evaluation, name)
        if interval is not None:
            found |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return found


def test_compute_gives_evaluations_figures() -> None:
    case = random_case()
    expected = figures(evaluate_predictions(**case | {"probabilities": None}, names=NAMES))
    report = metric.load(names=NAMES)
    assert isinstance(report, evaluate.Metric)
    assert report.compute(predictions=case["predicted"], references=case["labels"]) == expected
    assert set(expected) == {
        "rows", "mcc", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "macro_f1_low", "macro_f1_high",
    }  # fmt: skip


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
    expected = figures(evaluate_predictions(**case, names=NAMES, seed=4, resamples=100))
    assert report.compute(seed=4, resamples=100) == expected
    assert "log_loss" in expected
    assert "expected_calibration_error_high" in expected


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
    expected = figures(evaluate_predictions(**case, names=NAMES, resamples=50))
    assert found["figures_accuracy"] == found["calibrated_accuracy"] == expected["accuracy"]
    assert found["figures_macro_f1_low"] == expected["macro_f1_low"]
    assert found["log_loss"] == expected["log_loss"]


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
            f"evaluation: predicted label '{found}' of text 1 is not among the label names ['sad', 'glad', 'wild']; "
            "expected only labels that the classifier knows. Correct the label or leave the text out."
        )
    assert report.compute(predictions=["sad"], references=["sad"])["accuracy"] == 1.0
