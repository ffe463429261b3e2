"""Engine on a Ray cluster: actors that work off tasks, on this machine or on several."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from nlptl.errors import ConfigError, ProcessError, first_line
from nlptl.runs.engines.dispatch import Lost, dispatched
from nlptl.runs.engines.engine import Job, Work
from nlptl.runs.engines.threads import usable_cores, use_threads

REACHED_WITHIN = 10.0  # seconds
WITHOUT_ROOM = 30.0  # seconds without a worker after which a person is told

_HOST_AND_PORT = re.compile(r"(?:ray://)?([^:/\s]+):([0-9]{1,5})")

T = TypeVar("T")
R = TypeVar("R")


@dataclasses.dataclass(frozen=True)
class RayEngine:
    """Actors on a Ray cluster, each with so many threads, and a GPU if wanted."""

    workers: int
    threads: int = 1
    gpus: int = 0  # of each worker
    is_elsewhere: bool = False
    say: Callable[[str], object] = lambda _: None
    is_here: ClassVar[bool] = False

    def map(self, job: Job[T, R], tasks: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Yield each task with its result as it is finished; see `Engine.map`."""
        pool = _Actors(job, self)
        try:
            yield from dispatched(pool, job, tasks, say=self.say)
        finally:
            pool.end()


@contextlib.contextmanager
def ray_engine(
    *, address: str | None, workers: int | None, device: str, say: Callable[[str], object]
) -> Iterator[RayEngine]:
    """Lend an engine on the cluster at `address`, or on one that is started here and ends with the block.

    A program that is connected to a cluster already keeps its connection. Raises ConfigError where ray is not installed,
    ProcessError where the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "--engine ray: the package ray is not installed; expected it. Install nlptl[ray], or use --engine processes."
        ) from None
    is_ours = not ray.is_initialized()
    if is_ours:
        _connect(address, workers)
    try:
        machines = [one["Resources"] for one in ray.nodes() if one["Alive"]]
        found = fitting(machines, workers, device)
        yield dataclasses.replace(found, is_elsewhere=address is not None or not is_ours, say=say)
    finally:
        if is_ours:
            ray.shutdown()


def _connect(address: str | None, workers: int | None) -> None:
    import ray

    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is not None:
        check_reached(address)
    try:
        if address is None:
            cores = max(usable_cores(), workers or 1)
            ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise _unreached(address or "a cluster on this machine", error) from None


def check_reached(address: str) -> None:
    """Raise ProcessError where nobody listens at HOST:PORT, which Ray itself would try for minutes."""
    found = _HOST_AND_PORT.fullmatch(address)
    if found is None:  # such as auto
        return
    try:
        socket.create_connection((found[1], int(found[2])), timeout=REACHED_WITHIN).close()
    except OSError as error:
        raise _unreached(address, error) from None


def _unreached(where: str, error: Exception) -> ProcessError:
    return ProcessError(
        f"--address: {where} cannot be reached ({first_line(error)}); expected a running Ray cluster of the same Python and ray. "
        "Check it with `ray status`, or leave --address out."
    )


def fitting(machines: Sequence[Mapping[str, float]], workers: int | None, device: str) -> RayEngine:
    """Return the engine that fills a cluster with so many workers: a GPU each where they compute on GPUs, else cores.

    `machines` holds the resources of each. A worker has no more cores than the smallest one. Raises ConfigError where no
    machine has a GPU that is asked for.
    """
    cores = [int(one["CPU"]) for one in machines if one.get("CPU", 0) >= 1] or [1]  # a head may have none
    gpus = sum(int(one.get("GPU", 0)) for one in machines)
    if device == "cuda" and not gpus:
        raise ConfigError("--device: found cuda, but no machine of the cluster has a GPU. Give --device cpu.")
    on_gpu = device != "cpu" and gpus > 0
    count = workers or (gpus if on_gpu else sum(cores))
    return RayEngine(count, threads=max(1, min(sum(cores) // count, *cores)), gpus=int(on_gpu))


class _Actor:
    """Worker of a cluster."""

    def __init__(self, threads: int, folder: str, job: list[Any]) -> None:
        """`job` holds a reference, so that no library loads before the number of threads is set.

        Paths are relative to the command's `folder`, where this machine has it.
        """
        import ray

        use_threads(threads)
        with contextlib.suppress(OSError):
            os.chdir(folder)
        self._work: Work[Any, Any] = Work(ray.get(job[0]))

    def ready(self) -> None:
        """Return when the worker has begun."""

    def run(self, task: Any) -> Any:
        """Return the outcome of a task."""
        return self._work(task)


@dataclasses.dataclass(eq=False)
class _Seat:
    """Actor with the reference that it will fill: of its beginning, then of its task."""

    actor: Any
    reference: Any
    task: int | None = None
    has_begun: bool = False


class _Actors:
    """Actors that work off tasks of one job. A task is given to those alone that have begun."""

    def __init__(self, job: Job[Any, Any], engine: RayEngine) -> None:
        import ray

        self._engine, self._job = engine, ray.put(job)
        self._kind = ray.remote(_Actor).options(num_cpus=engine.threads, num_gpus=engine.gpus, max_restarts=0)
        self._has_told = False  # that there is no room
        self._lost = 0  # workers that ended before they had begun
        self._seats = [self._new() for _ in range(engine.workers)]

    def free(self) -> bool:
        return any(self._is_free(seat) for seat in self._seats)

    def begin(self, number: int, task: Any) -> None:
        seat = next(filter(self._is_free, self._seats))
        seat.task, seat.reference = number, seat.actor.run.remote(task)

    def wait(self) -> list[tuple[int, Any]]:
        import ray

        waiting = {seat.reference: seat for seat in self._seats if seat.reference is not None}
        while not (ready := ray.wait(list(waiting), num_returns=1, timeout=WITHOUT_ROOM)[0]):
            if not self._has_told and not any(seat.has_begun for seat in self._seats):
                self._has_told = True
                self._engine.say("The cluster has no room for a worker yet; waiting. `ray status` shows what it has.")
        ended = []
        for seat in (waiting[reference] for reference in ready):
            number, outcome = seat.task, self._outcome(seat)
            if number is not None:
                ended.append((number, outcome))
        return ended

    def end(self) -> None:
        import ray

        for seat in self._seats:
            ray.kill(seat.actor)

    def _outcome(self, seat: _Seat) -> Any:
        """Return what a seat's reference holds; another actor takes the seat of one that has ended."""
        import ray
        from ray.exceptions import RayError

        try:
            found = ray.get(seat.reference)
        except RayError as error:
            self._note_lost(seat, error)
            self._seats[self._seats.index(seat)] = self._new()
            return Lost(_told(error))
        seat.reference, seat.task, seat.has_begun = None, None, True
        return found

    def _note_lost(self, seat: _Seat, error: Exception) -> None:
        """Count workers that end before they begin. Raises ProcessError where nothing but such workers comes."""
        import ray

        with contextlib.suppress(ValueError):
            ray.kill(seat.actor)
        self._lost = 0 if seat.has_begun else self._lost + 1
        if self._lost > 2 * len(self._seats):
            raise ProcessError(
                f"--engine ray: workers end before they begin ({_told(error)}); expected machines with the same Python, ray "
                "and nlptl, and enough memory. Install nlptl there, or give fewer --workers."
            )

    def _new(self) -> _Seat:
        actor = self._kind.remote(self._engine.threads, os.getcwd(), [self._job])
        return _Seat(actor, actor.ready.remote())

    @staticmethod
    def _is_free(seat: _Seat) -> bool:
        return seat.has_begun and seat.task is None


def _told(error: Exception) -> str:
    """Return the first line of an error of ray that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = next((line for line in lines if "cause" in line.lower() or "exit" in line.lower()), "")
    return first_line(RuntimeError(reason or (lines[0] if lines else type(error).__name__)))
