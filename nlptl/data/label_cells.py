"""Cells that hold several labels: split by a separator, or lists as JSON lines, parquet files and Python have them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import accumulate

from nlptl.data.label_spelling import stripped
from nlptl.data.row_checks import RawRows, is_label_list, is_missing

_CLOSING = {"[": "]", "(": ")", "{": "}", "'": "'", '"': '"'}
_MOST_PAIRS = 4  # that are removed, one within the other; a cell of brackets alone would cost the square of its length


def split_cell(cell: str, separator: str) -> list[str]:
    """Return the labels of a cell without outer blanks, and without brackets and quotes around all of it; none for "[]".

    A bracket or quote that belongs to a name stays: "refund (partial)" is one label.
    """
    return [label for part in _unenclosed(cell).split(separator) if (label := _unenclosed(part))]


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
    if not isinstance(label, str):
        return label if is_label_list(label) else [label]
    if separator is not None:
        return split_cell(label, separator)
    return [label] if _unenclosed(label) else []


def _unenclosed(written: str) -> str:
    """Return what is written without outer blanks and the pairs of brackets and quotes that enclose all of it."""
    found = stripped(written)
    for _ in range(_MOST_PAIRS):
        found = stripped(found[1:-1]) if _is_enclosed(found) else found
    return found


def _is_enclosed(written: str) -> bool:
    """Return whether the last sign closes the first one; quotes of a kind do not nest."""
    closing = _CLOSING.get(written[:1])
    if closing is None or len(written) < 2 or written[-1] != closing:
        return False
    if closing == written[0]:
        return closing not in written[1:-1]
    depths = [*accumulate((sign == written[0]) - (sign == closing) for sign in written[:-1])]
    return all(depths) and depths[-1] == 1
