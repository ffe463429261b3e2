"""What long work tells whoever watches: a task with a total, a unit and advances; silent unless somebody listens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol


class Task(Protocol):
    """One piece of long work that is under way."""

    def advance(self, amount: float, note: str = "") -> None:
        """Say that `amount` more units are done; `note` is a short state such as "loss 0.31"."""


class Progress(Protocol):
    """Opens tasks and shows remarks; the command line has one for terminals and one for plain lines."""

    def task(self, name: str, *, total: float | None, unit: str) -> AbstractContextManager[Task]:
        """Open a task of `total` units (None: unknown)."""

    def say(self, text: str) -> None:
        """Show one remark, such as a finding that is worth reading during the run."""


class _SilentTask:
    def advance(self, amount: float, note: str = "") -> None:
        del amount, note


class SilentProgress:
    """Shows nothing; the default when stages are used from Python."""

    @contextmanager
    def task(self, name: str, *, total: float | None, unit: str) -> Iterator[Task]:
        """Open a task that nobody watches."""
        del name, total, unit
        yield _SilentTask()

    def say(self, text: str) -> None:
        """Drop the remark."""
        del text


def human(number: float) -> str:
    """Return a number in at most four figures: 950, 12.3k, 4.6M."""
    for bound, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= bound:
            return f"{number / bound:.1f}{suffix}"
    return f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"


def clock(seconds: float) -> str:
    """Return seconds as 4.2 s, 3:05 or 2:03:04."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Tracker(Protocol):
    """Is told about one run; nothing that it does changes the run's results."""

    def start(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Begin to track the run in `folder`; its settings may be nested."""

    def log(self, group: str, values: Mapping[str, object], step: int | None = None) -> None:
        """Take the numbers among some values; without a step they are the next row of their group."""

    def finish(self) -> None:
        """Stop tracking."""


class SilentTracker:
    """Tracks nothing."""

    def start(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Drop the settings."""

    def log(self, group: str, values: Mapping[str, object], step: int | None = None) -> None:
        """Drop the values."""

    def finish(self) -> None:
        """Nothing to stop."""
