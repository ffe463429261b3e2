"""Few-shot draw: the same number of rows of each label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from nlptl.data.table import TextTable
from nlptl.errors import DataError

_NONE = ""  # stands for the rows to which no label applies


def draw_shots(table: TextTable, shots: int, seed: int) -> TextTable:
    """Draw `shots` rows of each label, in the table's order. Raises DataError for a label with fewer rows.

    With the same seed, a smaller draw is part of every larger one: learning curves grow by adding rows. Where rows have
    several labels, each label gets `shots` at least, and so do the rows without any, as far as there are some.
    """
    counts = table.label_counts()
    fewest = min(sorted(counts), key=counts.__getitem__)
    if counts[fewest] < shots:
        rows = "1 row" if counts[fewest] == 1 else f"{counts[fewest]} rows"
        raise DataError(
            f"{table.name}: the label {fewest!r} has only {rows}, but shots is {shots}. Add rows, or set shots to at most "
            f"{counts[fewest]}."
        )
    generator = np.random.default_rng(seed)
    if table.has_label_sets:
        return table.select(np.sort(_drawn_sets(table.label_sets(), shots, generator)))
    labels = np.asarray(table.labels(), dtype=np.object_)
    names = np.unique(labels)
    drawn = [generator.permutation(np.flatnonzero(labels == name))[:shots] for name in names]
    return table.select(np.sort(np.concatenate(drawn)))


def _drawn_sets(sets: Sequence[tuple[str, ...]], shots: int, generator: np.random.Generator) -> list[int]:
    """Return row numbers in rounds: each gives every label that lacks one a row, the rarest label first."""
    order = generator.permutation(len(sets)).tolist()
    kinds = [labels or (_NONE,) for labels in sets]
    counts = Counter(label for labels in kinds for label in labels)
    waiting = {label: iter([row for row in order if label in kinds[row]]) for label in counts}
    drawn, found = dict[int, None](), Counter[str]()
    for shot in range(1, shots + 1):
        for label in sorted(counts, key=lambda one: (counts[one], one)):
            if found[label] < min(shot, counts[label]):
                row = next(row for row in waiting[label] if row not in drawn)
                drawn[row] = None
                found.update(kinds[row])
    return list(drawn)
