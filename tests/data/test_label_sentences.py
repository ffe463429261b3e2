"""Labels as words: what says something and what does not."""

from __future__ import annotations

import pytest

from nlptl.data import LabelNames
from nlptl.data.label_sentences import TEMPLATES, label_sentences, spoken


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("positive", "positive"),
        ("Refund_not_showing_up", "Refund not showing up"),
        ("not-offensive", "not offensive"),
        ("Sci/Tech", "Sci Tech"),
        ("SciTech", "Sci Tech"),
        ("ABBR", "ABBR"),
        ("喜", "喜"),
        ("0", None),
        ("-1", None),
        ("A", None),
        ("LABEL_3", None),
        ("label 3", None),
        ("***", None),
    ],
)
def test_a_label_as_words(label: str, words: str | None) -> None:
    assert spoken(label) == words


def test_names_that_are_given_stand_before_the_labels_own() -> None:
    found = label_sentences(["0", "1"], LabelNames.of({"0": "dull", "1": "fun"}), templates=["This is {}.", "{}!"])
    assert found.texts == ("This is dull.", "This is fun.", "dull!", "fun!")
    assert found.labels == (0, 1, 0, 1)


def test_one_label_that_says_nothing_leaves_all_sentences_out() -> None:
    assert len(label_sentences(["positive", "1"])) == 0
    found = label_sentences(["positive", "1"], LabelNames.of({"1": "negative"}))
    assert found.texts[:2] == ("This is positive.", "This is negative.")
    assert len(found) == 2 * len(TEMPLATES)
