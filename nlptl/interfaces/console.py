"""Progress of long work on stderr: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from nlptl.interfaces.terminal import WIDTH, escaped, wrapped
from nlptl.progress import SilentProgress, clock, human

if TYPE_CHECKING:
    from rich.progress import Progress as RichBar
    from rich.progress import TaskID

    from nlptl.progress import Progress, Task

BAR_AFTER = 2.0  # seconds of work before its bar appears
RATE_AFTER = 1.0  # seconds of work before its rate is worth telling
LINE_EVERY = (10.0, 600.0)  # seconds between plain lines: at first, and at most as the work gets longer


def progress_for(stream: TextIO, *, quiet: bool) -> Progress:
    """Return the progress display that suits `stream`: silent, live bars or plain lines."""
    if quiet:
        return SilentProgress()
    return BarProgress(stream) if stream.isatty() else LineProgress(stream)


class LineProgress:
    """Plain lines with the rate and the time left. Longer work has fewer lines a minute."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextmanager
    def task(self, name: str, *, total: float | None, unit: str) -> Iterator[Task]:
        """Open a task. Work that ends within ten seconds is not mentioned."""
        task = _LineTask(self, name, total, unit)
        yield task
        task.close()

    def say(self, text: str) -> None:
        """Print one remark."""
        print(wrapped(text), file=self._stream, flush=True)


class _LineTask:
    def __init__(self, progress: LineProgress, name: str, total: float | None, unit: str) -> None:
        self._progress, self._name, self._total, self._unit = progress, name, total, unit
        self._begin, self._pace, self._note = time.monotonic(), _Pace(), ""
        self._next = self._begin + LINE_EVERY[0]

    def advance(self, amount: float, note: str = "") -> None:
        self._note = note or self._note
        now = time.monotonic()
        self._pace.advance(amount, now)
        seconds = self._pace.seconds(now)
        if now >= self._next and self._pace.done and seconds >= RATE_AFTER:
            self._next = now + min(LINE_EVERY[1], max(LINE_EVERY[0], (now - self._begin) / 2))
            parts = [_rate(self._pace.done, seconds, self._unit)]
            if self._total:
                parts.insert(0, f"{min(100, 100 * self._pace.done / self._total):.0f} %")
                parts.append(f"{clock(max(0.0, self._total - self._pace.done) * seconds / self._pace.done)} left")
            self._progress.say(f"{self._name}: " + ", ".join([*parts, self._note] if self._note else parts))

    def close(self) -> None:
        seconds = time.monotonic() - self._begin
        if seconds >= LINE_EVERY[0]:
            rate = _rate(self._pace.done, seconds, self._unit)
            unit = self._unit.removesuffix("s") if self._pace.done == 1 else self._unit
            self._progress.say(f"{self._name}: done, {human(self._pace.done)} {unit} in {clock(seconds)} ({rate})")


class BarProgress:
    """A live bar with the rate and the time left."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream)
        self._console.width = min(WIDTH, self._console.width)

    @contextmanager
    def task(self, name: str, *, total: float | None, unit: str) -> Iterator[Task]:
        """Open a task. Its bar appears after two seconds and goes at the end."""
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        columns = (
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        )  # fmt: skip
        bar = Progress(*columns, console=self._console, transient=True)
        task = _BarTask(bar, bar.add_task(escaped(name), total=total, rate="", note=""), unit)
        try:
            yield task
        finally:
            bar.stop()

    def say(self, text: str) -> None:
        """Print one remark above the bars."""
        self._console.print(escaped(text), markup=False, highlight=False)


class _BarTask:
    def __init__(self, bar: RichBar, identity: TaskID, unit: str) -> None:
        self._bar, self._identity, self._unit = bar, identity, unit
        self._begin, self._pace, self._note = time.monotonic(), _Pace(), ""

    def advance(self, amount: float, note: str = "") -> None:
        self._note = note or self._note
        now = time.monotonic()
        self._pace.advance(amount, now)
        if now - self._begin >= BAR_AFTER:
            self._bar.start()  # does nothing once it has started
        seconds = self._pace.seconds(now)
        rate = _rate(self._pace.done, seconds, self._unit) if seconds >= RATE_AFTER else ""
        self._bar.update(self._identity, advance=amount, rate=rate, note=self._note)


class _Pace:
    """Work that is done, and since when. A first advance of nothing says that the work, such as compiling, before it is over."""

    def __init__(self) -> None:
        self.done, self._begin = 0.0, time.monotonic()
        self._is_first = True

    def advance(self, amount: float, now: float) -> None:
        if self._is_first and not amount:
            self._begin = now
        self._is_first = False
        self.done += amount

    def seconds(self, now: float) -> float:
        return now - self._begin


def _rate(amount: float, seconds: float, unit: str) -> str:
    """Return a rate, per minute where it would be less than one in ten seconds."""
    rate = amount / max(seconds, 1e-9)
    return f"{human(60 * rate)} {unit}/min" if 0 < rate < 0.1 else f"{human(rate)} {unit}/s"
