"""GracefulServer: uvicorn's server, which ends as asked: no request in hand is lost, and the exit code is 0."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Generator
from typing import Any

from uvicorn import Config, Server

from nlptl.interfaces.server.accepting import Acceptor, WorkerLoads
from nlptl.interfaces.server.patient_protocol import PatientProtocol

KEEP_ALIVE = 65  # seconds that an idle connection stays open: longer than most clients keep theirs
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class GracefulServer(Server):
    """Server that tells when it is ready, and finishes what is in hand at SIGTERM and Ctrl-C."""

    def __init__(self, config: Config, *, loads: WorkerLoads | None, when_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._loads, self._when_ready = loads, when_ready
        self._acceptors: list[Acceptor] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup([])  # uvicorn would accept all that waits at once
        self._acceptors = [Acceptor(one, self._loads, connected=self._connected) for one in sockets or []]
        for acceptor in self._acceptors:
            acceptor.start()
        self._when_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, and end when all requests in hand are answered, or the grace is over."""
        for acceptor in self._acceptors:
            acceptor.close()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Note how many connections there are, ten times a second."""
        if self._loads is not None:
            self._loads.note(len(self.server_state.connections))
        return await super().on_tick(counter)

    async def _connected(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(
            lambda: PatientProtocol(self.config, self.server_state, self.lifespan.state), connection
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take the signals while the server runs. uvicorn would send them to this process once more at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)


def graceful_server(
    app: Any, *, grace: float, connections: int, when_ready: Callable[[], None], loads: WorkerLoads | None = None
) -> GracefulServer:
    """Return a server of an application, to be run on a bound socket. `grace` is in seconds."""
    config = Config(
        app, http=PatientProtocol, ws="none", lifespan="on", log_config=None, log_level="critical", access_log=False,
        server_header=False, timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=max(1, round(grace)),
        limit_concurrency=connections,
    )  # fmt: skip
    return GracefulServer(config, loads=loads, when_ready=when_ready)
