"""SIGTERM and SIGHUP on the command line: they end it as Ctrl-C does, so that drafts and temporary files are removed.

Only the command line asks for that; importing nlptl installs nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import typer

from nlptl.interfaces.terminal import remark
from nlptl.training.distributed import is_main

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
GRACE = 10.0  # seconds to clean up, from the signal on; compiled code may not let Python act before


class Terminated(BaseException):
    """Request of the system to end. No `except Exception` catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    def end(self) -> NoReturn:
        """End this process by the signal, so that its parent sees the true reason."""
        signal.signal(self.number, signal.SIG_DFL)
        os.kill(os.getpid(), self.number)
        os._exit(128 + self.number)


@contextlib.contextmanager
def interruption_told(kept: str) -> Iterator[None]:
    """Run the block. An interruption is told with what is kept and ends in exit code 1, or in the signal that asked for it."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        remark(f"Interrupted. {kept}")
        if isinstance(stop, Terminated):
            raise
        raise typer.Exit(1) from None


def raise_when_terminated() -> None:
    """Raise Terminated in the main thread at a signal of `SIGNALS`; a second one, or ten seconds, end the process at once.

    A signal that is ignored stays so, as under nohup. The other processes of torchrun end at once: they write nothing.
    """
    if not is_main() or threading.current_thread() is not threading.main_thread():
        return
    waited_for = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in waited_for:
        signal.signal(number, _raise)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=(reader, frozenset(map(int, waited_for))), daemon=True).start()


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    raise Terminated(number)


def _end_late(reader: int, waited_for: frozenset[int]) -> None:
    """Wait for a signal, of which the kernel tells even while compiled code runs, then for the end of `GRACE`."""
    while (number := os.read(reader, 1)) and number[0] not in waited_for:
        pass
    time.sleep(GRACE)
    os._exit(128 + number[0])
