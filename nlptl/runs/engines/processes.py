"""Engine of several processes on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, ClassVar, TypeVar

from nlptl.runs.engines.dispatch import Lost, dispatched
from nlptl.runs.engines.engine import Job, Work
from nlptl.runs.engines.threads import use_threads

T = TypeVar("T")
R = TypeVar("R")


@dataclasses.dataclass(frozen=True)
class ProcessEngine:
    """Processes of this machine, each started anew, with so many threads each."""

    workers: int
    threads: int = 1
    say: Callable[[str], object] = lambda _: None
    is_here: ClassVar[bool] = False
    is_elsewhere: ClassVar[bool] = False

    def map(self, job: Job[T, R], tasks: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Yield each task with its result as it is finished; see `Engine.map`."""
        pool = _Processes(job, self.workers, self.threads)
        try:
            yield from dispatched(pool, job, tasks, say=self.say)
        finally:
            pool.end()


@dataclasses.dataclass
class _Process:
    """Process with the connection to it, and the number of the task that it works on."""

    process: BaseProcess
    connection: Connection
    task: int | None = None


class _Processes:
    """Processes that work off tasks of one job."""

    def __init__(self, job: Job[Any, Any], count: int, threads: int) -> None:
        self._job, self._threads, self._count = job, threads, count
        self._context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks
        self._all: list[_Process] = []

    def free(self) -> bool:
        return len(self._all) < self._count or any(one.task is None for one in self._all)

    def begin(self, number: int, task: Any) -> None:
        one = next((one for one in self._all if one.task is None), None) or self._started()
        one.task = number
        with contextlib.suppress(OSError):  # it has ended: `wait` finds that
            one.connection.send(task)

    def wait(self) -> list[tuple[int, Any]]:
        busy = [one for one in self._all if one.task is not None]
        ready = wait([one.connection for one in busy])
        ended: list[tuple[int, Any]] = []
        for one in busy:
            if one.connection not in ready or one.task is None:
                continue
            number, one.task = one.task, None
            try:
                outcome = one.connection.recv()
            except (EOFError, OSError):
                one.process.join()
                self._all.remove(one)
                outcome = Lost(_told(one.process.exitcode))
            ended.append((number, outcome))
        return ended

    def end(self) -> None:
        for one in self._all:
            one.connection.close()
            one.process.terminate()
        for one in self._all:
            one.process.join()

    def _started(self) -> _Process:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._threads), daemon=True)
        process.start()
        theirs.close()
        with contextlib.suppress(OSError):
            ours.send(self._job)
        self._all.append(_Process(process, ours))
        return self._all[-1]


def _work(connection: Connection, threads: int) -> None:
    """Receive a job, then work off its tasks until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command, which ends this process
    use_threads(threads)  # before the job, whose modules load libraries
    with contextlib.suppress(EOFError, OSError):
        work: Work[Any, Any] = Work(connection.recv())
        while True:
            connection.send(work(connection.recv()))


def _told(code: int | None) -> str:
    """Return how a process has ended."""
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
