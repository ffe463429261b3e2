"""Several workers: processes that accept connections of one socket, each with the classifiers in its own memory.

A worker that ends is replaced; the connections that it had are lost, those of others and those that wait are not.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from nlptl.disk.drafts import temporary_folder
from nlptl.errors import ConfigError, NlptlError, ProcessError
from nlptl.interfaces.server.accepting import MANY, WorkerLoads
from nlptl.interfaces.server.running import ServerPlan, serve, share_cores

LONG_LIFE = 30.0  # seconds after which the end of a worker is no fault of its start
MAX_PAUSE = 30.0  # seconds before a worker that ends at once again and again is started again
KILL_AFTER = 2.0  # seconds after the grace
SIGNALS = (signal.SIGTERM, signal.SIGINT)
READY, FAILED = "ready", "failed"


@dataclass
class Worker:
    """One of the processes, which is replaced when it ends."""

    number: int
    process: SpawnProcess
    connection: Connection
    started: float
    is_ready: bool = False
    pause: float = 0.0  # before it is started again


def serve_by_workers(
    plan: ServerPlan, bound: socket.socket, *, when_ready: Callable[[], None], tell: Callable[[str], None]
) -> None:
    """Serve by several processes until this one is told to end. Raises their error where the first ones cannot start."""
    from nlptl.interfaces.server.server_metrics import FOLDER

    with temporary_folder("metrics") as folder:
        before = os.environ.get(FOLDER)
        os.environ[FOLDER] = str(folder)
        try:
            with _stop_signal() as stop:
                Supervisor(plan, bound, stop, folder, when_ready=when_ready, tell=tell).run()
        finally:
            os.environ.pop(FOLDER) if before is None else os.environ.update({FOLDER: before})


class Supervisor:
    """Keeper of the workers."""

    def __init__(
        self, plan: ServerPlan, bound: socket.socket, stop: int, metrics: Path, *, when_ready: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._plan, self._bound, self._stop, self._metrics = plan, bound, stop, metrics
        self._when_ready, self._tell = when_ready, tell
        self._context = multiprocessing.get_context("spawn")
        self._counts = self._context.RawArray("i", plan.workers)
        self._workers: list[Worker] = []
        self._waiting: list[tuple[float, int, float]] = []  # time, number and pause of workers that are to start
        self._was_ready = False

    def run(self) -> None:
        """Keep the workers until a signal comes, then let them finish."""
        try:
            for number in range(1, self._plan.workers + 1):
                self._start(number)
            while not self._told_to_stop():
                self._look()
            self._bound.close()
            self._end()
        finally:
            for worker in self._workers:
                worker.process.kill()
                worker.process.join()

    def _start(self, number: int, pause: float = 0.0) -> None:
        ours, theirs = multiprocessing.Pipe()
        self._counts[number - 1] = MANY  # until it accepts
        loads = WorkerLoads(self._counts, number - 1)
        process = self._context.Process(
            target=work, args=(self._plan, self._bound, theirs, loads), name=f"nlptl-worker-{number}", daemon=True
        )
        process.start()
        theirs.close()
        self._workers.append(Worker(number, process, ours, time.monotonic(), pause=pause))

    def _told_to_stop(self) -> bool:
        """Wait for the next event; return whether it is the signal to stop."""
        due = min((when for when, _, _ in self._waiting), default=None)
        connections = [worker.connection for worker in self._workers if not worker.is_ready]
        found = wait(
            [self._stop, *connections, *(worker.process.sentinel for worker in self._workers)],
            None if due is None else max(0.0, due - time.monotonic()),
        )
        return self._stop in found

    def _look(self) -> None:
        """Take in what workers tell, and replace those that have ended."""
        for worker in list(self._workers):
            if not worker.is_ready and worker.connection.poll():
                self._hear(worker)
            if not worker.process.is_alive():
                self._replace(worker)
        now = time.monotonic()
        for one in [one for one in self._waiting if one[0] <= now]:
            self._waiting.remove(one)
            self._start(one[1], one[2])

    def _hear(self, worker: Worker) -> None:
        """Take in that a worker is ready, or why it is not. Raises that error where no worker ever was."""
        with contextlib.suppress(EOFError, OSError):
            what, faults = json.loads(worker.connection.recv_bytes())
            if what == READY:
                worker.is_ready = True
                if not self._was_ready:
                    self._was_ready = True
                    self._when_ready()
            elif not self._was_ready:
                raise ConfigError(faults)
            else:
                self._tell(f"Worker {worker.number} cannot start. {' '.join(faults)}")

    def _replace(self, worker: Worker) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        worker.process.join()
        self._workers.remove(worker)
        worker.connection.close()
        if worker.process.pid is not None:
            mark_process_dead(worker.process.pid, str(self._metrics))
        self._counts[worker.number - 1] = MANY
        code = worker.process.exitcode or 0
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        if not self._was_ready:
            raise ProcessError(
                f"worker {worker.number}: ended {how} before it was ready; expected it to serve. Try --workers 1."
            )
        lived = time.monotonic() - worker.started
        pause = 0.0 if lived > LONG_LIFE else min(MAX_PAUSE, max(0.5, 2 * worker.pause))
        self._tell(f"Worker {worker.number} ended {how}; another one takes its place.")
        self._waiting.append((time.monotonic() + (0.0 if worker.is_ready else pause), worker.number, pause))

    def _end(self) -> None:
        """Let all workers finish; end those that take longer than the grace."""
        for worker in self._workers:
            worker.process.terminate()
        ends = time.monotonic() + self._plan.grace + KILL_AFTER
        for worker in self._workers:
            worker.process.join(max(0.0, ends - time.monotonic()))


def work(plan: ServerPlan, bound: socket.socket, connection: Connection, loads: WorkerLoads) -> None:
    """Serve in this process, a worker, and tell its parent when it is ready or why it is not."""
    from nlptl.interfaces.terminal import open_streams

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C, which the parent hears too
    open_streams()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    share_cores(plan.workers)

    def ready() -> None:
        loads.note(0)
        connection.send_bytes(json.dumps([READY, []]).encode())

    try:
        serve(replace(plan, workers=1), bound, when_ready=ready, loads=loads)
    except (NlptlError, OSError, MemoryError) as error:
        from nlptl.interfaces.failures import failure_lines

        connection.send_bytes(json.dumps([FAILED, failure_lines(error)]).encode())
        sys.exit(1)


def _end_with_parent() -> None:
    """End this process when its parent has gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _stop_signal() -> Iterator[int]:
    """Lend a file that can be read as soon as SIGTERM or Ctrl-C has come."""
    reader, writer = os.pipe()
    if threading.current_thread() is not threading.main_thread():
        yield reader
        return
    before = {number: signal.signal(number, lambda *_: os.write(writer, b"!")) for number in SIGNALS}
    wakeup = signal.set_wakeup_fd(-1)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
