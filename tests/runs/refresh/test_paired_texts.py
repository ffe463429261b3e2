"""Which of two versions is used: by all texts together, and by each part alone."""

from __future__ import annotations

import numpy as np
import pytest

from nlptl.runs.refresh.paired_texts import Decision, Paired, PairedTexts, Part, decided


def texts(part: Part, *, gained: int, lost: int, same: int, variance: float = 1.0) -> PairedTexts:
    """Return texts of which some are newly right, some newly wrong, and the rest right in both."""
    before = np.array([0.0] * gained + [1.0] * (lost + same))
    after = np.array([1.0] * gained + [0.0] * lost + [1.0] * same)
    return PairedTexts(part, before, after, variance)


def decision(*parts: PairedTexts, margin: float = 0.02, per_label: float = 1.0) -> Decision:
    return decided(Paired(parts), margin=margin, per_label=per_label)


def test_a_version_that_wins_is_used() -> None:
    found = decision(texts("kept", gained=30, lost=5, same=165))
    assert found == Decision(True, "The new version is better: +12 [+7, +18] points, at worst +7.7 (one-sided, 95 %).")


def test_a_version_that_is_not_shown_to_be_worse_than_the_margin_is_used() -> None:
    found = decision(texts("kept", gained=5, lost=5, same=990))
    assert found == Decision(
        True, "The new version is not worse by more than 2 points: +0 [-1, +1] points, at worst -0.5 (one-sided, 95 %)."
    )


def test_too_few_texts_leave_the_old_version_in_use_and_tell_how_many_labels_might_settle_it() -> None:
    found = decision(texts("new", gained=2, lost=2, same=36), per_label=0.5)
    assert found == Decision(
        False, "The new version may be worse by more than 2 points: +0 [-10, +10] points, at worst -8.8 (one-sided, 95 %).",
        "About 1,460 more labels might settle it, if the difference stays as it is.",
    )  # fmt: skip


def test_a_part_that_lost_keeps_the_old_version_whatever_the_others_gain() -> None:
    """Poison that flips new labels alike wins on the new rows, and loses on the kept ones."""
    found = decision(texts("new", gained=200, lost=0, same=100), texts("kept", gained=0, lost=20, same=180))
    assert not found.used
    assert found.why == "On the rows that were kept for judging alone the new version is worse, -10 [-14, -6] points."
    assert found.settle == "More labels of this kind are not expected to change that. Look at the new rows."


def test_a_small_loss_of_a_part_does_not_outweigh_a_gain() -> None:
    assert decision(texts("new", gained=60, lost=0, same=40), texts("kept", gained=0, lost=8, same=992)).used


def test_a_version_that_is_about_as_bad_as_the_margin_is_not_settled_by_more_labels() -> None:
    found = decision(texts("new", gained=0, lost=2, same=96))
    assert found.settle == (
        "More labels of this kind are not expected to settle it: the difference is near what is permitted, or beyond."
    )


def test_nothing_decides_without_a_text() -> None:
    assert decision() == Decision(
        False, "No text is unknown to both versions, so nothing shows that the new one is not worse.",
        "Give a few more labels of other texts.",
    )  # fmt: skip


def test_trainings_that_share_texts_tell_less() -> None:
    alone, shared = (
        Paired((texts("new", gained=10, lost=2, same=88, variance=variance),)) for variance in (1.0, 7 / 3)
    )
    one, other = alone.difference(), shared.difference()
    assert one is not None
    assert other is not None
    assert other.error == pytest.approx(one.error * (7 / 3) ** 0.5)
    assert alone.after is not None
    assert shared.after is not None
    assert alone.after.low is not None
    assert shared.after.low is not None
    assert shared.after.low < alone.after.low


def test_copies_of_a_text_count_once() -> None:
    found = PairedTexts.of("new", ["a", "a", "b"], [True, True, False], [True, False, True])
    assert found.before.tolist() == [1.0, 0.0]
    assert found.after.tolist() == [0.5, 1.0]
