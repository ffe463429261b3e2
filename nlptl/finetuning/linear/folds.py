"""Which examples are held out together, and how the others are weighed then.

Shapes: n examples, N rows with prototypes, F folds.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from nlptl.finetuning.linear.labelled_vectors import LabelledVectors

NEVER = -1  # the fold of an example that is not held out


def stratified_folds(vectors: LabelledVectors, *, folds: int, one_out_up_to: int) -> Tensor:
    """Return the fold of each example (n,), from 0; `NEVER` for the only row of its label.

    Up to `one_out_up_to` examples each one is a fold of its own. More are dealt to `folds` folds label by label, in an
    order drawn from the numbers of each vector (a hash), so that the order of the rows and a seed change nothing. The
    dealing goes on where the last label stopped, so that folds differ by one example at most.
    """
    fold = torch.full((vectors.examples,), NEVER)
    held = vectors.can_be_held_out().nonzero()[:, 0].tolist()
    if len(held) <= one_out_up_to:
        fold[held] = torch.arange(len(held))
        return fold
    rows = vectors.rows[: vectors.examples].cpu().numpy()
    labels = vectors.labels.tolist()
    order = sorted(held, key=lambda place: (labels[place], hashlib.sha256(rows[place].tobytes()).digest()))
    fold[order] = torch.arange(len(order)) % folds
    return fold


def fold_weights(vectors: LabelledVectors, fold: Tensor, *, smallest: float = 1e-12) -> Tensor:
    """Return the weight of every row in the training of each fold (F, N): 0 where it is held out.

    The rows that remain of a label share the weight of those that left. Otherwise the very label of a held-out example
    would be rarer in its training, which speaks against it: with few examples a strong penalty would then look worse
    than knowing nothing.
    """
    count = int(fold.max()) + 1
    out = torch.zeros(count, len(vectors.rows), dtype=torch.bool, device=vectors.rows.device)
    held = (fold >= 0).nonzero()[:, 0]
    out[fold[held], held] = True
    kept = torch.where(out, 0.0, vectors.weights)
    one_label = torch.nn.functional.one_hot(vectors.labels, vectors.label_count).to(kept)
    left = kept @ one_label
    return kept * (vectors.label_weights() / left.clamp(min=smallest))[:, vectors.labels]
