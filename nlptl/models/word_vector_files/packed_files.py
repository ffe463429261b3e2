"""Files of word vectors opened, unpacked if gzip packed them, and the bytes that they can hold."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import IO, cast

from nlptl.errors import DataError
from nlptl.progress import byte_size

_GZIP = b"\x1f\x8b"
MOST_UNPACKED = 1032  # bytes that one packed byte can hold


def opened(path: Path) -> IO[bytes]:
    """Open a file for reading. Its first bytes, and not its name, tell whether it is packed."""
    return cast("IO[bytes]", gzip.open(path)) if is_packed(path) else path.open("rb")


def is_packed(path: Path) -> bool:
    """Return whether gzip packed the file."""
    with path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def most_bytes(path: Path) -> int:
    """Return how many bytes the file can hold at most, unpacked."""
    return path.stat().st_size * (MOST_UNPACKED if is_packed(path) else 1)


def check_memory(path: Path, *, rows: int, width: int) -> None:
    """Raise DataError for a table of more bytes than this machine has memory. Where that is unknown, do nothing."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return
    needed, there = 4 * rows * width, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise DataError(
            f"{path}: its vectors take {byte_size(needed)}, more than the {byte_size(there)} of memory of this machine. "
            "Give a file of fewer words or numbers."
        )
