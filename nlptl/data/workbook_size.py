"""Size of an Excel workbook in memory, found before it is read: its reader keeps all cells of a sheet, each with its own text."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nlptl.data.compressed_files import first_bytes
from nlptl.errors import DataError

_MAX_BYTES = 1 << 30  # of the unpacked file, and of a sheet's texts
_MAX_CELLS = 50_000_000  # that a sheet may span
_BLOCK_BYTES = 1 << 20
_MAX_TAG_BYTES = 256
_MAX_CELL_BYTES = 1 << 16  # longer cells hold no shared text
_SHARED_TEXTS = "xl/sharedStrings.xml"
_SHARED_TEXT_END = re.compile(rb"</(?:\w+:)?si>|<(?:\w+:)?si\s*/>")
_CELL = re.compile(rb"""<(?:\w+:)?c\s[^>]*?\br=["']([A-Z]{1,3})([0-9]{1,7})["']""")
_SHARED_CELL = re.compile(rb"""\bt=["']s["'][^>]*>\s*<(?:\w+:)?v>([0-9]{1,9})<""")


def check_size(path: Path) -> None:
    """Raise DataError for a workbook that would fill the memory. All of it is unpacked once, a block at a time."""
    if not first_bytes(path).startswith(b"PK"):
        if path.stat().st_size > _MAX_BYTES:
            raise _too_large(path)
        return
    with zipfile.ZipFile(path) as archive:
        names = sorted(archive.namelist(), key=lambda name: name != _SHARED_TEXTS)
        if sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
            raise _too_large(path)
        lengths = np.zeros(0, np.int64)
        for name in names:
            with archive.open(name) as content:
                blocks = iter(partial(content.read, _BLOCK_BYTES), b"")  # no more bytes than stated, or BadZipFile
                if name == _SHARED_TEXTS:
                    lengths = _shared_lengths(blocks)
                elif name.startswith("xl/worksheets/"):
                    _check_sheet(path, blocks, lengths)
                for _ in blocks:  # checks the sum of what has not been looked at
                    pass


def _shared_lengths(blocks: Iterator[bytes]) -> npt.NDArray[np.int64]:
    """Return the length of each text that cells share, in bytes with its marks."""
    ends, offset, kept = [0], 0, b""
    for block in blocks:
        source = kept + block
        found = [match.end() for match in _SHARED_TEXT_END.finditer(source)]
        ends += [offset + end for end in found]
        keep = max(found[-1] if found else 0, len(source) - _MAX_TAG_BYTES)
        kept, offset = source[keep:], offset + keep
    bounds = np.array(ends, np.int64)
    return bounds[1:] - bounds[:-1]


def _check_sheet(path: Path, blocks: Iterator[bytes], lengths: npt.NDArray[np.int64]) -> None:
    """Raise DataError for a sheet that spans too many cells, or whose cells share texts that are too long together."""
    rows, columns, size, kept = 0, 0, 0, b""
    for block in blocks:
        source = kept + block
        end = max(source.rfind(b"c>") + 2, len(source) - _MAX_CELL_BYTES)  # behind </c>
        for column, row in _CELL.findall(source[:end]):
            rows, columns = max(rows, int(row)), max(columns, _column_number(column))
        shared = np.array(_SHARED_CELL.findall(source[:end]), np.int64)
        size += int(lengths[shared[shared < len(lengths)]].sum())
        if rows * columns > _MAX_CELLS or size > _MAX_BYTES:
            raise _too_large(path)
        kept = source[end:]


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _too_large(path: Path) -> DataError:
    return DataError(
        f"{path}: the workbook is too large to be read at once. Delete cells far outside the table, or save the sheet as .csv."
    )
