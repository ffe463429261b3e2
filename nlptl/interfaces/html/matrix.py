"""Confusion matrix of a page: many labels fold to those that are confused most."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from nlptl.interfaces.html.charts import level
from nlptl.interfaces.html.visible import named

MAX_LABELS = 10  # that a small screen shows side by side
FEW_LABELS = 4  # up to which a cell has room for its share
MAX_PAIRS = 12
LEVELS = 5


@dataclasses.dataclass(frozen=True)
class Cell:
    """Texts of one label, or of a group of labels, that were given another."""

    key: str
    count: int
    level: int  # of its shade
    kind: Literal["right", "wrong", "mixed"]  # mixed between labels that share a row
    told: str
    share: str  # of its row, where there is room for it

    @property
    def short(self) -> str:
        """The count in at most four characters, for a small screen."""
        return str(self.count) if self.count < 1_000 else f"{self.count / 1_000:.0f}k"


@dataclasses.dataclass(frozen=True)
class Pair:
    """Label that was taken for another."""

    key: str
    true: str
    said: str
    count: int
    of: int  # texts of the true label


@dataclasses.dataclass(frozen=True)
class Matrix:
    """Confusion matrix as it is shown, rows by true label."""

    names: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    totals: tuple[int, ...]
    folded: int  # labels that share the last row and column
    pairs: tuple[Pair, ...]  # the most frequent confusions of all labels

    @property
    def opens(self) -> int:
        """Number of cells with a text."""
        return sum(bool(cell.count) for row in self.rows for cell in row)


def matrix_of(labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> tuple[Matrix, list[int]]:
    """Return the matrix, and the row of each label in it."""
    group = _groups(confusion)
    size = max(group, default=-1) + 1
    counts = [[0] * size for _ in range(size)]
    for true, row in enumerate(confusion):
        for said, count in enumerate(row):
            counts[group[true]][group[said]] += count
    folded = len(labels) - MAX_LABELS + 1 if len(labels) > MAX_LABELS else 0
    own = sorted((place, label) for place, label in zip(group, labels, strict=True) if not folded or place < size - 1)
    names = [named(label) for _, label in own] + [f"{folded} other labels"] * bool(folded)
    rows = [
        tuple(_cell(true, said, row, names, is_group=bool(folded) and true == size - 1) for said in range(size))
        for true, row in enumerate(counts)
    ]
    return Matrix(tuple(names), tuple(rows), tuple(map(sum, counts)), folded, _pairs(labels, confusion)), group


def _groups(confusion: Sequence[Sequence[int]]) -> list[int]:
    """Return the row of each label: its own in the given order, or the last one for labels that are confused least."""
    count = len(confusion)
    if count <= MAX_LABELS:
        return list(range(count))
    wrong = [
        sum(confusion[place]) + sum(row[place] for row in confusion) - 2 * confusion[place][place]
        for place in range(count)
    ]
    kept = sorted(sorted(range(count), key=lambda place: (-wrong[place], place))[: MAX_LABELS - 1])
    return [kept.index(place) if place in kept else MAX_LABELS - 1 for place in range(count)]


def _cell(true: int, said: int, row: Sequence[int], names: Sequence[str], *, is_group: bool) -> Cell:
    count, total = row[said], sum(row)
    texts = f"{count} text{'s' * (count != 1)}"
    told = f"{texts} of {names[true]}, predicted {names[said]}"
    kind: Literal["right", "wrong", "mixed"] = "wrong" if true != said else "mixed" if is_group else "right"
    share = count / total if total else 0.0
    shown = f"{100 * share:.0f} %" if len(names) <= FEW_LABELS else ""
    return Cell(f"{true}-{said}", count, level(share, LEVELS), kind, told, shown)


def _pairs(labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> tuple[Pair, ...]:
    found = sorted(
        ((-count, true, said) for true, row in enumerate(confusion) for said, count in enumerate(row)
         if count and true != said),
    )[:MAX_PAIRS]  # fmt: skip
    return tuple(
        Pair(f"p{true}-{said}", named(labels[true]), named(labels[said]), -count, sum(confusion[true]))
        for count, true, said in found
    )
