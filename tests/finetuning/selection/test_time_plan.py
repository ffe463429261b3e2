"""The time plan of auto: what fits into the minutes is trained, what cannot end is not begun, and the sentence says so."""

from __future__ import annotations

import dataclasses

import pytest

from nlptl.finetuning.selection.time_plan import Workload, plan_within

WORK = Workload(examples=3_000, labels=2, one_pass=12.0, characters=300_000, names=0.5, trained=0.8, scored=0.2)


def _methods(seconds: float, work: Workload = WORK) -> list[str]:
    return [training.method for training in plan_within(seconds, work).trainings]


@pytest.mark.parametrize("seconds", [30, 60, 120, 300, 600, 3_600])
@pytest.mark.parametrize("one_pass", [1.0, 12.0, 120.0, 480.0])
def test_a_plan_fits_into_its_time(seconds: float, one_pass: float) -> None:
    work = dataclasses.replace(WORK, one_pass=one_pass)
    plan = plan_within(seconds, work)
    least = (
        work.scored * one_pass + one_pass * 8 / work.examples + 1.8
    )  # the head of the fewest examples, and the words
    assert plan.seconds <= max(seconds, least)
    assert 8 <= plan.head_examples <= work.examples


def test_more_time_tries_more() -> None:
    assert _methods(3_600) == ["contrastive", "full", "head"]
    assert _methods(20) == ["head"]
    epochs = [max(training.epochs for training in plan_within(s, WORK).trainings) for s in (20, 150, 300, 3_600)]
    assert epochs == sorted(epochs)
    assert epochs[0] == 0
    assert epochs[-1] == 4


def test_few_examples_have_no_full_training() -> None:
    few = dataclasses.replace(WORK, examples=200, one_pass=1.0, trained=1.0, scored=1.0)
    assert _methods(600, few) == ["contrastive", "head"]


def test_texts_that_take_too_long_leave_the_head_some_examples() -> None:
    long = dataclasses.replace(WORK, examples=12_000, one_pass=1_200.0, characters=15_000_000, scored=1 / 12)
    plan = plan_within(600, long)
    assert _methods(600, long) == ["head"]
    assert 1_000 < plan.head_examples < 6_000
    assert plan.seconds <= 600


@pytest.mark.parametrize(
    ("seconds", "examples", "cuts"),
    [
        (3_600, 3_000, []),
        (3_600, 200, []),
        (150, 3_000, ["contrastive was not tried", "full took 2 of 4 epochs"]),
        (20, 3_000, ["contrastive was not tried", "full was not tried"]),
        (0.1, 3_000, ["contrastive was not tried", "full was not tried", "the head learnt from 20 of 3,000 examples",
                      "nothing was compared"]),
    ],
)  # fmt: skip
def test_a_plan_says_what_it_leaves_out(seconds: float, examples: int, cuts: list[str]) -> None:
    work = dataclasses.replace(WORK, examples=examples, one_pass=12.0 * examples / 3_000)
    found = plan_within(seconds, work).cuts(work)
    assert [one for one in found if "again" not in one] == cuts


def test_less_time_never_cuts_less() -> None:
    counts = [len(plan_within(seconds, WORK).cuts(WORK)) for seconds in (3_600, 300, 20, 1)]
    assert counts == sorted(counts)
    steps = [cut for cut in plan_within(300, dataclasses.replace(WORK, examples=200)).cuts(WORK) if "steps" in cut]
    assert len(steps) <= 1


def test_the_plan_is_one_sentence() -> None:
    plan = plan_within(120, dataclasses.replace(WORK, trained=11 / 12, scored=1 / 12))
    assert plan.sentence(WORK, 2.5, 30) == (
        "Plan for 2.5 minutes: full (2 epochs), the head alone and the words are compared, then the best one is kept as it is, "
        "since the time is short; about 2 minutes in all."
    )
