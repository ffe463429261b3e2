"""Sentence vectors with labels, and prototypes that join the training alone.

Shapes: n examples, M prototypes, N = n + M rows, D dimension, K labels, F folds. All numbers are float64.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nlptl.errors import DataError
from nlptl.evaluation.held_out import folds_by_content

MIN_LABELS = 2
MIN_WEIGHT = 1e-12  # of a label's remaining rows
NEVER = -1  # the fold of an example that is not held out


@dataclasses.dataclass(frozen=True)
class LabelledVectors:
    """Rows to fit: the examples, then the prototypes. `of` makes and checks them."""

    rows: Tensor  # vectors (N, D), float64
    labels: Tensor  # label ids (N,), int64
    weights: Tensor  # weight of each row (N,). An example counts its copies.
    examples: int  # number n of examples; only these are held out and scored
    label_count: int

    @classmethod
    def of(cls, vectors: Tensor, labels: Tensor, label_count: int, *, copies: Tensor | None = None) -> LabelledVectors:
        """Check vectors (n, D) and label ids (n,) below `label_count`, each with its copies (n,); DataError if unfit."""
        if label_count < MIN_LABELS:
            raise DataError(f"labels: found {label_count} in all; a head needs at least two. Give more labels.")
        _check(vectors, labels, label_count, what="vectors")
        ones = torch.ones(len(labels), dtype=torch.float64, device=vectors.device)
        weights = ones if copies is None else copies.to(ones)
        return cls(vectors.detach().double(), labels.long(), weights, len(labels), label_count)

    def with_prototypes(self, vectors: Tensor, labels: Tensor, *, weight: float) -> LabelledVectors:
        """Add prototypes (M, D), such as vectors of label names, each worth `weight` examples in every fit."""
        if not 0 < weight < float("inf"):
            raise DataError(f"prototypes: weight is {weight:g}; expected a finite number above 0. Correct the weight.")
        _check(vectors, labels, self.label_count, what="prototypes")
        if vectors.shape[1] != self.rows.shape[1]:
            raise DataError(
                f"prototypes: found {vectors.shape[1]} dimensions where the examples have {self.rows.shape[1]}. "
                "Encode both with the same encoder."
            )
        return dataclasses.replace(
            self,
            rows=torch.cat([self.rows, vectors.detach().to(self.rows)]),
            labels=torch.cat([self.labels, labels.to(self.labels)]),
            weights=torch.cat([self.weights, self.weights.new_full((len(labels),), weight)]),
        )

    def balanced(self) -> LabelledVectors:
        """Return the rows with weights under which each label counts the same, and all rows as much as before."""
        sums = self.label_weights()
        factors = sums.sum() / (len(sums) * sums)
        return dataclasses.replace(self, weights=self.weights * factors[self.labels])

    def label_weights(self) -> Tensor:
        """Return the summed weight of each label's rows (K,); DataError if a label has no row."""
        sums = self.weights.new_zeros(self.label_count).index_add(0, self.labels, self.weights)
        if not bool((sums > 0).all()):
            label = int((sums == 0).nonzero()[0])
            raise DataError(
                f"labels: label {label} of {self.label_count} has neither an example nor a prototype; every label needs "
                "one. Add an example or a prototype of it, or leave the label out."
            )
        return sums

    def has_copies(self) -> bool:
        """Return whether an example stands for several rows with the same text."""
        return bool((self.weights[: self.examples] > 1).any())

    def can_be_held_out(self) -> Tensor:
        """Return whether the label of each example (n,) has another row; a head cannot predict an unseen label."""
        rows = torch.bincount(self.labels, minlength=self.label_count)
        return rows[self.labels[: self.examples]] > 1

    def folds(self, *, parts: int, one_out_up_to: int) -> Tensor:
        """Return the fold of each example (n,), from 0; `NEVER` for the only row of a label.

        Up to `one_out_up_to` examples are a fold each. More are dealt to `parts` stratified folds.
        """
        fold = torch.full((self.examples,), NEVER)
        held = self.can_be_held_out().nonzero()[:, 0].cpu()
        if len(held) <= one_out_up_to:
            fold[held] = torch.arange(len(held))
        else:
            rows, labels = (part.cpu()[held].numpy() for part in (self.rows, self.labels))
            fold[held] = torch.from_numpy(folds_by_content(labels, (row.tobytes() for row in rows), parts=parts))
        return fold

    def training_weights(self, fold: Tensor) -> Tensor:
        """Return each row's weight in the training of each fold (F, N); 0 if it is held out.

        The remaining rows of a label share the weight of the held-out ones. Otherwise the label would be rarer in the
        training, and with few examples a strong penalty would look too bad.
        """
        count = int(fold.max()) + 1
        out = torch.zeros(count, len(self.rows), dtype=torch.bool, device=self.rows.device)
        held = (fold >= 0).nonzero()[:, 0]
        out[fold[held], held] = True
        kept = torch.where(out, 0.0, self.weights)
        left = kept @ torch.nn.functional.one_hot(self.labels, self.label_count).to(kept)
        return kept * (self.label_weights() / left.clamp(min=MIN_WEIGHT))[:, self.labels]


def _check(vectors: Tensor, labels: Tensor, label_count: int, *, what: str) -> None:
    if vectors.ndim != 2 or labels.shape != vectors.shape[:1] or not len(labels):
        raise DataError(
            f"{what}: found shape {tuple(vectors.shape)} with labels {tuple(labels.shape)}; expected (rows, dimensions) "
            "with one label a row and at least one row. Give a matrix and its labels."
        )
    if not bool(torch.isfinite(vectors).all()):
        row = int((~torch.isfinite(vectors).all(dim=1)).nonzero()[0])
        raise DataError(f"{what}: row {row} holds a number that is not finite. Check the encoder that made it.")
    if labels.is_floating_point() or int(labels.min()) < 0 or int(labels.max()) >= label_count:
        raise DataError(
            f"{what}: labels are {labels.dtype} from {labels.min().item()} to {labels.max().item()}; expected whole "
            f"numbers from 0 to {label_count - 1}. Give the ids of the label set."
        )
