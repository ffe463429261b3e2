"""Tests outside a run's own data: their texts are kept out of training, and examples are redrawn from a pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from nlptl.data.leaks import occurs_in, text_hashes
from nlptl.data.shots import draw_shots
from nlptl.data.table import TextTable
from nlptl.data.text_data import TextData, check_known_labels
from nlptl.errors import DataError


def without_texts_of(data: TextData, tests: Sequence[TextTable], *, drop: bool = True) -> TextData:
    """Return `data` without the rows whose text occurs in one of `tests`; with `drop=False` all rows stay.

    Raises DataError if a test has a label that the examples lack, or if nothing is left of a part.
    """
    held_out = np.concatenate([text_hashes(test) for test in tests])
    kept: dict[str, TextTable | None] = {}
    for part in ("unlabelled", "source", "labelled", "validation"):
        table = kept[part] = getattr(data, part)
        if table is not None and drop:
            leaky = occurs_in(text_hashes(table), held_out)
            if leaky.all():
                raise DataError(f"{table.name}: all {len(table)} rows also occur in the test texts. Add other rows.")
            kept[part] = table.keep(~leaky) if leaky.any() else table
    known = kept["labelled"] or kept["source"] or data.label_names
    if known is not None:
        for test in tests:
            check_known_labels(test, known, place=test.row_place)
    return TextData.of_tables(kept, data.label_names)


def rows_not_in(table: TextTable, other: TextTable) -> TextTable | None:
    """Return the rows of `table` whose text does not occur in `other`, or None if there are none."""
    new = ~occurs_in(text_hashes(table), text_hashes(other))
    return table.keep(new) if new.any() else None


def redraw(pool: TextTable, *, like: TextData, seed: int) -> tuple[TextTable, TextTable]:
    """Draw from `pool` as many examples of each label as the rarest of `like.labelled` has. Return them and the rest."""
    if like.labelled is None:
        raise DataError("redraw: data.labelled is not set, which says how many examples to draw. Set it.")
    drawn = draw_shots(pool, min(Counter(like.labelled.labels()).values()), seed)
    if len(drawn) == len(pool):
        raise DataError(
            f"{pool.name}: all {len(pool)} rows would be drawn for training, which leaves none for the test. "
            "Add rows, or remove `redraw`."
        )
    return drawn, pool.keep(~occurs_in(text_hashes(pool), text_hashes(drawn)))
