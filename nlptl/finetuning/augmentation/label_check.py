"""Label check: keep the new texts that a classifier gives the label of their original.

Shapes: B texts, K labels.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.finetuning.augmentation.augmenter import Augmented

Score = Callable[[list[str]], NDArray[np.floating]]  # probabilities (B, K), such as TextClassifier.predict_proba


@dataclasses.dataclass(frozen=True)
class LabelCheck:
    """Result of the label check."""

    kept: Augmented  # new texts that keep their label
    dropped: Mapping[str, int]  # number of dropped texts, by kind
    checked: Mapping[str, int]  # number of checked texts, by kind

    def sentence(self) -> str:
        """Tell how many texts of each kind were dropped."""
        told = ", ".join(f"{self.dropped[kind]} of {total} by {kind}" for kind, total in self.checked.items())
        total, of = sum(self.dropped.values()), sum(self.checked.values())
        return f"The label check dropped {total} of {of} new texts" + (f" ({told})." if told else ".")


def keep_label(
    augmented: Augmented, texts: Sequence[str], score: Score, *, labels: Sequence[int | None] | None = None,
    least: float = 0.5,
) -> LabelCheck:  # fmt: skip
    """Keep new texts to which `score` gives the label of their original with at least `least`.

    `labels` are the columns of the original `texts`; one without a label takes its own most probable column.
    """
    if not len(augmented):
        return LabelCheck(augmented, {}, {})
    label = {row: None if labels is None else labels[row] for row in sorted(set(augmented.rows))}
    unknown = [row for row, known in label.items() if known is None]
    if unknown:
        before = score([texts[row] for row in unknown])
        label.update(zip(unknown, before.argmax(axis=1).tolist(), strict=True))
    after = score(list(augmented.texts))
    wanted = np.array([label[row] for row in augmented.rows])
    keeps = (after.argmax(axis=1) == wanted) & (after[np.arange(len(wanted)), wanted] >= least)
    checked = Counter(augmented.kinds)
    gone = Counter(kind for kind, kept in zip(augmented.kinds, keeps, strict=True) if not kept)
    return LabelCheck(augmented.where(keeps.tolist()), {kind: gone[kind] for kind in checked}, dict(checked))
