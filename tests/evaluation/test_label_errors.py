"""Label errors: planted ones come first, and judges that know nothing of a row are silent."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nlptl.evaluation.label_errors import joined_judges, neighbours_judge, suspects
from nlptl.evaluation.nearest_rows import NearestRows, nearest_rows
from nlptl.evaluation.regions import regions, unit


def test_judges_are_joined_with_the_shares_of_the_labels_once_and_may_be_silent() -> None:
    head = np.array([[0.8, 0.2], [math.nan, math.nan], [math.nan, math.nan]])
    words = np.array([[0.5, 0.5], [0.9, 0.1], [math.nan, math.nan]])
    found = joined_judges([(1.0, head), (1.0, words)], np.array([0.75, 0.25]))
    odds = 0.8 / 0.2 * 0.5 / 0.5 / (0.75 / 0.25)
    assert found[0] == pytest.approx([odds / (1 + odds), 1 / (1 + odds)])
    assert found[1] == pytest.approx([0.9, 0.1])  # one judge alone
    assert np.isnan(found[2]).all()


def test_judges_that_know_the_shares_alone_say_no_more_together() -> None:
    shares = np.array([[0.9, 0.1]])
    assert joined_judges([(1.0, shares), (1.0, shares), (0.5, shares)], shares[0])[0] == pytest.approx([0.9, 0.1])


def test_the_largest_loss_is_the_first_suspect_and_a_small_lead_is_none() -> None:
    probabilities = np.array([[0.1, 0.2, 0.7], [0.02, 0.49, 0.49], [0.3, 0.4, 0.3], [math.nan] * 3])
    found = suspects(probabilities, [0, 0, 0, 0], lead=0.3)
    assert [(one.row, one.predicted) for one in found] == [(1, 1), (0, 2)]
    assert found[0].lead == pytest.approx(0.47)
    assert len(suspects(probabilities, [0, 0, 0, 0], lead=0.0)) == 3


def test_copies_of_a_row_say_nothing_of_its_label() -> None:
    nearest = NearestRows(np.array([[1, 2], [0, 2], [0, 1], [-1, -1]]), np.ones((4, 2), np.float32))
    found = neighbours_judge(nearest, [0, 1, 0, 1], 2, groups=np.array([0, 0, 2, 3]))
    assert found[0] == pytest.approx([0.95, 0.05])  # the copy with label 1 is not asked
    assert found[3] == pytest.approx([0.5, 0.5])


def test_nearest_rows_are_those_of_brute_force_and_nearly_so_among_regions() -> None:
    vectors = unit(
        np.random.default_rng(0).normal(size=(30, 16)).repeat(20, axis=0)
        + np.random.default_rng(1).normal(size=(600, 16)) / 4
    )
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    expected = np.sort(cosines, axis=1)[:, ::-1][:, :5]
    assert nearest_rows(vectors, 5).cosines == pytest.approx(expected, abs=1e-5)
    among_regions = nearest_rows(vectors, 5, most_compared=100).rows
    exact = nearest_rows(vectors, 5).rows
    recall = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(among_regions.tolist(), exact.tolist(), strict=True)])
    assert recall > 0.9
    pairs, told = nearest_rows(vectors, 5).pairs_above(0.95)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert told == pytest.approx(cosines[pairs[:, 0], pairs[:, 1]], abs=1e-5)


def test_fewer_rows_than_neighbours_leave_places_empty() -> None:
    found = nearest_rows(unit(np.eye(2)), 3)
    assert found.rows.tolist() == [[1, -1, -1], [0, -1, -1]]


def test_regions_without_a_covered_row_come_the_largest_first() -> None:
    vectors = unit(np.repeat(np.eye(4), [6, 3, 2, 1], axis=0) + 0.01)
    found = regions(vectors, 4, seed=0).without(np.array([9]))
    assert [sorted(part.tolist()) for part in found] == [[0, 1, 2, 3, 4, 5], [6, 7, 8], [11]]
