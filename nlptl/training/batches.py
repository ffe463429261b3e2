"""Index batches: shuffled, cut by a token budget, sorted by length, balanced by label, shared among processes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from nlptl.training.token_budgets import token_budget_batches

BATCHES_PER_POOL = 16  # batches whose texts are sorted by length together: more pad less, fewer mix better


def share_of_rows(rows: Tensor, process: int, processes: int) -> tuple[Tensor, float]:
    """Return a process's share of the rows (B,), every n-th, and its weight. One without rows gets the first at weight 0."""
    part = rows[process::processes]
    return (part, processes * len(part) / len(rows)) if len(part) else (rows[:1], 0.0)


def shuffled_batches(rows: int, *, batch_size: int, generator: torch.Generator) -> Iterable[Tensor]:
    """Return the batches (B,) of one epoch in a fresh random order. The last may be smaller."""
    order = torch.randperm(rows, generator=generator)
    return (order[begin : begin + batch_size] for begin in range(0, rows, batch_size))


def batch_size_for(rows: int) -> int:
    """Return rows / 32 as a power of two within 8 to 256, so that small data gets enough steps."""
    return 1 << min(8, max(3, (rows // 32).bit_length() - 1))


def most_epochs_for(rows: int, batch_size: int, *, steps: int = 400, least: int = 20, most: int = 400) -> int:
    """Return the epochs that make `steps` optimiser steps, within `least` and `most`."""
    return max(least, min(most, -(-steps // -(-rows // batch_size))))


def label_batches(labels: Tensor, *, batch_size: int, steps: int, generator: torch.Generator) -> list[Tensor]:
    """Return the rows (B,) of each step: equally many of each label, at least two.

    A step takes some of the labels, in turn, if `batch_size` is too small for all: its cost is the same for any data.
    """
    rows = [_Cycle(torch.nonzero(labels == label).flatten().tolist(), generator) for label in torch.unique(labels)]
    order = _Cycle(list(range(len(rows))), generator)
    at_once = max(1, min(len(rows), batch_size // 2))
    each = max(2, batch_size // at_once)
    return [
        torch.tensor([row for label in order.take(at_once) for row in rows[label].take(each)]) for _ in range(steps)
    ]


class _Cycle:
    """Items in random order, each once before any repeats."""

    def __init__(self, items: list[int], generator: torch.Generator) -> None:
        self._items, self._generator, self._queue = items, generator, list[int]()

    def take(self, count: int) -> list[int]:
        """Return the next `count` items, all different, or as many as there are."""
        count = min(count, len(self._items))
        if len(self._queue) < count:
            order = torch.randperm(len(self._items), generator=self._generator).tolist()
            shuffled = [self._items[i] for i in order]
            first = [item for item in shuffled if item not in self._queue][: count - len(self._queue)]
            self._queue += first + [item for item in shuffled if item not in first]  # the new round holds every item
        taken, self._queue = self._queue[:count], self._queue[count:]
        return taken


def length_sorted_batches(lengths: Tensor, *, budget: int) -> list[Tensor]:
    """Return batches (B,) of at most `budget` tokens, shortest texts first. Ties keep their order."""
    order = torch.argsort(lengths, stable=True)
    return [order[rows.start : rows.stop] for rows in token_budget_batches(lengths[order].tolist(), budget=budget)]


def shuffled_length_batches(lengths: Tensor, *, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """Return the batches of one epoch in random order: texts of similar length together, about equally many tokens.

    Rows are shuffled, cut into pools of `BATCHES_PER_POOL` batches, and sorted by length within a pool. The token budget
    is that of `batch_size` texts of mean length. B varies around `batch_size`: weight losses by B / batch_size.
    """
    order = torch.randperm(len(lengths), generator=generator)
    budget = max(1, round(batch_size * float(lengths.double().mean())))
    pools = torch.split(order, batch_size * BATCHES_PER_POOL)
    batches = [pool[rows] for pool in pools for rows in length_sorted_batches(lengths[pool], budget=budget)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
