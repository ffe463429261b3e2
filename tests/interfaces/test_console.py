"""Progress: rates and time left on long work, plain lines where there is no terminal."""

from __future__ import annotations

import io
import re

import pytest

from nlptl.interfaces import console
from nlptl.interfaces.console import BarProgress, LineProgress, progress_for
from nlptl.progress import SilentProgress, byte_size, clock, few_digits, human


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_short_work_is_not_mentioned(seconds: list[float]) -> None:
    stream = io.StringIO()
    with LineProgress(stream).task("counting", total=10, unit="texts") as task:
        seconds[0] = 9.9
        task.advance(10)
    assert stream.getvalue() == ""


def test_long_work_is_told_in_plain_lines(seconds: list[float]) -> None:
    stream = io.StringIO()
    with LineProgress(stream).task("skip-gram", total=100_000, unit="words") as task:
        for second in range(1, 17):
            seconds[0] = float(second)
            task.advance(5_000, f"epoch {second}")
    assert stream.getvalue().splitlines() == [
        "skip-gram: 50 %, 5.0k words/s, 10.0 s left, epoch 10",
        "skip-gram: done, 80.0k words in 16.0 s (5.0k words/s)",
    ]


def test_time_to_compile_is_no_time_of_the_work(seconds: list[float]) -> None:
    stream = io.StringIO()
    with LineProgress(stream).task("skip-gram", total=100_000, unit="words") as task:
        seconds[0] = 12.0
        task.advance(0)  # an engine that has compiled
        seconds[0] = 12.1
        task.advance(100)  # too early for a rate
        for second in range(13, 23):
            seconds[0] = float(second)
            task.advance(5_000)
    assert stream.getvalue().splitlines() == [
        "skip-gram: 5 %, 5.1k words/s, 18.6 s left",
        "skip-gram: done, 50.1k words in 22.0 s (2.3k words/s)",
    ]


def test_one_of_something_is_told_without_a_plural(seconds: list[float]) -> None:
    stream = io.StringIO()
    with LineProgress(stream).task("fine-tune", total=None, unit="fits") as task:
        seconds[0] = 11.0
        task.advance(0)
        task.advance(1)
    assert stream.getvalue().splitlines()[-1].startswith("fine-tune: done, 1 fit in 11.0 s (")


def test_lines_become_rarer_and_slow_work_has_a_rate_a_minute(seconds: list[float]) -> None:
    stream = io.StringIO()
    with LineProgress(stream).task("comparing 2 arms", total=10, unit="seeds") as task:
        task.advance(0, "seed 1: a")
        for second in range(30, 301, 30):
            seconds[0] = second - 15.0
            task.advance(0, f"seed {second // 30}: b")
            seconds[0] = float(second)
            task.advance(1)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "comparing 2 arms: 10 %, 2 seeds/min, 4:30 left, seed 1: b"
    assert [line.split(",")[0].rsplit(" ", 2)[1] for line in lines[:-1]] == ["10", "10", "20", "40", "60", "90"]
    assert lines[-1] == "comparing 2 arms: done, 10 seeds in 5:00 (2 seeds/min)"


def test_long_remarks_are_wrapped() -> None:
    stream = io.StringIO()
    LineProgress(stream).say("word " * 50)
    assert 1 < len(stream.getvalue().splitlines())
    assert max(map(len, stream.getvalue().splitlines())) <= 100


def test_work_of_unknown_length_has_no_time_left(seconds: list[float]) -> None:
    stream = io.StringIO()
    with LineProgress(stream).task("reading", total=None, unit="texts") as task:
        seconds[0] = 12.0
        task.advance(24)
    assert stream.getvalue().splitlines()[0] == "reading: 2 texts/s"


def test_a_terminal_gets_a_bar_after_two_seconds(seconds: list[float]) -> None:
    stream = Terminal()
    progress = progress_for(stream, quiet=False)
    assert isinstance(progress, BarProgress)
    with progress.task("skip-gram", total=100, unit="words") as task:
        seconds[0] = 1.0
        task.advance(10)
        assert stream.getvalue() == ""
        seconds[0] = 4.0
        task.advance(30, "epoch 2")
        progress.say("[a remark]")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "skip-gram" in shown
    assert "[a remark]" in shown


def test_quiet_is_silent() -> None:
    assert isinstance(progress_for(Terminal(), quiet=True), SilentProgress)
    assert isinstance(progress_for(io.StringIO(), quiet=False), LineProgress)


def test_numbers_are_short() -> None:
    assert [human(n) for n in (0, 0.0042, 0.53, 7, 950, 12_345, 4_600_000, 2e9)] == [
        "0", "0.004", "0.5", "7", "950", "12.3k", "4.6M", "2.0G",
    ]  # fmt: skip
    assert [clock(s) for s in (4.23, 59.9, 185, 7384)] == ["4.2 s", "59.9 s", "3:05", "2:03:04"]
    assert [few_digits(n) for n in (0, 0.0042, 0.0312, 0.14, 9.94, 9.96, 56.4, 1234.56)] == [
        "0", "0.004", "0.03", "0.1", "9.9", "10", "56", "1,235",
    ]  # fmt: skip


def test_sizes_stand_in_the_unit_that_suits_them() -> None:
    sizes = (0, 1, 640, 999.4, 999.6, 1_240, 31_200, 999_400, 999_600, 24_190_000, 999_600_000, 1.34e9, 5.2e12)
    assert [byte_size(size) for size in sizes] == [
        "0 bytes", "1 byte", "640 bytes", "999 bytes", "1.0 kB", "1.2 kB", "31 kB", "999 kB", "1.0 MB", "24 MB", "1.0 GB",
        "1.3 GB", "5,200 GB",
    ]  # fmt: skip
