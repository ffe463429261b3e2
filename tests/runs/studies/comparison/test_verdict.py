"""Verdict on a comparison, for every shape that it can have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from nlptl.evaluation.arm_scores import ArmScores
from nlptl.runs.studies.comparison.arm_costs import ArmCost
from nlptl.runs.studies.comparison.comparison import ArmFacts, ComparisonResult
from nlptl.runs.studies.comparison.comparison_rows import ComparisonRow
from nlptl.runs.studies.comparison.judged_comparison import judged_result, typical_cost

REGIMES = {"most frequent label": "most_frequent", "frozen encoder": "frozen", "LoRA": "lora", "full": "full"}
LIMITS = "Differences hold for all pairs together (95 %) and speak of these labels and texts alone."


def compared(
    right: Mapping[str, Sequence[int]], seconds: Mapping[str, float], *, texts: int, seeds: int = 3, first: str = ""
) -> ComparisonResult:
    """Return the result of arms that are right on the first so many texts, under each seed."""
    truth = np.arange(texts) % 2
    predicted = np.array(
        [[np.where(np.arange(texts) < count, truth, 1 - truth) for count in counts] for counts in right.values()]
    )
    scores = ArmScores(truth, predicted[:, :seeds], np.arange(texts), 2)
    facts = tuple(
        ArmFacts(
            name=name,
            regime=REGIMES.get(name, ""),
            cost=ArmCost(seconds=seconds[name], holds_start=name == first),
            is_own=name == "the pipeline as written",
        )
        for name in right
    )
    return judged_result(tuple(right), scores, test="test.csv", judged="", facts=facts, left_out={}, belongs_to={})


def test_better_and_not_distinguishable() -> None:
    found = compared(
        {"frozen encoder": [120] * 3, "LoRA": [160] * 3, "full": [158] * 3},
        {"frozen encoder": 1.0, "LoRA": 10.0, "full": 60.0}, texts=200,
    )  # fmt: skip
    pair = next(one for one in found.results[0].pairs if {one.first, one.second} == {"frozen encoder", "LoRA"})
    assert pair.accuracy.low is not None
    assert pair.accuracy.high is not None
    apart = f"20.0 [{100 * pair.accuracy.low:.1f}, {100 * pair.accuracy.high:.1f}]"
    accuracy = found.results[0].accuracies[1]
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert found.sentence == (
        f"LoRA is right most often: in 80.0 % [{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}] of 200 texts. "
        f"LoRA is better than frozen encoder by {apart} points. "
        f"Full is not distinguishable from LoRA and takes 6 × the time. {LIMITS}"
    )


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("LoRA", ". The time of LoRA holds the start of nlptl, so no other is compared with it."),
        ("full", "; frozen encoder is the quickest: LoRA takes 10 × its time. The time of full holds the start of nlptl, so no "
         "other is compared with it."),
        ("", "; frozen encoder is the quickest: LoRA takes 10 × its time."),
    ],
)  # fmt: skip
def test_the_time_of_the_first_training_is_not_compared(first: str, told: str) -> None:
    right = {"frozen encoder": [159] * 3, "LoRA": [160] * 3, "full": [158] * 3}
    found = compared(right, {"frozen encoder": 1.0, "LoRA": 10.0, "full": 60.0}, texts=200, first=first)
    assert found.sentence.partition(" of 200 texts. ")[2] == (
        f"Frozen encoder and full are not distinguishable from LoRA{told} {LIMITS}"
    )


def test_the_first_training_counts_only_where_there_is_no_other() -> None:
    costs = [ArmCost(seconds=9.0, holds_start=True), ArmCost(seconds=1.0), ArmCost(seconds=2.0)]
    row = ComparisonRow(arm="a", seed=0, test="t", accuracy=1.0, texts="0", correct="1", identity="i")
    rows = [row.model_copy(update={"cost": cost}) for cost in costs]
    assert typical_cost(rows) == ArmCost(seconds=1.5)
    assert typical_cost(rows[:1]) == costs[0]


def test_the_best_is_better_than_every_other() -> None:
    found = compared(
        {"most frequent label": [40], "LoRA": [190]}, {"most frequent label": 0.0, "LoRA": 2.0}, texts=200, seeds=1
    )
    assert "It is better than most frequent label by 75.0 [" in found.sentence
    assert found.sentence.endswith("alone; each arm was trained once, so chance in training is hardly covered.")
    found = compared(
        {"most frequent label": [40] * 2, "frozen encoder": [90] * 2, "LoRA": [190] * 2},
        {"most frequent label": 0.0, "frozen encoder": 1.0, "LoRA": 2.0}, texts=200, seeds=2,
    )  # fmt: skip
    assert "It is better than every other arm; the nearest, frozen encoder, is 50.0 [" in found.sentence
    assert "each arm was trained twice" in found.sentence


def test_arms_that_tie() -> None:
    found = compared({"LoRA": [70] * 3, "full": [70] * 3}, {"LoRA": 1.0, "full": 1.2}, texts=100)
    assert found.sentence.startswith("LoRA and full are right equally often: in 70.0 % [")
    assert "Full is not distinguishable from LoRA. Differences" in found.sentence
    assert "better" not in found.sentence


def test_a_quicker_arm_that_is_as_good() -> None:
    found = compared({"LoRA": [71] * 3, "frozen encoder": [70] * 3}, {"LoRA": 30.0, "frozen encoder": 2.0}, texts=100)
    assert "Frozen encoder is not distinguishable from LoRA; LoRA takes 15 × its time." in found.sentence


def test_a_name_that_begins_with_from_is_read_aloud() -> None:
    found = compared({"from scratch": [71] * 3, "LoRA": [70] * 3}, {"from scratch": 1.0, "LoRA": 1.0}, texts=100)
    assert "LoRA is not distinguishable from training from scratch." in found.sentence


def test_a_baseline_that_nothing_beats() -> None:
    seconds = {"most frequent label": 0.0, "LoRA": 30.0}
    found = compared({"most frequent label": [60] * 3, "LoRA": [62] * 3}, seconds, texts=100)
    assert "So nothing is shown to beat the baseline most frequent label." in found.sentence
    found = compared({"most frequent label": [62] * 3, "LoRA": [60] * 3}, seconds, texts=100)
    assert "LoRA is not distinguishable from most frequent label." in found.sentence
    assert "Most frequent label is a baseline: nothing dearer is shown to pay here." in found.sentence


@pytest.mark.parametrize(("texts", "told"), [(1, "1 text is"), (19, "19 texts are")])
def test_few_texts_show_nothing(texts: int, told: str) -> None:
    found = compared({"LoRA": [texts], "full": [0]}, {"LoRA": 1.0, "full": 1.0}, texts=texts, seeds=1)
    assert found.sentence == (f"{told} too few for an interval, so no difference is shown. Judge on 20 texts or more.")


def test_many_arms_are_counted_and_the_pipeline_is_named() -> None:
    right = {f"good {number}": [180 + number] * 3 for number in range(7)}
    right |= {f"bad {number}": [60 + number] * 3 for number in range(3)} | {"the pipeline as written": [50] * 3}
    found = compared(right, dict.fromkeys(right, 1.0), texts=200)
    assert "good 6 is better than the pipeline as written by 68.0 [" in found.sentence
    assert ", bad 2 by 62.0 [" in found.sentence
    assert ", and than 2 others." in found.sentence
    assert "good 5, good 4, good 3, good 2 and 2 others are not distinguishable from good 6." in found.sentence
