"""What can be fitted, and the sentences about what cannot."""

from __future__ import annotations

import pytest
import torch

from nlptl.errors import DataError
from nlptl.finetuning.linear import LabelledVectors


def test_everything_is_float64() -> None:
    vectors = LabelledVectors.of(torch.zeros(2, 3), torch.tensor([0, 1]), 2)
    more = vectors.with_prototypes(torch.ones(1, 3), torch.tensor([1]), weight=0.5)
    assert more.rows.dtype == more.weights.dtype == torch.float64
    assert more.weights.tolist() == [1.0, 1.0, 0.5]
    assert more.label_weights().tolist() == [1.0, 1.5]
    assert vectors.can_be_held_out().tolist() == [False, False]
    assert more.can_be_held_out().tolist() == [False, True]


def test_copies_weigh_as_often_as_they_stand() -> None:
    rows, labels = torch.zeros(3, 2), torch.tensor([0, 1, 1])
    vectors = LabelledVectors.of(rows, labels, 2, copies=torch.tensor([3, 1, 2]))
    assert vectors.label_weights().tolist() == [3.0, 3.0]
    assert vectors.can_be_held_out().tolist() == [False, True, True]  # with all its copies


WRONG = [
    (torch.zeros(2, 3), torch.tensor([0, 2]), 2, "vectors: labels are torch.int64 from 0 to 2; expected whole numbers "
     "from 0 to 1. Give the ids of the label set."),
    (torch.zeros(2, 3), torch.tensor([0.0, 1.0]), 2, "vectors: labels are torch.float32 from 0.0 to 1.0; expected whole "
     "numbers from 0 to 1. Give the ids of the label set."),
    (torch.zeros(2, 3), torch.tensor([0]), 2, "vectors: found shape (2, 3) with labels (1,); expected (rows, dimensions) "
     "with one label a row and at least one row. Give a matrix and its labels."),
    (torch.tensor([[0.0], [float("nan")]]), torch.tensor([0, 1]), 2, "vectors: row 1 holds a number that is not finite. "
     "Check the encoder that made it."),
    (torch.zeros(2, 3), torch.tensor([0, 0]), 1, "labels: found 1 in all; a head needs at least two. Give more labels."),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "labels", "count", "sentence"), WRONG)
def test_wrong_rows_are_refused(rows: torch.Tensor, labels: torch.Tensor, count: int, sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        LabelledVectors.of(rows, labels, count)
    assert str(caught.value) == sentence


def test_a_label_without_a_row_is_refused() -> None:
    vectors = LabelledVectors.of(torch.zeros(2, 3), torch.tensor([0, 2]), 3)
    with pytest.raises(DataError) as caught:
        vectors.label_weights()
    assert str(caught.value) == (
        "labels: label 1 of 3 has neither an example nor a prototype; every label needs one. Add an example or a "
        "prototype of it, or leave the label out."
    )


def test_wrong_prototypes_are_refused() -> None:
    vectors = LabelledVectors.of(torch.zeros(2, 3), torch.tensor([0, 1]), 2)
    with pytest.raises(DataError) as caught:
        vectors.with_prototypes(torch.zeros(1, 3), torch.tensor([0]), weight=0)
    assert str(caught.value) == "prototypes: weight is 0; expected a finite number above 0. Correct the weight."
    with pytest.raises(DataError) as caught:
        vectors.with_prototypes(torch.zeros(1, 4), torch.tensor([0]), weight=1)
    assert str(caught.value) == (
        "prototypes: found 4 dimensions where the examples have 3. Encode both with the same encoder."
    )
    with pytest.raises(DataError, match=r"^prototypes: labels are torch.int64 from 5 to 5"):
        vectors.with_prototypes(torch.zeros(1, 3), torch.tensor([5]), weight=1)
