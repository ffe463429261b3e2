"""Sentences for what a disk refuses, and for paths that no disk takes."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from nlptl.errors import ArtifactError, StorageError

_WHOLE = "nothing was left half-written"
_FREE = f"{_WHOLE}. Free space or choose another folder."
_PERMIT = f"{_WHOLE}. Change the permissions or choose another folder."
_FILE = "a file stands where a folder is expected. Choose another path."
_REMEDIES = {
    errno.EACCES: _PERMIT,
    errno.EPERM: _PERMIT,
    errno.EROFS: f"{_WHOLE}. Choose another folder.",
    errno.EBUSY: f"{_WHOLE}. Choose another folder.",
    errno.ENAMETOOLONG: f"{_WHOLE}. Choose a shorter name.",
    errno.ENOTDIR: _FILE,
    errno.EEXIST: _FILE,
    errno.ENOENT: "its folder is not there, was removed, or takes no files. Make it, or choose another path.",
    errno.EISDIR: "a folder stands where a file is expected. Choose another path.",
    errno.ELOOP: f"{_WHOLE}. Remove the symbolic link, or choose another path.",
}


class RefusedError(StorageError):
    """Place that may not be written, or cannot: missing permission, a file for a folder. Space is not what it lacks."""


def checked_path(path: Path | str) -> Path:
    """Return a path that every library can open, with the home folder for ~.

    Raises ArtifactError for what is no path, for NUL characters and names that are not UTF-8.
    """
    text: object = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(text, str):
        raise ArtifactError(
            f"{text!r:.60}: is of the type {type(text).__name__}, but must be a path: a str or a pathlib.Path. Give one."
        )
    text = os.path.expanduser(text)
    if "\0" in text:
        raise ArtifactError(f"{text!r}: holds a NUL character; expected a path without one. Check the path.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ArtifactError(
            f"{shown(path)}: is no UTF-8; expected a path in UTF-8. Rename the folder, or choose another."
        )
    return Path(text)


def shown(path: Path | str) -> str:
    """Return a path as text that every terminal prints."""
    return os.fspath(path).encode("utf-8", "backslashreplace").decode("utf-8")


@contextlib.contextmanager
def told_as_storage_error(path: Path) -> Iterator[None]:
    """Turn a disk's refusal into StorageError; safetensors hides its own in SafetensorError."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__name__ != "SafetensorError":
            raise
        reason = getattr(error, "strerror", None) or str(error)
        hidden = re.search(r"os error (\d+)", str(error))
        number = getattr(error, "errno", None) or int(hidden[1] if hidden else 0)
        kind = RefusedError if number in _REMEDIES else StorageError
        raise kind(f"{shown(path)}: cannot be written ({reason}); {_REMEDIES.get(number, _FREE)}") from None


@contextlib.contextmanager
def told_as_read_error(path: Path) -> Iterator[None]:
    """Turn the refusal to read a file into ArtifactError. FileNotFoundError passes: its reason differs from place to place."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        remedy = (
            "Change its permissions." if error.errno in (errno.EACCES, errno.EPERM) else "Check the path and the disk."
        )
        raise ArtifactError(f"{shown(path)}: cannot be read ({error.strerror or error}). {remedy}") from None
