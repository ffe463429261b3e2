"""Bytes of a file, unpacked as they are read, and what the first bytes say about a file's format."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import BinaryIO, Literal, cast

from nlptl.data.limits import check_ratio
from nlptl.errors import DataError

Packing = Literal["gz", "bz2"]
PACKED_SUFFIXES: dict[str, Packing] = {".gz": "gz", ".bz2": "bz2"}

_BLOCK_BYTES = 1 << 20
_MAGIC: dict[bytes, Packing] = {b"\x1f\x8b": "gz", b"BZh": "bz2"}
_OTHER_FORMATS = {  # first bytes, name, and what to do
    b"PAR1": ("a parquet file", "Rename it to end in .parquet."),
    b"PK\x03\x04": ("an Excel workbook or a zip archive", "Rename it to end in .xlsx, or unpack it."),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Rename it to end in .xls."),
    b"\xfd7zXZ\x00": ("packed by xz", "Unpack it with `xz -d`."),
    b"\x28\xb5\x2f\xfd": ("packed by zstd", "Unpack it with `zstd -d`."),
    b"ARROW1": ("an Arrow file", "Write it as .parquet or .csv."),
    b"SQLite format 3": ("an SQLite database", "Write its table as .csv."),
    b"\x89HDF": ("an HDF5 file", "Write it as .parquet or .csv."),
    b"\x89PNG": ("a PNG image", "Give a file of texts."),
    b"\xff\xd8\xff": ("a JPEG image", "Give a file of texts."),
    b"%PDF": ("a PDF document", "Write its texts as .txt, .csv or .jsonl."),
}


def bare_name(path: PurePath) -> str:
    """Return the name of a file in lower case, without .gz or .bz2."""
    name = path.name.lower()
    return name.removesuffix(next((end for end in PACKED_SUFFIXES if name.endswith(end)), ""))


def packing_of(path: Path) -> tuple[Packing | None, bool]:
    """Return how `path` is packed, by its name or its first bytes, and whether only these say so."""
    by_name = PACKED_SUFFIXES.get(path.suffix.lower())
    found = next((packing for magic, packing in _MAGIC.items() if first_bytes(path).startswith(magic)), None)
    return by_name or found, by_name is None and found is not None


def first_bytes(path: Path) -> bytes:
    """Return up to 16 bytes of `path`, as they stand. Raises DataError."""
    return next(read_bytes(path, None, size=16), b"")


def check_is_text(path: Path, packing: Packing | None) -> None:
    """Raise DataError if the unpacked content is that of another format than text."""
    head = next(read_bytes(path, packing, size=16), b"")
    for magic, (name, remedy) in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise DataError(f"{path}: the file is {name}, whatever its name ends in. {remedy}")


def read_bytes(path: Path, packing: Packing | None, *, size: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of `path` in chunks, unpacked. Raises DataError."""
    try:
        packed, unpacked = path.stat().st_size, 0
        with _opened(path, packing) as file:
            while chunk := file.read(size or _BLOCK_BYTES):
                unpacked += len(chunk)
                if packing is not None:
                    check_ratio(path, unpacked=unpacked, packed=packed)
                yield chunk
    except EOFError:
        raise DataError(f"{path}: the {_NAMES[packing]} file is incomplete. Copy or pack it again.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _not_packed(path, "gz", str(error).rstrip(".")) from None
    except OSError as error:
        if packing == "bz2" and error.errno is None:
            raise _not_packed(path, "bz2", str(error)) from None
        raise DataError(
            f"{path}: the file cannot be read ({error.strerror or error}). Check the file and its permissions."
        ) from None


_NAMES: dict[Packing | None, str] = {"gz": "gzip", "bz2": "bzip2"}


def _opened(path: Path, packing: Packing | None) -> BinaryIO:
    if packing == "gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    if packing == "bz2":
        return cast("BinaryIO", bz2.open(path, "rb"))
    return cast("BinaryIO", path.open("rb", buffering=0))


def _not_packed(path: Path, packing: Packing, reason: str) -> DataError:
    return DataError(
        f"{path}: the name ends in .{packing}, but the file is not valid {_NAMES[packing]} ({reason}). Pack it again, or remove "
        f".{packing} from the name if it is not packed."
    )
