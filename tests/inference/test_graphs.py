"""Threads of an export: those that are asked for, else the cores of the process, on every system."""

from __future__ import annotations

import os

import pytest

from nlptl.inference.graphs import core_count


@pytest.mark.parametrize(("asked", "count"), [("3", 3), ("0", 4), ("", 4), ("two", 4)])
def test_the_cores_are_those_asked_for_or_those_there(asked: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert core_count() == count


def test_systems_that_tell_no_affinity_have_all_their_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert core_count() == 6
