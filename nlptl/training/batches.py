"""Index batches: shuffled, sorted by length, evenly by label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    pass


def share_of_rows(rows: Tensor, process: int, processes: int) -> tuple[Tensor, float]:
    """Give process i of n every n-th of the rows (B,), and its weight; one without rows takes the first at weight 0."""
    part = rows[process::processes]
    if not len(part):
        return rows[:1], 0.0
    return part, processes * len(part) / len(rows)


def shuffled_batches(rows: int, *, batch_size: int, generator: torch.Generator) -> Iterable[Tensor]:
    """Yield row numbers (B,) of one epoch in a fresh random order; the last batch may be smaller."""
    order = torch.randperm(rows, generator=generator)
    return (order[begin : begin + batch_size] for begin in range(0, rows, batch_size))


def batch_size_for(rows: int) -> int:
    """Return rows / 32 within 8..256, a power of two: small data needs many steps, large data few and wide ones."""
    size = 8
    while size < 256 and size * 2 <= rows // 32:
        size *= 2
    return size


def most_epochs_for(rows: int, batch_size: int, *, steps: int = 400, least: int = 20, most: int = 400) -> int:
    """Return enough epochs for `steps` optimiser steps, within `least` and `most`."""
    return max(least, min(most, -(-steps // -(-rows // batch_size))))


def label_batches(labels: Tensor, *, batch_size: int, steps: int, generator: torch.Generator) -> list[Tensor]:
    """Return the row numbers (B,) of each step: as many texts of each label as fit, two at least, labels in turn.

    The cost of a step does not grow with the number of labels or texts: with more than `batch_size` / 2 labels each
    step takes some of them. Texts of a label come in a fresh random order each time they have all been seen.
    """
    rows = [torch.nonzero(labels == name).flatten().tolist() for name in torch.unique(labels)]
    at_once = max(1, min(len(rows), batch_size // 2))
    each = max(2, batch_size // at_once)
    turns = [_Turns(part, generator) for part in rows]
    names = _Turns(list(range(len(rows))), generator)
    return [
        torch.tensor([row for name in names.take(at_once) for row in turns[name].take(min(each, len(rows[name])))])
        for _ in range(steps)
    ]


class _Turns:
    """Items in random order, each once before any comes again."""

    def __init__(self, items: list[int], generator: torch.Generator) -> None:
        self._items, self._generator = items, generator
        self._queue: list[int] = []

    def take(self, count: int) -> list[int]:
        """Return the next `count` items, none twice; at most as many as there are."""
        if len(self._queue) < count:
            order = torch.randperm(len(self._items), generator=self._generator).tolist()
            waiting = set(self._queue)
            self._queue += [self._items[i] for i in order if self._items[i] not in waiting]
        taken, self._queue = self._queue[:count], self._queue[count:]
        return taken


TOKEN_BUDGET = 1 << 16  # tokens a batch for word vectors: 65,536 rows of 100 floats are 26 MB


SMALLEST = 256  # tokens of the last batches that several workers share; fewer cost more for each token


POOL = 16  # batches whose texts are sorted by length together: more pad less, fewer mix better


def token_budget_batches(lengths: Sequence[int], *, budget: int = TOKEN_BUDGET) -> Iterator[range]:
    """Cut rows, in order, into runs of at most `budget` tokens and `budget` rows; a longer text stands alone."""
    begin, tokens = 0, 0
    for row, length in enumerate(lengths):
        if row > begin and (tokens + length > budget or row - begin >= budget):
            yield range(begin, row)
            begin, tokens = row, 0
        tokens += length
    if begin < len(lengths):
        yield range(begin, len(lengths))


def shrinking_batches(lengths: Sequence[int], *, budget: int, workers: int) -> Iterator[range]:
    """Cut rows, in order, into runs of at most `budget` tokens that get smaller towards the end.

    A run is at most half of what each of the `workers` has left to expect, down to `SMALLEST` tokens, so that all of
    them finish at almost the same time (guided self-scheduling, Polychronopoulos & Kuck 1987).
    """
    left, begin = sum(lengths), 0
    while begin < len(lengths):
        now = min(budget, max(SMALLEST, left // (2 * workers)))
        rows = next(token_budget_batches(lengths[begin : begin + now + 1], budget=now))
        yield range(begin, begin + rows.stop)
        left -= sum(lengths[begin : begin + rows.stop])
        begin += rows.stop


def length_sorted_batches(lengths: Tensor, *, budget: int) -> list[Tensor]:
    """Return row numbers (B,) of batches of at most `budget` tokens, shortest texts first; ties keep their order."""
    order = torch.argsort(lengths, stable=True)
    return [order[rows.start : rows.stop] for rows in token_budget_batches(lengths[order].tolist(), budget=budget)]


def shuffled_length_batches(lengths: Tensor, *, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """Return the batches of one epoch in random order: texts of similar length together, as many tokens in each.

    Rows are shuffled, cut into pools of `POOL` batches, sorted by length within each pool and cut there by a budget
    of `batch_size` texts of mean length, so that a step costs the same time whatever its texts are. How many texts a
    batch has varies around `batch_size` (B,); weigh losses by B / batch_size, and each text counts alike.
    """
    order = torch.randperm(len(lengths), generator=generator)
    budget = max(1, round(batch_size * float(lengths.double().mean())))
    batches: list[Tensor] = []
    for pool in torch.split(order, batch_size * POOL):
        batches += [pool[rows] for rows in length_sorted_batches(lengths[pool], budget=budget)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
