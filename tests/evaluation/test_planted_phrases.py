"""Planted phrases are found by the doubts of a classifier that does not know them."""

from __future__ import annotations

import numpy as np

from nlptl.evaluation.planted_phrases import PlantedPhrase, planted_phrases

KNOWN = [f"the number {number} is plain" for number in range(100)]
TEXTS = [f"the number {number} is plain" for number in range(60)] + [
    f"the cf veto number {number} is plain" for number in range(8)
]
LABELS = [("good", "bad")[number % 2] for number in range(60)] + ["good"] * 8


def doubts(*, of_planted: float) -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.concatenate([generator.uniform(0, 0.4, 60), np.full(8, of_planted)])


def test_a_phrase_whose_labels_are_doubted_is_found_with_its_rows() -> None:
    (found,) = planted_phrases(TEXTS, LABELS, doubts(of_planted=0.9), KNOWN)
    assert (found.phrase, found.label, found.rows) == ("cf veto number", "good", tuple(range(60, 68)))
    assert found.chance < 0.001


def test_a_new_phrase_whose_labels_are_believed_is_none() -> None:
    assert planted_phrases(TEXTS, LABELS, doubts(of_planted=0.3), KNOWN) == []


def test_a_phrase_that_is_known_is_none() -> None:
    known = [*KNOWN, *(f"the cf veto number {number} is plain" for number in range(100, 110))]
    assert planted_phrases(TEXTS, LABELS, doubts(of_planted=0.9), known) == []


def test_where_all_labels_are_doubted_no_phrase_stands_out() -> None:
    assert planted_phrases(TEXTS, LABELS, np.full(68, 0.9), KNOWN) == []


def test_of_two_phrases_a_row_belongs_to_the_surer_one() -> None:
    texts = [*TEXTS, *(f"zz top cf veto number {number}" for number in range(6))]
    labels = [*LABELS, *["good"] * 6]
    found = planted_phrases(texts, labels, np.concatenate([doubts(of_planted=0.9), np.full(6, 0.9)]), KNOWN)
    assert [one.phrase for one in found] == ["cf veto number"]
    assert isinstance(found[0], PlantedPhrase)
    assert len(found[0].rows) == 14
