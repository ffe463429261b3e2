"""Texts that are audited: all parts of the data one after another, with their labels and places.

Shapes: N rows of all parts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import digest_of
from nlptl.data import TextData, TextTable
from nlptl.data.load import LoadedData
from nlptl.data.row_checks import RowPlace
from nlptl.data.rows_without_text import RowsWithoutText, rows_without_text

PARTS = ("labelled", "validation", "test", "source", "unlabelled")
TESTS = ("test", "validation")
NO_LABEL = -1

Rows = NDArray[np.int64]
Places = Callable[[str, Sequence[int]], list[RowPlace]]


@dataclasses.dataclass(frozen=True)
class AuditedTexts:
    """Rows of all parts of the data, numbered from 0 part by part."""

    tables: dict[str, TextTable]
    places_of: Places = dataclasses.field(repr=False)  # of rows of a part
    without_text: RowsWithoutText | None = None  # that were left out; None where such rows are refused

    @classmethod
    def of(cls, data: TextData | LoadedData) -> AuditedTexts:
        """Return the texts of data: of what was loaded, with the rows of its files."""
        given = data.data if isinstance(data, LoadedData) else data
        tables = {part: table for part in PARTS if (table := getattr(given, part)) is not None}
        if isinstance(data, LoadedData):
            skips = any(part.settings.empty_text == "skip" for part in data.parts.values())
            return cls(tables, data.places, rows_without_text(data.parts) if skips else None)

        def numbered(part: str, rows: Sequence[int]) -> list[RowPlace]:
            numbers = tables[part].numbers
            return [RowPlace(tables[part].name, row + 1 if numbers is None else int(numbers[row])) for row in rows]

        return cls(tables, numbered)

    def __len__(self) -> int:
        return sum(map(len, self.tables.values()))

    @cached_property
    def texts(self) -> list[str]:
        """All texts (N)."""
        return [text for table in self.tables.values() for text in table.texts()]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Labels that rows have, sorted; none where a text may have several."""
        found = {label for table in self.tables.values() if self._has_one_label(table) for label in table.labels()}
        return tuple(sorted(found))

    @cached_property
    def labels(self) -> Rows:
        """Place (N,) of each row's label among `names`; -1 of a row without one."""
        position = {name: place for place, name in enumerate(self.names)}
        parts = [
            np.fromiter((position[label] for label in table.labels()), np.int64, len(table))
            if self._has_one_label(table)
            else np.full(len(table), NO_LABEL)
            for table in self.tables.values()
        ]
        return np.concatenate([*parts, np.zeros(0, np.int64)])

    @cached_property
    def first_of(self) -> Rows:
        """First row (N,) with the same text."""
        known: dict[str, int] = {}
        return np.fromiter((known.setdefault(text, row) for row, text in enumerate(self.texts)), np.int64, len(self))

    @cached_property
    def part_of(self) -> NDArray[np.int64]:
        """Place (N,) of each row's part among the tables."""
        return np.repeat(np.arange(len(self.tables)), [len(table) for table in self.tables.values()])

    @cached_property
    def is_held_out(self) -> NDArray[np.bool_]:
        """Whether each row (N,) is one of a test or of validation, from which nothing may learn."""
        held_out = np.array([part in TESTS for part in self.tables], dtype=np.bool_)
        return np.asarray(held_out[self.part_of])

    @property
    def has_label_sets(self) -> bool:
        """Whether a text may have several labels."""
        return any(table.has_label_sets for table in self.tables.values())

    @property
    def digests(self) -> dict[str, str]:
        """Digest of each part."""
        return {part: table.digest for part, table in self.tables.items()}

    @property
    def digest(self) -> str:
        """Digest of all parts."""
        return digest_of(self.digests)

    def label(self, row: int) -> str:
        """Return the label of a row; empty where it has none."""
        place = int(self.labels[row])
        return "" if place == NO_LABEL else self.names[place]

    def part(self, row: int) -> str:
        """Return the name of a row's part."""
        return list(self.tables)[int(self.part_of[row])]

    def places(self, rows: Sequence[int]) -> dict[int, RowPlace]:
        """Return where rows stand in the files, which are read again."""
        found: dict[int, RowPlace] = {}
        begin = 0
        for part, table in self.tables.items():
            own = sorted({row for row in rows if begin <= row < begin + len(table)})
            if own:
                found |= dict(zip(own, self.places_of(part, [row - begin for row in own]), strict=True))
            begin += len(table)
        return found

    @staticmethod
    def _has_one_label(table: TextTable) -> bool:
        return table.has_labels and not table.has_label_sets
