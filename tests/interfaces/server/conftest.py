"""What the tests of the server share: localhost, which the other tests may not reach."""

from __future__ import annotations

import socket
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _localhost(_no_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets reach 127.0.0.1, and nothing else."""
    refuse = socket.socket.connect
    connect = super(socket.socket, socket.socket).connect  # of the C class, below what is patched

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family == socket.AF_INET and address[0] == "127.0.0.1":
            connect(self, address)
        else:
            refuse(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
