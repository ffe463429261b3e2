"""What the tests of the pages share."""

from __future__ import annotations

import pytest

from tests.interfaces.commands import Shell
from tests.interfaces.conftest import browser

__all__ = ["browser"]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)
