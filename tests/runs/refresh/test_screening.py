"""Screening: which new rows are kept from training, and what is told of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from nlptl.context import RunContext
from nlptl.data import TextData, TextTable
from nlptl.data.row_checks import RowPlace
from nlptl.runs.refresh.given_rows import GivenRows
from nlptl.runs.refresh.known_rows import KnownRows
from nlptl.runs.refresh.quarantine import Quarantined
from nlptl.runs.refresh.screening import Screening

SAME_LABEL = "It is the same as a known row with this label, or nearly."
JUDGES = "It is the same as a row by which classifiers are judged, or nearly."
ENGLISH = [
    f"This is one of the {thing} that we have and it was on the {place} for all of you"
    for thing in ("dogs", "cats", "cars", "books", "lamps", "trees")
    for place in ("table", "roof", "street", "hill")
]


def screened(
    new: list[tuple[str, str]], *, known: list[tuple[str, str]], test: list[tuple[str, str]] | None = None
) -> dict[int, Quarantined]:
    """Screen trusted rows beside known ones; no classifier is asked."""
    data = TextData(labelled=_lists(known), test=None if test is None else _lists(test))
    table = TextTable.from_lists(*_lists(new), name="more.csv")
    given = GivenRows(table, tuple(RowPlace("more.csv", row + 2) for row in range(len(new))), (), ())
    return Screening(KnownRows(Path(), cast(Any, None), data, RunContext()), given, trusted=True).quarantined()


def _lists(rows: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [text for text, _ in rows], [label for _, label in rows]


KNOWN = [("the quick brown fox jumps over the lazy dog today", "good"), ("six wet owls", "bad"), ("a", "bad")]


def test_copies_of_known_rows_are_kept_out() -> None:
    found = screened(
        [
            ("six wet owls", "bad"),
            ("The quick brown fox jumps over the lazy dog today!", "good"),
            ("seven dry owls", "bad"),
        ],
        known=KNOWN,
    )
    assert found == {0: Quarantined("copy", SAME_LABEL), 1: Quarantined("copy", SAME_LABEL)}


def test_rows_that_contradict_known_ones_are_kept_out() -> None:
    found = screened([("six wet owls", "good")], known=KNOWN)
    assert found == {
        0: Quarantined("contradiction", "The text of a known row is the same or nearly, with the label bad.")
    }


def test_rows_that_judge_are_never_learnt_whatever_their_label() -> None:
    text = "one two three four five six seven eight nine ten"
    found = screened([(f"{text}.", "good"), (text, "bad")], known=KNOWN, test=[(text, "good")])
    assert found == {0: Quarantined("kept row", JUDGES), 1: Quarantined("kept row", JUDGES)}


def test_of_equal_new_rows_the_first_is_used() -> None:
    found = screened([("new words", "good"), ("new words", "good")], known=KNOWN)
    assert found == {1: Quarantined("copy", "It is the same as row 2 of more.csv.")}


def test_new_rows_that_contradict_one_another_are_all_kept_out() -> None:
    found = screened([("new words", "good"), ("new words", "bad"), ("others", "bad")], known=KNOWN)
    assert found == {
        0: Quarantined("contradiction", "The text of row 3 of more.csv is the same or nearly, with the label bad."),
        1: Quarantined("contradiction", "The text of row 2 of more.csv is the same or nearly, with the label good."),
    }


def test_a_new_row_that_agrees_with_a_known_one_is_a_copy_beside_one_that_does_not() -> None:
    found = screened([("six wet owls", "bad"), ("six wet owls", "good")], known=KNOWN)
    assert {row: one.reason for row, one in found.items()} == {0: "contradiction", 1: "contradiction"}


def test_a_flood_of_near_copies_counts_once() -> None:
    text = "buy the wonderful red shoes of our shop now and save a lot of money for your next"
    found = screened([(f"{text} {word}", "good") for word in ("trip", "car", "house", "dog")], known=KNOWN)
    told = "It is one of 4 texts that are nearly the same as row 2 of more.csv."
    assert found == {row: Quarantined("near-copies", told) for row in (1, 2, 3)}


def test_two_near_copies_may_both_be_learnt() -> None:
    text = "buy the wonderful red shoes of our shop now and save a lot of money for your next"
    assert screened([(f"{text} {word}", "good") for word in ("trip", "car")], known=KNOWN) == {}


def test_rows_in_another_language_are_kept_out() -> None:
    known = [(text, "good") for text in ENGLISH]
    german = "Das ist nicht die Stadt, in der ich mit dem Hund und der Katze auf dem Berg war"
    found = screened([(german, "bad"), ("This is what we have and it is not for you or the cat", "bad")], known=known)
    assert found == {0: Quarantined("language", "It is in German; the known rows are in English.")}


def test_no_language_is_odd_where_that_of_known_rows_is_not_clear() -> None:
    german = "Das ist nicht die Stadt, in der ich mit dem Hund und der Katze auf dem Berg war"
    assert screened([(german, "bad")], known=KNOWN) == {}
