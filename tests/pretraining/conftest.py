"""One thread for tiny encoders: handing parts of tiny operations to a second costs more than it saves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nlptl.training.compute import one_thread_if


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread_if(True):
        yield
