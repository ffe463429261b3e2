"""Texts held out of training for tests that are not part of a run's own data; examples drawn anew from a pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np

from nlptl.data.leaks import stands_in, text_hashes
from nlptl.data.shots import draw_shots
from nlptl.data.table import TextTable
from nlptl.data.text_data import TextData, check_known_labels
from nlptl.errors import DataError


def without_texts_of(data: TextData, tests: Sequence[TextTable], *, drop: bool = True) -> TextData:
    """Return `data` less every row of pile, source, examples and validation that stands in one of `tests`.

    With `drop` false all rows stay and only the labels are checked.

    Raises DataError when a test has a label that the examples lack, or when nothing is left of a part.
    """
    held_out = np.concatenate([text_hashes(test) for test in tests])
    kept: dict[str, TextTable | None] = {}
    for part in ("unlabelled", "source", "labelled", "validation"):
        table: TextTable | None = getattr(data, part)
        if table is not None and drop:
            leaky = stands_in(text_hashes(table), held_out)
            if leaky.all():
                raise DataError(
                    f"{table.name}: all {len(table)} rows stand in the test texts too; expected others. Add other rows."
                )
            table = table.keep(~leaky) if leaky.any() else table
        kept[part] = table
    known = kept["labelled"] or kept["source"] or data.label_names
    if known is not None:
        for test in tests:
            check_known_labels(test, known, place=partial(_row_of, test))
    return TextData(**kept, label_names=data.label_names)


def _row_of(table: TextTable, row: int) -> str:
    return f"{table.name}, row {row + 1}"


def rows_not_in(table: TextTable, other: TextTable) -> TextTable | None:
    """Return the rows of `table` whose text does not stand in `other`; None when there are none."""
    new = ~stands_in(text_hashes(table), text_hashes(other))
    return table.keep(new) if new.any() else None


def redraw(pool: TextTable, *, like: TextData, seed: int) -> tuple[TextTable, TextTable]:
    """Draw from `pool` as many examples a label as the rarest label of `like.labelled` has; return them and the rest."""
    if like.labelled is None:
        raise DataError("redraw: found no labelled examples to be alike; expected some. Give data.labelled.")
    shots = min(Counter(like.labelled.labels()).values())
    drawn = draw_shots(pool, shots, seed)
    if len(drawn) == len(pool):
        raise DataError(
            f"{pool.name}: all {len(pool)} rows would be drawn to learn from and none be left to test on; expected more. "
            "Add rows, or drop redraw."
        )
    return drawn, pool.keep(~stands_in(text_hashes(pool), text_hashes(drawn)))
