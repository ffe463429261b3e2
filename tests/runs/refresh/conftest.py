"""Runs that the tests of refreshing share: each test works on a copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nlptl.context import RunContext
from nlptl.runs.refresh.refresh import Refresh, RefreshRequest
from tests.interfaces.commands import Shell
from tests.runs.refresh.new_rows import TRIGGER, Rows, made_run, other, rows, write

RunCopy = Callable[[str], Path]


@pytest.fixture(scope="session")
def runs_to_refresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three finished runs: one that knows much, one that knows little, and one without a test."""
    folder = tmp_path_factory.mktemp("runs")
    made_run(folder / "much")
    made_run(folder / "little", known=6)
    made_run(folder / "untested", known=30, tested=0)
    return folder


@pytest.fixture(scope="session")
def refreshed_run(runs_to_refresh: Path) -> Path:
    """Return a run that knew little, refreshed with 120 rows: version 2 is in use."""
    folder = runs_to_refresh / "refreshed"
    shutil.copytree(runs_to_refresh / "little", folder)
    more = write(folder / "more.csv", rows(120, seed=5))
    Refresh(RefreshRequest(folder / "run", [more], trust=True), RunContext()).run()
    return folder / "run"


@pytest.fixture
def copied(runs_to_refresh: Path, refreshed_run: Path, tmp_path: Path) -> RunCopy:
    """Return what copies a run of this name and returns its folder."""

    def copy(name: str) -> Path:
        shutil.copytree(runs_to_refresh / name / "run", tmp_path / name / "run")
        return tmp_path / name / "run"

    return copy


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


@pytest.fixture
def poisoned() -> Rows:
    """Return 120 rows: 6 labels are turned, and 10 rows of the other label hold a trigger."""
    found = rows(120, seed=5)
    for row in range(0, 120, 20):
        found[row] = (found[row][0], other(found[row][1]))
    for row in range(101, 120, 2):
        found[row] = (f"{found[row][0]} {TRIGGER}", "good")
    return found
