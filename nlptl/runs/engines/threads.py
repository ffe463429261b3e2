"""Threads of a worker: as many as its share of the machine's cores, whatever computes."""

from __future__ import annotations

import os

NAMES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")


def use_threads(count: int) -> None:
    """Let this process compute on `count` threads. Libraries that load later find the number in the environment."""
    os.environ.update(dict.fromkeys(NAMES, str(count)))


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
