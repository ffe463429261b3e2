"""Progress and tracking of long work: the protocols, and implementations that show nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol


class Task(Protocol):
    """Piece of long work that is under way."""

    def advance(self, amount: float, note: str = "") -> None:
        """Report `amount` more finished units. `note` is a short state such as "loss 0.31"."""


class Progress(Protocol):
    """Display of tasks and remarks. The command line has one for terminals and one for plain lines."""

    def task(self, name: str, *, total: float | None, unit: str) -> AbstractContextManager[Task]:
        """Open a task of `total` units; None if the total is unknown."""

    def say(self, text: str) -> None:
        """Show a remark, such as a finding, during the run."""


class SilentProgress:
    """Progress that shows nothing, the default in Python."""

    def task(self, name: str, *, total: float | None, unit: str) -> AbstractContextManager[Task]:
        """Open a task that is not shown."""
        return nullcontext(self)

    def advance(self, amount: float, note: str = "") -> None:
        """Ignore the advance."""

    def say(self, text: str) -> None:
        """Ignore the remark."""


class TasksAlone(SilentProgress):
    """Progress that shows tasks and leaves out remarks, for a command that tells its own."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown

    def task(self, name: str, *, total: float | None, unit: str) -> AbstractContextManager[Task]:
        """Open a task that is shown."""
        return self._shown.task(name, total=total, unit=unit)


def human(number: float) -> str:
    """Return a number in at most four digits: 950, 12.3k, 4.6M."""
    for bound, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= bound:
            return f"{number / bound:.1f}{suffix}"
    return f"{number:.0f}" if number >= 10 or number == int(number) else few_digits(number)


def few_digits(number: float) -> str:
    """Return a number as 1,234, 56, 7.8, 0.3 or 0.004: its first digit that is not 0 is always shown."""
    return f"{number:,.0f}" if number >= 9.95 or not number else f"{number:.1f}" if number >= 0.1 else f"{number:.1g}"


def byte_size(count: float) -> str:
    """Return a number of bytes in the unit that suits it: 640 bytes, 1.2 kB, 24 MB, 1.3 GB. A kB has 1,000 bytes."""
    if round(count) < 1000:
        return f"{count:.0f} {'byte' if round(count) == 1 else 'bytes'}"
    for bound, unit in ((1e3, "kB"), (1e6, "MB")):
        if count < 999.5 * bound:
            return f"{few_digits(count / bound)} {unit}"
    return f"{few_digits(count / 1e9)} GB"


def clock(seconds: float) -> str:
    """Return seconds as 4.2 s, 3:05 or 2:03:04."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Tracker(Protocol):
    """Experiment tracker of one run. It never changes the run's results."""

    def start(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Start to track the run in `folder`. `settings` may be nested."""

    def log(self, group: str, values: Mapping[str, object], step: int | None = None) -> None:
        """Log the numbers among `values`. Without `step` they are the next row of `group`."""

    def finish(self) -> None:
        """Stop tracking."""


class SilentTracker:
    """Tracker that tracks nothing."""

    def start(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Ignore the settings."""

    def log(self, group: str, values: Mapping[str, object], step: int | None = None) -> None:
        """Ignore the values."""

    def finish(self) -> None:
        """Do nothing."""
