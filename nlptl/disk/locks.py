"""Locks of the kernel, which end with their process even after kill -9: of a run's folder, of drafts, of temporary folders."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import socket
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from nlptl.disk.refusals import told_as_storage_error
from nlptl.errors import ArtifactError

RUN_LOCK = ".lock"
OTHER_FOLDER = "Wait for it, or choose another folder with --out."
_HOLDER = re.compile(rb"\s*([0-9]{1,20}(?: \S{1,255})?)?\s*")  # content of a lock file: process and host
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextlib.contextmanager
def run_lock(folder: Path, *, remedy: str = OTHER_FOLDER) -> Iterator[None]:
    """Lock a run folder; the kernel unlocks it even after kill -9. ArtifactError names the process that already holds it."""
    with told_as_storage_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / RUN_LOCK
    handle = _opened(path)
    try:
        is_file = stat.S_ISREG(os.fstat(handle).st_mode)
        found = _HOLDER.fullmatch(os.pread(handle, 300, 0)) if is_file else None
        if found is None:
            raise ArtifactError(_foreign(path))
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArtifactError(
                f"{folder}: another run ({_holder(found[1])}) works in this folder; one at a time is possible. {remedy}"
            ) from None
        except OSError as error:
            warnings.warn(
                f"{folder}: this disk has no locks ({error.strerror}); do not start a second run in this folder.",
                stacklevel=3,
            )
        with told_as_storage_error(path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()} {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(handle)


def made_and_held(make: Callable[[], Path]) -> tuple[Path, int]:
    """Return what `make` creates and the handle that locks it, until it is closed or this process ends."""
    while True:
        path = make()
        with contextlib.suppress(FileNotFoundError):  # a sweep came first
            handle = os.open(path, _READ)
            with contextlib.suppress(OSError):  # a disk without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(handle), os.lstat(path)):
                return path, handle
            os.close(handle)


@contextlib.contextmanager
def held(path: Path) -> Iterator[bool | None]:
    """Lock a file or folder inside the block. False if a living process has it, None where that cannot be known."""
    try:
        handle = os.open(path, _READ)
    except OSError:
        yield None
        return
    try:
        yield _taken(handle)
    finally:
        os.close(handle)


def _taken(handle: int) -> bool | None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk without locks
        return None
    return True


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):  # a link, a folder, a socket
            raise ArtifactError(_foreign(path)) from None
        with told_as_storage_error(path):
            raise


def _foreign(path: Path) -> str:
    return (
        f"{path}: something that nlptl did not write stands here, where a run keeps its lock; nothing was overwritten. "
        "Remove it, or choose another folder with --out."
    )


def _holder(content: bytes | None) -> str:
    process, _, host = (content or b"").decode("ascii", "replace").partition(" ")
    elsewhere = f" on {host}" if host and host != socket.gethostname() else ""
    return f"process {process or 'unknown'}{elsewhere}"
