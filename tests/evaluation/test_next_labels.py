"""Which rows to label next, and whose label may be wrong."""

from __future__ import annotations

import math
import re

import numpy as np

from nlptl.evaluation.label_errors import most_told, suspects
from nlptl.evaluation.next_labels import proposals


def around(direction: int, count: int, *, seed: int) -> np.ndarray:
    vectors = 0.12 * np.random.default_rng(seed).normal(size=(count, 32))
    vectors[:, direction] += 1
    return vectors


def test_a_region_without_labels_comes_first_and_then_what_is_uncertain() -> None:
    pool = np.concatenate([around(0, 30, seed=1), around(1, 10, seed=2)])  # the second region has no labelled text
    probabilities = np.tile([0.9, 0.1], (40, 1))
    probabilities[7] = [0.51, 0.49]
    found = proposals(pool, around(0, 12, seed=3), probabilities, seed=0)
    assert found[0].row >= 30
    assert re.fullmatch(r"none of the \d+ texts of its region is labelled", found[0].why)
    assert next(one for one in found if one.why == "the classifier is unsure").row == 7
    assert {one.why for one in found if one.row < 30 and one.row != 7} == {"the least sure of those left"}
    assert len({one.row for one in found}) == len(found)


def test_near_copies_are_proposed_once_and_never_beside_a_labelled_one() -> None:
    base = around(2, 1, seed=4)
    pool = np.concatenate([np.repeat(base, 5, axis=0), around(3, 6, seed=5)])
    found = proposals(pool, around(4, 3, seed=6), np.full((11, 2), 0.5), seed=0)
    assert sum(one.row < 5 for one in found) == 1
    assert not [one for one in proposals(pool, base, np.full((11, 2), 0.5), seed=0) if one.row < 5]


def test_suspects_are_the_clearest_contradictions_first() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [math.nan, math.nan], [0.05, 0.95]])
    found = suspects(probabilities, [0, 0, 0, 1, 0])
    assert [(one.row, one.predicted) for one in found] == [(4, 1), (1, 1)]


def test_a_tenth_of_the_rows_is_told_within_limits() -> None:
    assert [most_told(rows) for rows in (5, 300, 9_000)] == [10, 30, 100]
