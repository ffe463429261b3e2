"""Files of word vectors opened, unpacked if gzip packed them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, cast

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
