"""Which new texts a classifier gives the label of the text they came from.

Shapes: B texts, K labels.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError
from nlptl.finetuning.augmentation.augmenter import Augmented

Score = Callable[[list[str]], NDArray[np.floating]]
"""Probabilities (B, K) of texts, such as TextClassifier.predict_proba."""


@dataclasses.dataclass(frozen=True)
class LabelCheck:
    """What was kept, and how many were dropped."""

    kept: Augmented
    """The new texts that keep their label."""
    dropped: Mapping[str, int]
    """How many were dropped, by kind."""
    checked: Mapping[str, int]
    """How many there were, by kind."""

    def sentence(self) -> str:
        """Tell how many were dropped of each kind."""
        told = ", ".join(f"{self.dropped[kind]} of {total} by {kind}" for kind, total in self.checked.items())
        total, of = sum(self.dropped.values()), sum(self.checked.values())
        return f"The label check dropped {total} of {of} new texts" + (f" ({told})." if told else ".")


def keep_label(
    augmented: Augmented,
    texts: Sequence[str],
    score: Score,
    *,
    labels: Sequence[int | None] | None = None,
    least: float = 0.5,
) -> LabelCheck:
    """Keep new texts whose likeliest label is that of the text they came from, with a probability of at least `least`.

    `texts` are those that were augmented; `labels` their labels, as columns of the scores. Where a label is None, or
    `labels` is, the likeliest label of the text itself stands for it: of such a text `score` cannot tell that it was wrong
    from the start. Raises DataError for scores that are no probabilities of these texts.
    """
    if not len(augmented):
        return LabelCheck(augmented, {}, {})
    label = {row: None if labels is None else labels[row] for row in sorted(set(augmented.rows))}
    unknown = [row for row, known in label.items() if known is None]
    if unknown:
        before = _probabilities(score, [texts[row] for row in unknown])
        label.update(zip(unknown, before.argmax(axis=1).tolist(), strict=True))
    after = _probabilities(score, list(augmented.texts))
    wanted = np.array([label[row] for row in augmented.rows])
    keeps = (after.argmax(axis=1) == wanted) & (after[np.arange(len(wanted)), wanted] >= least)
    checked = Counter(augmented.kinds)
    gone = Counter(kind for kind, kept in zip(augmented.kinds, keeps, strict=True) if not kept)
    return LabelCheck(augmented.where(keeps.tolist()), {kind: gone[kind] for kind in checked}, dict(checked))


def _probabilities(score: Score, texts: list[str]) -> NDArray[np.float64]:
    found = np.asarray(score(texts), dtype=np.float64)
    if (
        found.ndim != 2
        or len(found) != len(texts)
        or found.shape[1] < 2
        or not np.allclose(found.sum(axis=1), 1, atol=1e-3)
    ):
        raise DataError(
            f"label check: found scores of shape {found.shape} for {len(texts)} texts; expected one row of probabilities a "
            "text, summed up to 1, and a column a label. Give a function such as TextClassifier.predict_proba."
        )
    return found
