"""Jobs for the tests of engines. Workers import this module."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from nlptl.errors import DataError


@dataclasses.dataclass(frozen=True)
class Square:
    """Job that squares numbers: its first worker is killed at `killed_at`, it refuses `refused`, and fails at `faulty`."""

    folder: str = ""
    killed_at: int | None = None
    always: bool = False  # every worker is killed there
    refused: int | None = None
    faulty: int | None = None

    def open(self) -> Callable[[int], int]:
        """Return what squares a number."""
        return self.squared

    def told(self, task: int) -> str:
        """Return the name of a task."""
        return f"number {task}"

    def squared(self, number: int) -> int:
        """Return the square of a number, with the process that made it in a file."""
        if number == self.killed_at and self._is_to_die():
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        if number == self.refused:
            raise DataError([f"number {number}: is refused.", "number 0: is refused, too."])
        if number == self.faulty:
            raise ZeroDivisionError("by zero")
        return number * number

    def _is_to_die(self) -> bool:
        mark = Path(self.folder) / "killed"
        if self.always or not mark.exists():
            mark.touch()
            return True
        return False
