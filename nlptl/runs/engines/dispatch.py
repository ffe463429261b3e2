"""Dispatch of tasks to workers that may end at any time: as many at once as there are workers, each retried if its worker ends."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from nlptl.errors import ProcessError
from nlptl.runs.engines.engine import Fault, Job, Refusal

TRIES = 3  # workers that a task may lose

T = TypeVar("T")
R = TypeVar("R")


@dataclasses.dataclass(frozen=True)
class Lost:
    """Outcome of a task whose worker has ended."""

    reason: str


class Workers(Protocol):
    """Workers of one job. One that has ended is replaced by another."""

    def free(self) -> bool:
        """Return whether a task could begin now."""

    def begin(self, number: int, task: Any) -> None:
        """Give a task to a free worker."""

    def wait(self) -> list[tuple[int, Any]]:
        """Wait until a worker is free, has finished or has ended. Return the numbers of ended tasks and their outcomes."""


@dataclasses.dataclass
class _Try(Generic[T]):
    """Task and how many workers it has lost."""

    task: T
    lost: int = 0


def dispatched(
    workers: Workers, job: Job[T, R], tasks: Iterable[T], *, say: Callable[[str], object]
) -> Iterator[tuple[T, R]]:
    """Yield each task with its result as it is finished. No task is taken before a worker is free for it.

    Raises what a job has refused, and ProcessError for a task that has lost `TRIES` workers.
    """
    fresh, again = iter(tasks), deque[_Try[T]]()
    running: dict[int, _Try[T]] = {}
    number, is_over = 0, False
    while True:
        while workers.free() and not (is_over and not again):
            one = again.popleft() if again else next((_Try(task) for task in fresh), None)
            if one is None:
                is_over = True
                break
            running[number] = one
            workers.begin(number, one.task)
            number += 1
        if is_over and not again and not running:
            return
        for ended, outcome in workers.wait():
            one = running.pop(ended)
            if isinstance(outcome, Refusal):
                raise outcome.error()
            if isinstance(outcome, Fault):
                raise RuntimeError(outcome.traceback)
            if isinstance(outcome, Lost):
                again.append(_tried_again(one, job, outcome.reason, say))
            else:
                yield one.task, outcome


def _tried_again(one: _Try[T], job: Job[T, R], reason: str, say: Callable[[str], object]) -> _Try[T]:
    """Return a task that has lost a worker, to be given to another. Raises ProcessError where it has lost too many."""
    one.lost += 1
    if one.lost >= TRIES:
        raise ProcessError(
            f"{job.told(one.task)}: its worker has ended {TRIES} times ({reason}); expected one that ends with a result. "
            "Look for what ends it, such as too little memory or a text that crashes a library; what is finished is kept."
        )
    say(f"{job.told(one.task)}: its worker has ended ({reason}); another one takes it.")
    return one
