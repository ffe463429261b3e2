"""Batches computed side by side: each of torch's threads takes one alone."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import torch
from torch import Tensor

_STARTING = threading.Lock()  # held while torch's number of threads, which belongs to the process, is another one


def thread_count() -> int:
    """Return the number of torch's threads, which other threads that start workers meanwhile do not change."""
    with _STARTING:
        return torch.get_num_threads()


def side_by_side(
    compute: Callable[[list[int]], Tensor], batches: Iterable[list[int]], *, apart: bool
) -> Iterator[tuple[list[int], Tensor]]:
    """Yield each batch with the result of `compute`, in order. With `apart`, each of torch's threads computes one alone.

    Threads then do not wait for one another at every operation: 5 to 8 % more tokens a second on two cores, equal results.
    `compute` must not change what it shares, and must set its own inference mode, which is per thread.
    """
    threads = thread_count()
    if not apart or threads == 1:
        yield from ((batch, compute(batch)) for batch in batches)
        return
    pool, listed = _workers(threads, os.getpid()), list(batches)
    found = [pool.submit(compute, batch) for batch in listed]
    try:
        yield from zip(listed, (result.result() for result in found), strict=True)
    finally:
        for result in found:
            result.cancel()
        wait(found)


@functools.cache
def _workers(threads: int, process: int) -> ThreadPoolExecutor:
    """Return workers that compute on one thread each. All start at once, then torch's number of threads is put back.

    They are kept, since starting them changes that number for a moment, and belong to a `process`, which a fork leaves.
    """
    pool = ThreadPoolExecutor(threads, initializer=_compute_alone)
    all_started = threading.Barrier(threads)
    with _STARTING:
        try:
            list(pool.map(lambda _: all_started.wait(), range(threads)))
        except BaseException:  # the system gives no more threads, or the user has stopped it
            all_started.abort()
            pool.shutdown(wait=False)
            raise
        finally:
            torch.set_num_threads(threads)
    return pool


def _compute_alone() -> None:
    """Let this thread compute on one thread. Asked first, torch does not give it the number of new threads later."""
    torch.get_num_threads()
    torch.set_num_threads(1)
