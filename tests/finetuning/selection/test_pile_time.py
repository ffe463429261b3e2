"""How much of the pile fits into the time of `auto`."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.methods.self_training import SelfTraining
from nlptl.finetuning.selection import pile_time
from nlptl.finetuning.selection.method_comparison import SelectionTask
from nlptl.finetuning.selection.pile_time import pile_within
from nlptl.pretraining.views.view_settings import NgramView, WordVectorView

EACH = 0.1  # seconds that encoding takes for a text


def task_of(pile: int, *, views: tuple[Any, ...] = ()) -> SelectionTask:
    """Return a task over an encoder with such views."""
    texts = [f"text {number}" for number in range(pile)]
    data = TextData(labelled=(["good", "bad"], ["1", "0"]), unlabelled=texts)
    given: Any = SimpleNamespace(encoder=SimpleNamespace(joined_views=views))
    speed: Any = None
    return SelectionTask(given, LabelledExamples.of(data, ["0", "1"]), RunContext(seed=3, device="cpu"), speed)


@pytest.fixture(autouse=True)
def _speed(monkeypatch: pytest.MonkeyPatch) -> None:
    stands_in = SimpleNamespace(seconds_for=lambda texts: EACH * len(texts))
    monkeypatch.setattr(pile_time, "EncodingSpeed", lambda *_: stands_in)


def most(**settings: Any) -> Any:
    slow: Any = SimpleNamespace(seconds=lambda *, pile, sample: 30.0)
    return dataclasses.replace(SelfTraining().use(), views=(slow,), **settings)


@pytest.mark.parametrize(
    ("seconds", "texts", "views"),
    [(281, 2000, 1), (279, 1000, 1), (181, 1000, 1), (81, 250, 1), (79, 250, 0), (51, 250, 0)],
)
def test_fewer_texts_are_taken_before_fewer_views(seconds: float, texts: int, views: int) -> None:
    """The gate reads 500 texts or all once more."""
    task = task_of(2000)
    found = pile_within(seconds, most(), task)
    assert found is not None
    assert (found.texts, len(found.views)) == (texts, views)
    cuts = [f"{texts:,} of 2,000 texts of the pile were used"] if texts < 2000 else []
    cuts += [] if views else ["the pile was seen by 1 of 2 views"]
    assert task.context.record.report.get("cuts", []) == cuts


def test_what_no_time_is_left_for_is_told() -> None:
    task = task_of(2000)
    assert pile_within(36, most(), task) is None
    assert task.context.record.warnings == ["The pile is not tried: it would take about 0.83 minutes, 0.6 are left."]
    assert task.context.record.report["cuts"] == ["the pile was not tried"]
    assert pile_within(-5, most(), task_of(2000)) is None


def test_a_small_pile_costs_no_more_than_it_has_texts() -> None:
    found = pile_within(100, most(), task_of(300))
    assert found is not None
    assert found.texts == 300


def test_views_that_the_encoder_has_cost_nothing() -> None:
    found = pile_within(251, most(), task_of(2000, views=("a view",)))
    assert found is not None
    assert found.texts == 2000


def test_word_vectors_cost_by_the_pile_and_ngrams_by_the_sample() -> None:
    words, ngrams = WordVectorView(), NgramView()
    small, large = (words.seconds(pile=characters, sample=0) for characters in (600_000, 60_000_000))
    assert 5 < small < 20
    assert 60 < large < 200
    assert ngrams.seconds(pile=60_000_000, sample=600_000) == pytest.approx(3.6)
    assert ngrams.seconds(pile=0, sample=60_000_000) == ngrams.seconds(pile=0, sample=5_000_000)
