"""Blocks of whole lines from text files: unpacked, checked for UTF-8, about a megabyte each."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from nlptl.errors import DataError

_BLOCK_BYTES = 1 << 20
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_blocks(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield blocks of lines that only "\n" ends, with the first line (from 1), without byte-order mark. DataError if not UTF-8."""
    line, offset = 1, 0
    for block in _whole_lines(path):
        if offset == 0 and block.startswith(_UTF16_MARKS):
            raise DataError(
                f"{path}:1: the file is in UTF-16, not UTF-8. Save it as UTF-8, for example with `iconv -f UTF-16 -t UTF-8`."
            )
        mark = len(_UTF8_MARK) if offset == 0 and block.startswith(_UTF8_MARK) else 0
        try:
            text = block[mark:].decode("utf-8")
        except UnicodeDecodeError as error:
            at = mark + error.start
            line += block.count(b"\n", 0, at)
            raise DataError(
                f"{path}:{line}: byte 0x{block[at]:02x} at offset {offset + at} is not UTF-8. "
                "Save the file as UTF-8, or correct this line."
            ) from None
        if text:
            yield line, text
        line += block.count(b"\n")
        offset += len(block)


def read_bytes(path: Path) -> Iterator[bytes]:
    """Yield the bytes of `path` in chunks, unpacked if its name ends in .gz. Raises DataError."""
    is_gzip = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path, "rb") if is_gzip else path.open("rb", buffering=0) as file:
            while chunk := file.read(_BLOCK_BYTES):
                yield chunk
    except EOFError:
        raise DataError(f"{path}: the gzip file is incomplete. Copy or pack it again.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        reason = str(error).rstrip(".")
        raise DataError(
            f"{path}: the name ends in .gz, but the file is not valid gzip ({reason}). Pack it again, or remove .gz from "
            "the name if it is not packed."
        ) from None
    except OSError as error:
        raise DataError(
            f"{path}: the file cannot be read ({error.strerror or error}). Check the file and its permissions."
        ) from None


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
