"""Few-shot draw: the same number of rows of each label."""

from __future__ import annotations

import numpy as np

from nlptl.data.table import TextTable
from nlptl.errors import DataError


def draw_shots(table: TextTable, shots: int, seed: int) -> TextTable:
    """Draw `shots` rows of each label, in the table's order. Raises DataError for a label with fewer rows.

    With the same seed, a smaller draw is part of every larger one: learning curves grow by adding rows.
    """
    labels = np.asarray(table.labels(), dtype=np.object_)
    names, counts = np.unique(labels, return_counts=True)
    fewest = int(counts.argmin())
    if counts[fewest] < shots:
        rows = "1 row" if counts[fewest] == 1 else f"{counts[fewest]} rows"
        raise DataError(
            f"{table.name}: the label {str(names[fewest])!r} has only {rows}, but shots is {shots}. Add rows, or set shots to "
            f"at most {counts[fewest]}."
        )
    generator = np.random.default_rng(seed)
    drawn = [generator.permutation(np.flatnonzero(labels == name))[:shots] for name in names]
    return table.select(np.sort(np.concatenate(drawn)))
