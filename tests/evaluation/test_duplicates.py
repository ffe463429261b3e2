"""Duplicate groups of labelled texts."""

from __future__ import annotations

from nlptl.evaluation.duplicates import duplicate_groups


def test_a_group_has_the_same_text_and_label() -> None:
    found = duplicate_groups(["a", "b", "a", "a", "c", "b"], [0, 0, 0, 1, 1, 0])
    assert found.first.tolist() == [0, 1, 3, 4]
    assert found.owner.tolist() == [0, 1, 0, 2, 3, 1]
    assert found.copies.tolist() == [2, 2, 1, 1]
    assert found.rows_of(found.owner[[5, 3]]).tolist() == [1, 3, 5]


def test_without_duplicates_every_row_is_its_own_group() -> None:
    found = duplicate_groups(["a", "b"], ["x", "x"])
    assert found.first.tolist() == found.owner.tolist() == [0, 1]
