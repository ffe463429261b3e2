"""Batches computed side by side, one a thread, by libraries that let go of Python's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def each_alone(
    compute: Callable[[list[int]], T], batches: Sequence[list[int]], *, threads: int
) -> Iterator[tuple[list[int], T]]:
    """Yield each batch with the result of `compute`, in order; each of the threads computes one alone."""
    if threads == 1 or len(batches) == 1:
        yield from ((batch, compute(batch)) for batch in batches)
        return
    with ThreadPoolExecutor(threads) as pool:
        found = [pool.submit(compute, batch) for batch in batches]
        try:
            yield from zip(batches, (result.result() for result in found), strict=True)
        finally:
            for result in found:
                result.cancel()
