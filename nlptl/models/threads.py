"""Batches computed in parallel on a CPU, one thread each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(compute: Callable[[T], R], items: Iterable[T], *, apart: bool) -> Iterator[tuple[T, R]]:
    """Yield each item with the result of `compute`, in order.

    With `apart`, each of torch's threads computes an item alone. Threads then do not wait for one another at every
    operation, which gives 5 to 8 % more tokens a second on two cores, with equal results. `compute` must not change what
    it shares. It must set its own inference mode, which is per thread.
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
            torch.set_num_threads(threads)  # the workers have lowered the default of new threads
