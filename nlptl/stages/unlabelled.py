"""The pile: the texts that a stage learns from without labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlptl.data import TextData, TextTable
from nlptl.context import RunContext
from nlptl.stages.stage import Part

PILE: tuple[Part, ...] = ("unlabelled", "source", "labelled")  # whose texts may form a pile; labels are not read


def pile_parts(data: TextData, *, learns: bool, include_labelled: bool) -> frozenset[Part]:
    """Return the parts of `data` that form a pile. None unless the stage learns."""
    wanted = PILE if include_labelled else PILE[:1]
    return frozenset(part for part in wanted if learns and getattr(data, part) is not None)


def pile_tables(data: TextData, parts: frozenset[Part]) -> list[TextTable]:
    """Return the tables of a pile. A repeated text is kept in its first table."""
    from nlptl.data import rows_not_in

    pile: list[TextTable] = []
    for part in PILE:
        new: TextTable | None = getattr(data, part) if part in parts else None
        for other in pile:
            new = None if new is None else rows_not_in(new, other)
        pile += [] if new is None else [new]
    return pile


def drawn_texts(tables: Sequence[TextTable], count: int, *, seed: int) -> list[str]:
    """Return at most `count` texts of a pile, drawn at random, in its order."""
    import numpy as np

    ends = np.cumsum([0, *map(len, tables)])
    rows = np.sort(np.random.default_rng(seed).permutation(ends[-1])[:count])
    parts = zip(tables, np.split(rows, np.searchsorted(rows, ends[1:-1])), ends[:-1], strict=True)
    return [text for table, some, begin in parts for text in table.select(some - begin).texts()]


def watched(tables: Sequence[TextTable], name: str, context: RunContext, *, arrays: bool = False) -> Iterator[Any]:
    """Yield the tables' texts in lists, or in Arrow string arrays, and advance the context's progress."""
    with context.progress.task(name, total=sum(map(len, tables)), unit="texts") as task:
        for table in tables:
            for batch in (rows.column("text") for rows in table.record_batches()) if arrays else table.batches():
                yield batch
                task.advance(len(batch))
