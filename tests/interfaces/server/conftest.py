"""What the tests of the server share: localhost, which the other tests may not reach."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _localhost(localhost: None) -> None:
    """Let sockets reach 127.0.0.1, and nothing else."""
