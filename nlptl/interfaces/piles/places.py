"""Places of piles and results: paths of this machine, and addresses of object stores such as s3://bucket/pile."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nlptl.disk.drafts import temporary_folder, write_atomically
from nlptl.errors import DataError, first_line

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """File or folder by its address."""

    address: str

    @classmethod
    def of(cls, path: Path) -> Place:
        """Return the place that a command line names, where a `Path` has made one slash of the two of an address."""
        found = _SCHEME.fullmatch(str(path))
        if found is None:
            return cls(os.path.abspath(path))
        return cls(f"{found[1]}://{'/' * (found[1] == 'file')}{found[2]}")

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine."""
        return "://" not in self.address

    @property
    def name(self) -> str:
        """Last part of the address."""
        return self.address.rstrip("/").rpartition("/")[2]

    def inside(self, name: str) -> Place:
        """Return a place in this folder."""
        return Place(f"{self.address.rstrip('/')}/{name}")

    def kind(self) -> Literal["file", "folder", "nothing"]:
        """Return what stands here. Raises DataError where that cannot be told."""
        from pyarrow.fs import FileType

        with self._told():
            system, path = self._opened()
            found = system.get_file_info(path).type
        if found == FileType.NotFound:
            return "nothing"
        return "folder" if found == FileType.Directory else "file"

    def files(self) -> list[FoundFile]:
        """Return the files of this folder and of folders in it, in the order of their paths."""
        from pyarrow.fs import FileSelector, FileType

        with self._told():
            system, path = self._opened()
            found = system.get_file_info(FileSelector(path, recursive=True, allow_not_found=True))
        files = sorted((one for one in found if one.type == FileType.File), key=lambda one: str(one.path))
        return [_found(self.inside(one.path[len(path) :].lstrip("/")), one) for one in files]

    def file(self) -> FoundFile:
        """Return the file that stands here; its size is -1 where there is none."""
        with self._told():
            system, path = self._opened()
            return _found(self, system.get_file_info(path))

    @contextlib.contextmanager
    def opened(self) -> Iterator[Any]:
        """Lend a file that can be read at any place."""
        with self._told():
            system, path = self._opened()
            found = system.open_input_file(path)
        with found as file:
            yield file

    def read(self) -> bytes:
        """Return the bytes of a file."""
        with self.opened() as file:
            return bytes(file.read())

    @contextlib.contextmanager
    def copied(self) -> Iterator[Path]:
        """Lend a file of this machine with the same content and name: itself, or a copy for a while."""
        if self.is_local:
            yield Path(self.address)
            return
        with temporary_folder("shard") as folder:
            copy = folder / self.name
            with self.opened() as source, copy.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
            yield copy

    def put(self, source: Path) -> None:
        """Write the content of a file here, whole or not at all."""
        with source.open("rb") as content:
            self._write(lambda file: shutil.copyfileobj(content, file, 1 << 20))

    def write(self, content: bytes) -> None:
        """Write bytes here, whole or not at all."""
        self._write(lambda file: file.write(content))

    def _write(self, write: Callable[[Any], object]) -> None:
        if self.is_local:
            Path(self.address).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(Path(self.address), write)
            return
        with self._told():
            system, path = self._opened()
            if self.address.startswith("file:"):
                system.create_dir(path.rpartition("/")[0], recursive=True)
            with system.open_output_stream(path) as file:  # an object store shows what is whole alone
                write(file)

    def remove(self) -> None:
        """Remove a file or a folder, if it is there."""
        kind = self.kind()
        with self._told():
            system, path = self._opened()
            if kind == "folder":
                system.delete_dir(path)
            elif kind == "file":
                system.delete_file(path)

    def _opened(self) -> tuple[Any, str]:
        """Return the file system and the path in it."""
        from pyarrow.fs import FileSystem, LocalFileSystem

        if self.is_local:
            return LocalFileSystem(), self.address
        found: tuple[Any, str] = FileSystem.from_uri(self.address)
        return found

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn errors of the file system inside the block into DataError."""
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.address}: cannot be reached ({first_line(error)}); expected a path or an address such as "
                "s3://bucket/folder that this machine may use. Check it, and the credentials that its store asks for."
            ) from None


@dataclass(frozen=True)
class FoundFile:
    """File at a place, with its bytes and the time in ns at which it was changed."""

    place: Place
    size: int
    changed: int


def is_address(path: Path) -> bool:
    """Return whether a command line names a place of an object store, or file:///path."""
    return _SCHEME.fullmatch(str(path)) is not None


def _found(place: Place, info: Any) -> FoundFile:
    return FoundFile(place, -1 if info.size is None else int(info.size), int(info.mtime_ns or 0))
