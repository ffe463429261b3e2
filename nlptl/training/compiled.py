"""Compiled functions that numba keeps on disk, or compiles anew in each process where it may write nowhere."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from numba import njit


def kept_njit(**options: Any) -> Any:
    """Return numba's decorator `njit` with `options` and a cache on disk, where there can be one."""

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # "no locator available": neither the package's folder nor the user's cache can be written
            warnings.warn(
                "numba's cache of compiled code cannot be written, so that every process compiles anew, for some seconds. "
                "Set NUMBA_CACHE_DIR to a folder that you may write.",
                stacklevel=2,
            )
            return njit(**options)(function)

    return compiled
