"""Gate of self-training: whether the pile is of the kind of the labelled texts.

On piles of another kind a student loses up to thirty points, on piles of the same kind hardly any. Labelled texts tell the
two apart well, also where they are too few to compare classifiers on: see benchmarks/NOTES.md.

Shapes: n labelled texts, P texts of the pile, D dimension.
"""

from __future__ import annotations

from torch import Tensor

from nlptl.pretraining.views.space import Space

PILE_TEXTS = 500  # of the pile that are compared; more change little
MAX_SEPARATION = 0.75
"""Area under the ROC curve from which the pile counts as another kind. On training rows of ten sets it lay between .31 and .63 for
piles of the labelled texts' own set (30 draws of 8 labels each), and between .82 and 1 for those of another set (270 pairs)."""
DIRECTIONS, SHRINKAGE = 30, 0.1


def separation(labelled: Tensor, pile: Tensor) -> float:
    """Return how well labelled texts (n, D) can be told from the pile (P, D), n ≥ 2: an area under the ROC curve.

    0.5 is not at all, 1 always. Each labelled text is scored by a linear discriminant of the others (leave one out).
    """
    space = Space.of(pile, directions=DIRECTIONS, power=1.0, shrinkage=SHRINKAGE)
    own, others = space(labelled), space(pile)
    directions = (own.sum(dim=0) - own) / (len(own) - 1) - others.mean(dim=0)  # (n, R), one for each text left out
    scores = (own * directions).sum(dim=1)
    return float((scores[:, None] > directions @ others.T).double().mean())
