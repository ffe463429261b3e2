"""Files and folders that are written under a draft's name, then take their place in one step.

A living process holds the lock of its drafts. Drafts of a process that has ended are swept by the next one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gzip
import os
import re
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, TypeVar, cast

from nlptl.disk.locks import held, made_and_held
from nlptl.disk.refusals import checked_path, told_as_storage_error
from nlptl.errors import ArtifactError, StorageError

ABANDONED = 7 * 24 * 3600.0  # seconds after which a draft goes where locks tell nothing
_DRAFT = re.compile(r"\.(.+)\.draft-(old-)?[0-9]{30,39}", re.DOTALL)
_TEMPORARY = re.compile(r"nlptl\.[a-z]+\.[a-z0-9_]{8}")
_MAX_STEM = 190  # bytes of a file's name that its draft's name repeats; file systems take 255 in all
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST)
_NO_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)

T = TypeVar("T")


def write_text_atomically(path: Path, text: str) -> None:
    """Replace a text file; see `write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replace a file by a draft that `write` fills. Readers see the old or the new content, never a part.

    The permissions of what is replaced stay, and so does a link: the file that it names is replaced. A device or a pipe is
    written into: it cannot be replaced.
    """
    path = checked_path(path)
    path = Path(os.path.realpath(path)) if os.path.islink(path) else path
    with told_as_storage_error(path):
        if _is_special(path):
            with path.open("wb") as file:
                write(file)
            return
        with _draft(path, lambda draft: draft.touch(exist_ok=False)) as draft:
            with contextlib.suppress(FileNotFoundError):
                draft.chmod(stat.S_IMODE(path.stat().st_mode) & 0o777)
            with draft.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)


def packed_by_name(path: Path, write: Callable[[IO[bytes]], object]) -> Callable[[IO[bytes]], object]:
    """Return a `write` that compresses if the name ends in .gz. Equal content gives equal bytes."""
    if path.suffix.lower() != ".gz":
        return write

    def packed(file: IO[bytes]) -> None:
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as inner:
            write(cast("IO[bytes]", inner))

    return packed


def write_folder_atomically(
    folder: Path, write: Callable[[Path], T], *, check: Callable[[Path], object] | None = None
) -> T:
    """Replace a folder like `write_atomically` and return what `write` returns. StorageError leaves the old folder.

    `check` raises for a folder that must stay. A link to a folder stays: what it names is replaced.
    """
    folder = Path(os.path.realpath(folder))
    check = check or (lambda _: None)
    with told_as_storage_error(folder):
        _check_at_rest(folder, check)
        _check_movable(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _draft(folder, Path.mkdir) as draft:
            result = write(draft)
            _settle(draft)
            _take_place(draft, folder, check)
            _sync(folder.parent)
    return result


def append_lines(path: Path, lines: str) -> None:
    """Append whole lines to a file and flush it. Raises StorageError when the disk refuses."""
    with told_as_storage_error(path), path.open("a", encoding="utf-8") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def remove_folder(folder: Path) -> None:
    """Remove a folder, which is there whole or not at all. What a kill leaves bears a draft's name."""
    draft = _draft_name(folder)
    with contextlib.suppress(OSError):
        os.rename(folder, draft)
        _remove(draft)


def sweep(folder: Path, has_name: Callable[[str], bool]) -> None:
    """Remove drafts of ended processes whose names `has_name` accepts. A folder that one had moved aside is put back."""
    for name in os.listdir(folder) if folder.is_dir() else ():
        found = _DRAFT.fullmatch(name)
        if found is None or not has_name(found[1]):
            continue
        draft, place = folder / name, folder / found[1]
        with held(draft) as free:
            if found[2] and free and not os.path.lexists(place):
                os.rename(draft, place)
            elif _is_left(draft, free):
                _remove(draft)


def restore(folder: Path) -> None:
    """Put a folder back that a killed process had moved aside to replace it."""
    if folder.name and not os.path.lexists(folder):
        with contextlib.suppress(OSError):
            sweep(folder.parent, lambda name: name == _stem(folder))


@contextlib.contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """Lend a folder in TMPDIR and remove it after the block. Folders of killed processes are removed too."""
    try:
        _sweep_temporary(Path(tempfile.gettempdir()))
        path, handle = made_and_held(lambda: Path(tempfile.mkdtemp(prefix=f"nlptl.{purpose}.")))
    except OSError as error:
        place = os.environ.get("TMPDIR") or "the folder of temporary files"
        raise StorageError(f"{place}: cannot be written ({error.strerror}). Set TMPDIR to another folder.") from None
    try:
        yield path
    finally:
        _remove(path)
        os.close(handle)


def files_in(folder: Path) -> list[Path]:
    """Return all files of a folder and of its subfolders, links included."""
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


@contextlib.contextmanager
def _draft(path: Path, make: Callable[[Path], object]) -> Iterator[Path]:
    """Make a draft beside `path` and hold its lock; remove what is left there in the end."""
    with contextlib.suppress(OSError):
        sweep(path.parent, lambda name: name == _stem(path))

    def made() -> Path:
        draft = _draft_name(path)
        make(draft)
        return draft

    draft, handle = made_and_held(made)
    try:
        yield draft
    finally:
        _remove(draft)
        os.close(handle)


def _draft_name(path: Path, *, old: bool = False) -> Path:
    return path.with_name(f".{_stem(path)}.draft-{'old-' * old}{uuid.uuid4().int:039d}")


def _stem(path: Path) -> str:
    return os.fsencode(path.name)[:_MAX_STEM].decode("utf-8", "ignore")


def _take_place(draft: Path, folder: Path, check: Callable[[Path], object]) -> None:
    """Move a draft to its folder, which stands there whole before and after. The old content ends under the draft's name."""
    while True:
        try:
            os.rename(draft, folder)  # where nothing stands, or an empty folder
            return
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise
        _check_at_rest(folder, check)
        with contextlib.suppress(FileNotFoundError):  # another process has moved it in between
            if _exchanged(draft, folder) or _moved_aside(draft, folder):
                return


def _check_at_rest(folder: Path, check: Callable[[Path], object]) -> None:
    """Raise what `check` raises for a folder that nobody replaces meanwhile; check one that is replaced again."""
    while True:
        before = _standing(folder)
        try:
            check(folder)
            return
        except (OSError, ArtifactError):
            if _standing(folder) == before:
                raise


def _standing(folder: Path) -> tuple[int, int] | None:
    """Return what tells the folder that stands at a path from another one there; None where nothing stands."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


def _moved_aside(draft: Path, folder: Path) -> bool:
    """Take a folder's place in two steps; False where another process took it between them.

    `restore` puts the old one back if a kill comes there.
    """
    if _stem(folder) != folder.name:  # it would come back under the stem
        raise ArtifactError(
            f"{folder}: its name has {len(os.fsencode(folder.name))} bytes; this disk replaces folders of at most {_MAX_STEM} "
            "alone. Nothing was overwritten. Choose a shorter name."
        )
    old = _draft_name(folder, old=True)
    with held(folder):  # so that nobody puts it back too early
        os.rename(folder, old)
        try:
            os.rename(draft, folder)
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise
            return False
        finally:
            if os.path.lexists(folder):  # else `restore` needs the old one
                _remove(old)
    return True


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two paths in one step. False where the system or the disk cannot."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    if function(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _check_movable(folder: Path) -> None:
    """Raise ArtifactError for a folder whose place cannot be taken in one step."""
    here = Path.cwd()
    what = (
        "the current folder" if folder == here else "a folder above the current one" if folder in here.parents else ""
    )
    what = "your home folder" if folder == Path(os.path.realpath(Path.home())) else what
    what = "where a disk is mounted" if os.path.ismount(folder) else what
    if what:
        raise ArtifactError(
            f"{folder}: is {what}, which cannot be replaced; expected a folder of its own. Name a new folder in it."
        )


def _settle(draft: Path) -> None:
    """Give all files the permissions that the umask has given the draft, and flush them. A shared file keeps its own."""
    mode = draft.stat().st_mode
    for path in (*draft.rglob("*"), draft):
        if not path.is_symlink():
            found, wanted = path.stat(), stat.S_IMODE(mode) if path.is_dir() else mode & 0o666
            is_shared = stat.S_ISREG(found.st_mode) and found.st_nlink > 1
            if stat.S_IMODE(found.st_mode) != wanted and not is_shared:
                path.chmod(wanted)
            _sync(path)


def _sweep_temporary(place: Path) -> None:
    for name in os.listdir(place):
        if _TEMPORARY.fullmatch(name) and _is_own_folder(path := place / name):
            with held(path) as free:
                if _is_left(path, free):
                    _remove(path)


def _is_special(path: Path) -> bool:
    """Return whether `path` is a device, a pipe or a socket, also behind a link such as /dev/stdout."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _is_own_folder(path: Path) -> bool:
    with contextlib.suppress(OSError):
        found = path.lstat()
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return False


def _is_left(path: Path, free: bool | None) -> bool:
    """Return whether no process works on a draft any more, given what its lock tells."""
    with contextlib.suppress(OSError):
        return free is True or (free is None and time.time() - path.lstat().st_mtime > ABANDONED)
    return False


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if not path.is_dir() or path.is_symlink():
            path.unlink()
            return
        _open_up(path)
        shutil.rmtree(path, ignore_errors=True)


def _open_up(folder: Path) -> None:
    """Permit the owner to remove what a folder holds, also where it had been closed before it became a draft."""
    with contextlib.suppress(OSError):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IRWXU)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    _open_up(Path(entry.path))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
