"""Connections of a socket that several workers share."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from nlptl.interfaces.server.accepting import MANY, WorkerLoads
from nlptl.interfaces.server.app import create_app
from nlptl.interfaces.server.graceful_server import GracefulServer, graceful_server
from nlptl.interfaces.server.loaded_model import LoadedModel
from nlptl.interfaces.server.running import listening_socket
from tests.interfaces.server.serving import ByRule


def test_each_worker_has_about_as_many_connections() -> None:
    counts = [0, 0, MANY]  # the third one has ended
    app = create_app({"m": LoadedModel(ByRule(("a", "b")), "1")})
    with listening_socket("127.0.0.1", 0) as bound, contextlib.ExitStack() as stack:
        servers: list[GracefulServer] = []
        for place in range(2):
            ready = threading.Event()
            servers.append(
                graceful_server(app, grace=1, connections=999, when_ready=ready.set, loads=WorkerLoads(counts, place))
            )
            threading.Thread(target=servers[-1].run, args=([bound.dup()],), daemon=True).start()
            assert ready.wait(20)
        for _ in range(60):
            stack.enter_context(socket.create_connection(bound.getsockname(), timeout=10))
        ends = time.monotonic() + 10
        while sum(found := [len(one.server_state.connections) for one in servers]) < 60 and time.monotonic() < ends:
            time.sleep(0.01)
        for one in servers:
            one.should_exit = True
    assert sum(found) == 60
    assert min(found) >= 25, found


def test_a_worker_waits_for_those_with_clearly_fewer() -> None:
    assert [WorkerLoads([own, 10, MANY], 0).is_others_turn() for own in (5, 13, 14)] == [False, False, True]
