"""Cells that hold several labels: split by a separator, or lists as JSON lines, parquet files and Python have them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator

from nlptl.data.label_spelling import stripped
from nlptl.data.row_checks import RawRows, is_label_list, is_missing


def split_cell(cell: str, separator: str) -> list[str]:
    """Return the labels of a cell without outer blanks, brackets and quotes; none for "[]"."""
    inner = re.sub(r"^[\[({]|[\])}]$", "", stripped(cell))
    parts = (stripped(part) for part in inner.split(separator))
    return [bare for part in parts if (bare := stripped(part.strip("'\"")))]


def rows_of_sets(rows: Iterable[RawRows], *, separator: str | None, empty_is_none: bool) -> Iterator[RawRows]:
    """Yield rows with each label as a list; a cell without a separator is a list of one.

    An empty cell stays as it is, or is an empty list if `empty_is_none`.
    """
    for found in rows:
        labels = found.labels
        if labels is not None:
            labels = [as_list(label, separator, empty_is_none=empty_is_none) for label in labels]
        yield dataclasses.replace(found, labels=labels, label_sets=labels is not None)


def as_list(label: object, separator: str | None, *, empty_is_none: bool = False) -> object:
    """Return the label of a row as a list; None for an empty cell, or an empty list if `empty_is_none`."""
    if is_missing(label) or (isinstance(label, str) and not stripped(label)):
        return [] if empty_is_none else None
    if isinstance(label, str):
        return [label] if separator is None else split_cell(label, separator)
    return label if is_label_list(label) else [label]
