"""The command line in the test's own process, and in a process with other streams."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import sys
from pathlib import Path

import pytest

from nlptl.interfaces import cli
from tests.forked import FORKED


class Shell:
    """Runs a command in this process. Returns its exit code, stdout and stderr."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str | Path, stdin: str = "") -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["nlptl", *map(str, arguments)])
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = self._capsys.readouterr()
        return int(caught.value.code or 0), out, err


def with_streams(folder: Path, *arguments: str | Path, stdout: str, stderr: str) -> tuple[int | None, str, str]:
    """Run a command whose streams are "closed", or files of these names. Return what is found in those in `folder`."""
    child = FORKED.Process(target=_with_streams, args=(folder, [*map(str, arguments)], stdout, stderr))
    child.start()
    child.join(120)
    found = [(folder / name).read_text() if (folder / name).is_file() else "" for name in (stdout, stderr)]
    return child.exitcode, found[0], found[1]


def on_a_terminal(*arguments: str | Path) -> tuple[int | None, str]:
    """Run a command on a terminal. Return its exit code and what it printed."""
    ours, theirs = pty.openpty()
    child = FORKED.Process(target=_on_a_terminal, args=(os.ttyname(theirs), [*map(str, arguments)]))
    child.start()
    child.join(120)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # which Linux raises at the end
        while chunk := os.read(ours, 1 << 16):
            shown += chunk
    os.close(ours)
    return child.exitcode, shown.decode().replace("\r\n", "\n")


def _with_streams(folder: Path, arguments: list[str], stdout: str, stderr: str) -> None:
    for number, (name, where) in enumerate((("stdout", stdout), ("stderr", stderr)), start=1):
        if where == "closed":
            setattr(sys, name, None)  # as Python does where it finds the stream closed
            os.close(number)
        else:
            _redirect(number, name, os.open(folder / where, os.O_WRONLY | os.O_CREAT, 0o600))
    sys.argv = ["nlptl", *arguments]
    cli.main()


def _on_a_terminal(name: str, arguments: list[str]) -> None:
    for number, stream in enumerate(("stdout", "stderr"), start=1):
        _redirect(number, stream, os.open(name, os.O_RDWR | os.O_NOCTTY))
    sys.argv = ["nlptl", *arguments]
    cli.main()


def _redirect(number: int, name: str, opened: int) -> None:
    os.dup2(opened, number)
    setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))
