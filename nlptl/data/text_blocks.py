"""Text files as blocks of whole lines: unpacked, checked to be UTF-8, about a megabyte at a time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from nlptl.errors import DataError

_BLOCK_BYTES = 1 << 20
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_blocks(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield blocks of whole lines with the number of their first line, counted from 1; lines end at "\n" only.

    Raises DataError where the bytes are not UTF-8; a byte-order mark of UTF-8 is left out.
    """
    line, offset = 1, 0
    for block in _whole_lines(path):
        if offset == 0:
            _refuse_utf16(path, block)
        mark = len(_UTF8_MARK) if offset == 0 and block.startswith(_UTF8_MARK) else 0
        try:
            text = block[mark:].decode("utf-8")
        except UnicodeDecodeError as error:
            raise _not_utf8(path, block, mark + error.start, line=line, offset=offset) from None
        if text:
            yield line, text
        line += block.count(b"\n")
        offset += len(block)


def read_bytes(path: Path) -> Iterator[bytes]:
    """Yield the bytes of `path` in chunks, unpacked where its name ends in .gz; DataError where they cannot be read."""
    try:
        with _open(path) as file:
            while chunk := file.read(_BLOCK_BYTES):
                yield chunk
    except EOFError:
        raise DataError(
            f"{path}: the gzip stream is cut off before its end; expected a whole file. Copy or pack it again."
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        reason = str(error).rstrip(".")
        raise DataError(
            f"{path}: not a sound gzip file ({reason}); expected one, as the name ends in .gz. "
            "Pack it again, or take .gz off the name if it is not packed."
        ) from None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}); expected a readable file. "
            "Check the file and its rights."
        ) from None


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.name.lower().endswith(".gz") else path.open("rb", buffering=0)


def _whole_lines(path: Path) -> Iterator[bytes]:
    pending: list[bytes] = []
    for chunk in read_bytes(path):
        head, newline, tail = chunk.rpartition(b"\n")
        if not newline:
            pending.append(chunk)
            continue
        yield b"".join([*pending, head, newline])
        pending = [tail] if tail else []
    if pending:
        yield b"".join(pending)


def _refuse_utf16(path: Path, block: bytes) -> None:
    if block.startswith(_UTF16_MARKS):
        raise DataError(
            f"{path}:1: found the byte-order mark of UTF-16; expected UTF-8. Save the file as UTF-8, for example with "
            f"iconv -f UTF-16 -t UTF-8."
        )


def _not_utf8(path: Path, block: bytes, at: int, *, line: int, offset: int) -> DataError:
    line += block.count(b"\n", 0, at)
    return DataError(
        f"{path}:{line}: byte 0x{block[at]:02x} at offset {offset + at} is not UTF-8; "
        "expected a text file in UTF-8. Save it as UTF-8, or correct this line."
    )
