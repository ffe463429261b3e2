"""Accepting connections of a socket that several workers share, so that each has about as many.

A connection stays with the worker that has accepted it. Left alone, the worker that the system wakes first takes all that
wait: 31 of 32.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, MutableSequence
from dataclasses import dataclass
from typing import Any

MANY = 2**30  # connections of a worker that has ended, so that nobody waits for it
SLACK, SLACK_SHARE = 2, 0.1  # connections that a worker may have more than another: so many, and so much of the other's
PAUSE = 0.005  # seconds that it leaves to the others then
BACKLOG = 2_048
REFUSED_PAUSE = 0.1  # seconds after which a system that had no file left is asked again


@dataclass(frozen=True)
class WorkerLoads:
    """Connections of each worker, in memory that all share."""

    counts: MutableSequence[int]
    own: int  # place of this worker

    def note(self, connections: int) -> None:
        """Note how many this worker has."""
        self.counts[self.own] = connections

    def is_others_turn(self) -> bool:
        """Say whether another worker has clearly fewer."""
        least = min(self.counts)
        return self.counts[self.own] > least + SLACK + SLACK_SHARE * least


class Acceptor:
    """Accepts one connection after another, and lets other workers go first where they have fewer."""

    def __init__(
        self,
        bound: socket.socket,
        loads: WorkerLoads | None,
        *,
        connected: Callable[[socket.socket], Coroutine[Any, Any, Any]],
    ) -> None:
        self._bound, self._loads, self._connected = bound, loads, connected
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Begin to listen."""
        self._bound.setblocking(False)
        self._bound.listen(BACKLOG)
        self._loop.add_reader(self._bound.fileno(), self._readable)

    def close(self) -> None:
        """Accept no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._bound.fileno() >= 0:
            self._loop.remove_reader(self._bound.fileno())
            self._bound.close()

    def _readable(self) -> None:
        if self._loads is not None and self._loads.is_others_turn():
            self._wait(PAUSE)
        else:
            self._accept()

    def _wait(self, seconds: float) -> None:
        """Accept one connection later, if it is still there."""
        self._loop.remove_reader(self._bound.fileno())
        self._timer = self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._loop.add_reader(self._bound.fileno(), self._readable)
        self._accept()

    def _accept(self) -> None:
        try:
            connection, _ = self._bound.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):  # another worker was first, or it has gone
            return
        except OSError:  # too many open files
            self._wait(REFUSED_PAUSE)
            return
        connection.setblocking(False)
        if self._loads is not None:
            self._loads.note(self._loads.counts[self._loads.own] + 1)
        task = self._loop.create_task(self._connected(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
