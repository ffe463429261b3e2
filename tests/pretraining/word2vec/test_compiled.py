"""Compiled functions where numba may keep nothing on disk."""

from __future__ import annotations

import pytest
from numba.core import caching

from nlptl.training.compiled import kept_njit


def test_without_a_folder_for_numbas_cache_functions_are_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR") as caught:

        @kept_njit(nogil=True)
        def doubled(number: int) -> int:
            return 2 * number

    assert str(caught[0].message) == (
        "numba's cache of compiled code cannot be written, so that every process compiles anew, for some seconds. "
        "Set NUMBA_CACHE_DIR to a folder that you may write."
    )
    assert doubled(4) == 8
