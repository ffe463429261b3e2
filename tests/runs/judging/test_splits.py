"""Which texts are judged, and how often: tests, folds, copies and rare labels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nlptl.data import TextTable
from nlptl.runs.judging.splits import judged_by_folds, share_to_hold_out


def table(counts: dict[str, int], *, copies: int = 1) -> TextTable:
    texts = [f"{label} text {number}" for label, count in counts.items() for number in range(count)]
    labels = [label for label, count in counts.items() for _ in range(count)]
    return TextTable.from_lists(texts * copies, labels * copies, name="labelled")


@pytest.mark.parametrize(
    ("counts", "share"),
    [
        ({"a": 90, "b": 9}, None),  # 99 texts
        ({"a": 91, "b": 9}, None),  # 9 of a label
        ({"a": 90, "b": 10}, 0.3),
        ({"a": 200, "b": 200}, 0.25),  # 100 texts
        ({"a": 500, "b": 500}, 0.2),
        ({"a": 5_000, "b": 5_000}, 0.1),  # 1,000 texts
    ],
)
def test_the_share_to_hold_out_follows_the_distinct_texts(counts: dict[str, int], share: float | None) -> None:
    assert share_to_hold_out(table(counts, copies=2)) == share


def test_each_text_is_held_out_once_a_repeat_and_never_beside_a_copy() -> None:
    rows = table({"a": 9, "b": 6, "c": 2}, copies=2)
    found = judged_by_folds(rows, seed=3)
    texts = np.array(rows.texts())
    for repeat in range(4):
        splits = [split for split in found.splits if split.repeat == repeat]
        assert Counter(np.concatenate([split.judged for split in splits]).tolist()) == Counter(range(34))
        for split in splits:
            assert not set(texts[split.training]) & set(texts[split.judged])
            assert set(np.array(rows.labels())[split.training]) == {"a", "b", "c"}
    assert (found.texts, found.folds, found.never_held_out) == (17, 4, ())


def test_copies_under_two_labels_are_held_out_together() -> None:
    rows = TextTable.from_lists(["same", "same", "x", "y", "z", "w"], ["a", "b", "a", "a", "b", "b"], name="labelled")
    for split in judged_by_folds(rows, seed=1).splits:
        assert (0 in split.judged) == (1 in split.judged)


def test_the_only_text_of_a_label_is_learnt_and_never_judged() -> None:
    found = judged_by_folds(table({"a": 6, "b": 5, "rare": 1}), seed=0)
    assert found.never_held_out == ("rare",)
    assert found.texts == 11
    assert all(11 in split.training for split in found.splits)


def test_one_text_of_each_label_cannot_be_judged() -> None:
    found = judged_by_folds(table({"a": 1, "b": 1}), seed=0)
    assert (found.splits, found.texts) == ((), 0)
    assert found.how == (
        "No label has two different texts, so nothing can be held out: how good the candidates are is not known."
    )
