"""Engine: where tasks run. A job is opened once in each worker, and each task is worked off whole or not at all."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from nlptl import errors
from nlptl.errors import ConfigError, DataError, NlptlError, ProcessError

T = TypeVar("T")
R = TypeVar("R")
T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Job(Protocol[T_contra, R_co]):
    """What a worker does. A frozen dataclass of plain values, which travels to the workers."""

    def open(self) -> Callable[[T_contra], R_co]:
        """Return what works off a task. Models are loaded here, by path."""

    def told(self, task: T_contra, /) -> str:
        """Return the name of a task in a sentence."""


class Engine(Protocol):
    """Where the tasks of a job run."""

    @property
    def workers(self) -> int:
        """Number of tasks that run at the same time."""

    @property
    def is_here(self) -> bool:
        """Whether tasks run in this process, where they can be watched."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether tasks may run on other machines, which may not see the paths of this one."""

    def map(self, job: Job[T, R], tasks: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Yield each task with its result as it is finished, in any order.

        A task is taken from `tasks` when a worker is free for it. A task whose worker was killed runs again. Raises what the
        job raises of NlptlError, and ProcessError for a task whose workers end again and again.
        """


class LocalEngine:
    """Process of the command, which works task by task."""

    workers = 1
    is_here, is_elsewhere = True, False

    def map(self, job: Job[T, R], tasks: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Yield each task with its result, in order."""
        work: Callable[[T], R] | None = None
        for task in tasks:
            work = work or job.open()
            yield task, work(task)


@dataclasses.dataclass(frozen=True)
class Refusal:
    """NlptlError that a worker raised, as plain values."""

    kind: str
    faults: tuple[str, ...]

    @classmethod
    def of(cls, error: NlptlError) -> Refusal:
        """Return an error as plain values."""
        return cls(type(error).__name__, getattr(error, "faults", (str(error),)))

    def error(self) -> NlptlError:
        """Return the error, to be raised where the command runs."""
        kind = getattr(errors, self.kind, ProcessError)
        return kind(self.faults) if kind in (ConfigError, DataError) else kind("\n".join(self.faults))


@dataclasses.dataclass(frozen=True)
class Fault:
    """Any other error of a worker: a fault of nlptl, with its traceback."""

    traceback: str


class Work(Generic[T, R]):
    """Job in a worker: opened at its first task, its errors returned as values, so that they look alike everywhere."""

    def __init__(self, job: Job[T, R]) -> None:
        self._job = job
        self._run: Callable[[T], R] | None = None

    def __call__(self, task: T) -> Any:
        """Return the result of a task, a Refusal or a Fault."""
        try:
            self._run = self._run or self._job.open()
            return self._run(task)
        except NlptlError as error:
            return Refusal.of(error)
        except MemoryError:
            return Refusal("ProcessError", (f"{self._job.told(task)}: the memory is full. Give fewer --workers.",))
        except Exception:
            return Fault(traceback.format_exc())
