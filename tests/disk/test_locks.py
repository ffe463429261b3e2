"""The lock of a run's folder."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nlptl.disk import locks
from nlptl.disk.locks import run_lock
from nlptl.errors import ArtifactError


def test_the_second_run_on_a_folder_is_refused_with_the_holder(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from nlptl.disk.locks import run_lock\n"
        "with run_lock(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ArtifactError) as caught, run_lock(tmp_path):
            pass
        assert str(caught.value) == (
            f"{tmp_path}: another run (process {holder.pid}) works in this folder; one at a time is possible. "
            "Wait for it, or choose another folder with --out."
        )
        holder.kill()
    with run_lock(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()} {socket.gethostname()}"


def test_a_holder_on_another_machine_is_named_with_it(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        (tmp_path / ".lock").write_text("12 elsewhere")
        with (
            pytest.raises(ArtifactError, match=r"another run \(process 12 on elsewhere\) works in this folder"),
            run_lock(tmp_path),
        ):
            pass


@pytest.mark.parametrize("content", ["", "123", "123456 some-host", "4194304 a.b.c\n"])
def test_a_lock_that_an_ended_process_left_is_taken(content: str, tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text(content)
    with run_lock(tmp_path):
        pass


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "file", "folder", "pipe"])
def test_a_lock_that_is_somebody_elses_is_refused_and_stays(kind: str, tmp_path: Path) -> None:
    thesis, lock = tmp_path / "thesis.txt", tmp_path / "out" / ".lock"
    thesis.write_text("years of work")
    lock.parent.mkdir()
    if kind == "link":
        lock.symlink_to(thesis)
    elif kind == "dangling link":
        lock.symlink_to(tmp_path / "nowhere")
    elif kind == "hard link":
        lock.hardlink_to(thesis)
    elif kind == "file":
        lock.write_text("dependencies = []")
    elif kind == "folder":
        lock.mkdir()
    else:
        os.mkfifo(lock)
    with pytest.raises(ArtifactError) as caught, run_lock(lock.parent):
        pass
    assert str(caught.value) == (
        f"{lock}: something that nlptl did not write stands here, where a run keeps its lock; nothing was overwritten. "
        "Remove it, or choose another folder with --out."
    )
    assert thesis.read_text() == "years of work"
    assert not (tmp_path / "nowhere").exists()
    if kind == "file":
        assert lock.read_text() == "dependencies = []"


def test_a_disk_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with pytest.warns(UserWarning, match="no locks") as caught, run_lock(tmp_path):
        pass
    assert str(caught[0].message) == (
        f"{tmp_path}: this disk has no locks (No locks available); do not start a second run in this folder."
    )
