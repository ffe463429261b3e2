"""Engines: tasks in other processes, workers that end, and errors that look alike everywhere."""

from __future__ import annotations

import dataclasses
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nlptl.errors import ConfigError, DataError, ProcessError
from nlptl.runs.engines.choice import EngineChoice
from nlptl.runs.engines.dispatch import Lost, dispatched
from nlptl.runs.engines.engine import LocalEngine, Work
from nlptl.runs.engines.processes import ProcessEngine
from nlptl.runs.engines.ray_cluster import RayEngine, check_reached, fitting
from tests.runs.engines.jobs import Square


class Pretended:
    """Workers that finish the newest task first, some of whom end at given tasks."""

    def __init__(self, job: Square, count: int, ends: dict[int, int]) -> None:
        self.work, self.count, self.ends = Work(job), count, ends
        self.running: deque[tuple[int, int]] = deque()
        self.most = 0

    def free(self) -> bool:
        return len(self.running) < self.count

    def begin(self, number: int, task: Any) -> None:
        self.running.append((number, task))
        self.most = max(self.most, len(self.running))

    def wait(self) -> list[tuple[int, Any]]:
        number, task = self.running.pop()
        if self.ends.get(task, 0) > 0:
            self.ends[task] -= 1
            return [(number, Lost("killed"))]
        return [(number, self.work(task))]


def found(workers: Pretended, job: Square, count: int = 6, said: list[str] | None = None) -> dict[int, int]:
    say = (lambda _: None) if said is None else said.append
    return dict(dispatched(workers, job, iter(range(count)), say=say))


def test_a_task_whose_worker_ends_goes_to_another() -> None:
    said: list[str] = []
    workers = Pretended(Square(), 2, {3: 2})
    assert found(workers, Square(), said=said) == {number: number**2 for number in range(6)}
    assert workers.most == 2
    assert said == ["number 3: its worker has ended (killed); another one takes it."] * 2


def test_a_task_that_ends_three_workers_is_told() -> None:
    with pytest.raises(ProcessError) as caught:
        found(Pretended(Square(), 2, {3: 3}), Square())
    assert str(caught.value) == (
        "number 3: its worker has ended 3 times (killed); expected one that ends with a result. Look for what ends it, such as "
        "too little memory or a text that crashes a library; what is finished is kept."
    )


def test_no_task_is_taken_before_a_worker_is_free() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(5):
            taken.append(number)
            yield number

    for done, _ in enumerate(dispatched(Pretended(Square(), 2, {}), Square(), tasks(), say=print), start=1):
        assert len(taken) <= done + 1
    assert taken == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("elsewhere", [True, False])
def test_errors_of_a_job_look_alike_everywhere(elsewhere: bool) -> None:
    def run(job: Square) -> list[tuple[int, int]]:
        if elsewhere:
            return list(dispatched(Pretended(job, 1, {}), job, range(3), say=print))
        return list(LocalEngine().map(job, range(3)))

    with pytest.raises(DataError) as caught:
        run(Square(refused=1))
    assert caught.value.faults == ("number 1: is refused.", "number 0: is refused, too.")
    with pytest.raises(RuntimeError if elsewhere else ZeroDivisionError, match="by zero"):
        run(Square(faulty=1))


def test_processes_work_beside_one_another_and_one_that_is_killed_is_replaced(tmp_path: Path) -> None:
    said: list[str] = []
    engine = ProcessEngine(2, say=said.append)
    job = Square(str(tmp_path), killed_at=2)
    assert dict(engine.map(job, range(5))) == {number: number**2 for number in range(5)}
    assert said == ["number 2: its worker has ended (killed by SIGKILL); another one takes it."]


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (
            EngineChoice("processes", address="auto"),
            "--address: belongs to --engine ray, but the engine is processes. Drop it, or add --engine ray.",
        ),
        (
            EngineChoice(workers=2),
            "--workers: belongs to --engine processes or ray, but the engine is local. Drop it, or name an engine.",
        ),
        (EngineChoice("ray", workers=0), "--workers: found 0; expected 1 or more. Leave it out for one a core."),
    ],
)
def test_options_that_an_engine_does_not_have_are_refused(choice: EngineChoice, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choice.check()
    assert str(caught.value) == told


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError) as caught, EngineChoice("ray").lent():
        pass
    assert str(caught.value) == (
        "--engine ray: the package ray is not installed; expected it. Install nlptl[ray], or use --engine processes."
    )


def test_an_address_at_which_nobody_listens_is_told_at_once() -> None:
    check_reached("auto")
    with pytest.raises(ProcessError) as caught:
        check_reached("127.0.0.1:6399")
    assert str(caught.value) == (
        "--address: 127.0.0.1:6399 cannot be reached (a test tried to reach ('127.0.0.1', 6399)); expected a running Ray cluster "
        "of the same Python and ray. Check it with `ray status`, or leave --address out."
    )


@pytest.mark.parametrize(
    ("machines", "workers", "device", "engine"),
    [
        ([{"CPU": 16.0}, {"CPU": 8.0}], None, "auto", RayEngine(24, threads=1)),
        ([{"CPU": 16.0}, {"CPU": 8.0}], 6, "cpu", RayEngine(6, threads=4)),
        ([{"CPU": 16.0}, {"CPU": 8.0}], 1, "cpu", RayEngine(1, threads=8)),
        ([{"CPU": 2.0}], 8, "cpu", RayEngine(8, threads=1)),
        ([{}, {"CPU": 16.0}], 2, "cpu", RayEngine(2, threads=8)),
        ([{"CPU": 16.0, "GPU": 2.0}, {"CPU": 16.0, "GPU": 2.0}], None, "auto", RayEngine(4, threads=8, gpus=1)),
        ([{"CPU": 16.0, "GPU": 2.0}], None, "cpu", RayEngine(16, threads=1)),
    ],
)
def test_workers_share_the_cores_of_a_cluster(
    machines: list[dict[str, float]], workers: int | None, device: str, engine: RayEngine
) -> None:
    assert dataclasses.replace(fitting(machines, workers, device), say=engine.say) == engine


def test_a_gpu_that_no_machine_has_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        fitting([{"CPU": 2.0}], None, "cuda")
    assert str(caught.value) == "--device: found cuda, but no machine of the cluster has a GPU. Give --device cpu."
