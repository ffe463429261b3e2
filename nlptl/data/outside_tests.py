"""Tests outside a run's own data: their texts are kept out of training, and examples are redrawn from a pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlptl.data.data_settings import DataSettings, Source
from nlptl.data.label_checks import check_known_labels
from nlptl.data.labelled_parts import spelt_as
from nlptl.data.leaks import occurs_in, text_hashes
from nlptl.data.load import ReadPart, read_one
from nlptl.data.shots import draw_shots
from nlptl.data.table import TextTable
from nlptl.data.text_data import TextData
from nlptl.errors import DataError


@dataclass(frozen=True)
class OutsideTest:
    """Test outside a run's own data, as it was read."""

    read: ReadPart

    @property
    def table(self) -> TextTable:
        """The labelled rows."""
        return self.read.table

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences on how it is read, where that is not the plain default."""
        return self.read.remarks

    def row_place(self, index: int) -> str:
        """Return the place of row `index` (counted from 0) in its source, such as "test.csv:17"."""
        return self.read.places([index])[0]


def read_outside(source: Source, *, settings: DataSettings, where: str) -> OutsideTest:
    """Read a labelled test by `settings`. DataError tells its faults, at the YAML path `where`."""
    return OutsideTest(read_one(source, settings=settings, labelled=True, where=where))


def spelt_as_in(data: TextData, table: TextTable) -> TextTable:
    """Return a table whose labels are named as in `data` where they are only spelt otherwise."""
    known = data.labelled or data.source or data.label_names
    if known is None:
        return table
    labels = known.label_counts() if isinstance(known, TextTable) else known.labels()
    return spelt_as(table, [*labels, *data.labels_without_rows])


def without_texts_of(data: TextData, tests: Sequence[TextTable | OutsideTest], *, drop: bool = True) -> TextData:
    """Return `data` without the rows whose text occurs in one of `tests`; with `drop=False` all rows stay.

    Raises DataError if a test has a label that the examples lack, or if nothing is left of a part.
    """
    tables = [test.table if isinstance(test, OutsideTest) else test for test in tests]
    held_out = np.concatenate(list(map(text_hashes, tables)))
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
        for test, table in zip(tests, tables, strict=True):
            check_known_labels(table, known, data.label_names, place=test.row_place)
    return TextData.of_tables(kept, data.label_names, separator=data.separator)


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
