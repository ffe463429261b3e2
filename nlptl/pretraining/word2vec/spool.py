"""Arrays and text kept on disk for a while, in files that have no name: even a kill leaves nothing behind."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError

SEGMENT_BYTES = 1 << 28  # of one file; a file is given back once all in it has been read for the last time


class Part(NamedTuple):
    """Place of what was written."""

    segment: int
    begin: int
    size: int  # in bytes


class Spool:
    """Parts, written one after another and read in any order."""

    def __init__(self) -> None:
        self._files: list[IO[bytes] | None] = []
        self._ends: list[int] = []
        self._unread: list[int] = []  # parts of each file that were not yet read for the last time

    def write(self, *arrays: NDArray[Any]) -> Part:
        """Write arrays end to end. Raises DataError if the disk is full."""
        with disk_errors():
            if not self._files or self._ends[-1] >= SEGMENT_BYTES:
                self._files.append(unnamed_file())
                self._ends.append(0)
                self._unread.append(0)
            file, begin = self._files[-1], self._ends[-1]
            assert file is not None
            file.seek(begin)
            for array in arrays:
                self._ends[-1] += write_whole(file, array)
        self._unread[-1] += 1
        return Part(len(self._files) - 1, begin, self._ends[-1] - begin)

    def read(self, part: Part, dtype: type[np.generic], *, last: bool = False) -> NDArray[Any]:
        """Read a part as an array; `last` says that it is not needed again."""
        file = self._files[part.segment]
        assert file is not None
        array = np.empty(part.size // np.dtype(dtype).itemsize, dtype)
        view = _bytes_of(array)
        file.seek(part.begin)
        while view:
            view = view[file.readinto(view) or 0 :]  # type: ignore[attr-defined]  # unbuffered files have it
        if last:
            self._unread[part.segment] -= 1
            if not self._unread[part.segment] and part.segment < len(self._files) - 1:
                file.close()
                self._files[part.segment] = None
        return array

    def close(self) -> None:
        """Give all files back."""
        for file in self._files:
            if file is not None:
                file.close()


def unnamed_file() -> IO[bytes]:
    """Return a file without a name in TMPDIR, for writing and reading, without a buffer."""
    return tempfile.TemporaryFile(prefix="nlptl-", buffering=0)  # so that closing writes nothing


def write_whole(file: IO[bytes], array: NDArray[Any]) -> int:
    """Write all bytes of an array to an unbuffered file. Return their number."""
    view = _bytes_of(array)
    while view:
        view = view[file.write(view) :]
    return array.nbytes


def mapped_ids(file: IO[bytes]) -> NDArray[np.int32]:
    """Map a file of ids (N,) into memory. The file may be closed afterwards."""
    return np.memmap(file, dtype=np.int32, mode="r") if file.seek(0, 2) else np.zeros(0, np.int32)


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Turn an OSError of writing into a DataError."""
    try:
        yield
    except OSError as error:
        reason = f"cannot write the encoded corpus ({error.strerror}); it needs four bytes a word."
        raise DataError(f"{tempfile.gettempdir()}: {reason} Free space or set TMPDIR to another disk.") from None


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return array.data.cast("B") if array.nbytes else memoryview(b"")  # an empty one cannot be cast
