"""Evenly spaced texts of a table, by which a large one is judged."""

from __future__ import annotations

from nlptl.data.table import TextTable


def sample(table: TextTable, count: int) -> list[str]:
    """Return at most `count` texts of a table, evenly spaced."""
    step = max(1, -(-len(table) // count))
    found, start = list[str](), 0
    for texts in table.batches(1_000):
        found += texts[-start % step :: step]
        start += len(texts)
    return found
