"""Cells of an Excel sheet that show something but hold no value: formulas without a stored result, and errors."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from nlptl.data.compressed_files import first_bytes
from nlptl.data.row_checks import UnreadCell

_BLOCK_BYTES = 1 << 20
_MAX_INDEX_BYTES = 16 << 20  # of the lists of sheets
_SIGNS = re.compile(rb"""<(?:\w+:)?f[\s>/]|\bt=["']e["']""")  # a formula, or an error
_SIGN_BYTES = 64
_MAX_ROWS = 10_000  # whose places are kept: each is a fault
_MAX_COLUMNS = 1 << 14  # of a sheet
_NO_RESULT = UnreadCell("holds a formula without a result. Open the file in Excel and save it.")


@dataclass
class WorkbookGaps:
    """Such cells of a sheet. Rows count from 1, columns from 0."""

    wanted: dict[int, dict[int, UnreadCell]] = field(default_factory=dict)  # by row and column
    others: Counter[int] = field(default_factory=Counter)  # number of cells, by column


def find_gaps(path: Path, sheet: str, *, wanted: Collection[int]) -> WorkbookGaps:
    """Return the cells without a value, those of the columns `wanted` by their place. An .xls file does not tell them."""
    found = WorkbookGaps()
    if not first_bytes(path).startswith(b"PK"):
        return found
    with zipfile.ZipFile(path) as archive:
        name = _member(archive, sheet)
        if name is not None and _has_signs(archive, name):
            with archive.open(name) as content:
                for row, column, gap in _gaps(content):
                    if column not in wanted:
                        found.others[column] += 1
                    elif len(found.wanted) < _MAX_ROWS:
                        found.wanted.setdefault(row, {})[column] = gap
    return found


def _member(archive: zipfile.ZipFile, sheet: str) -> str | None:
    """Return the name of the member that holds a sheet; None if the workbook does not name it."""
    ids = {
        value: one.get("name")
        for one in _elements(archive, "xl/workbook.xml", "sheet")
        for key, value in one.items()
        if _local(key) == "id"
    }
    for one in _elements(archive, "xl/_rels/workbook.xml.rels", "Relationship"):
        target = posixpath.normpath(posixpath.join("/xl", one.get("Target", ""))).lstrip("/")
        if ids.get(one.get("Id", "")) == sheet and target in archive.namelist():
            return target
    return None


def _elements(archive: zipfile.ZipFile, name: str, tag: str) -> Iterator[ElementTree.Element]:
    if name not in archive.namelist() or archive.getinfo(name).file_size > _MAX_INDEX_BYTES:
        return
    with archive.open(name) as content:
        for _, element in ElementTree.iterparse(content):
            if _local(element.tag) == tag:
                yield element


def _has_signs(archive: zipfile.ZipFile, name: str) -> bool:
    """Return whether a sheet may hold such cells; most hold none, and need not be parsed."""
    with archive.open(name) as content:
        kept = b""
        for block in iter(partial(content.read, _BLOCK_BYTES), b""):
            if _SIGNS.search(kept + block):
                return True
            kept = block[-_SIGN_BYTES:]
    return False


def _gaps(content: IO[bytes]) -> Iterator[tuple[int, int, UnreadCell]]:
    """Yield row and column of such cells. Rows and cells without a number follow the one before."""
    number, column = 0, -1
    for event, element in ElementTree.iterparse(content, events=("start", "end")):
        tag = _local(element.tag)
        if event == "start" and tag == "row":
            number, column = int(element.get("r", number + 1)), -1
        elif event == "end" and tag == "c":
            column = _column(element.get("r", ""), usual=column + 1)
            if (gap := _gap(element)) is not None and column < _MAX_COLUMNS:
                yield number, column, gap
            element.clear()
        elif event == "end" and tag == "row":
            element.clear()


def _gap(cell: ElementTree.Element) -> UnreadCell | None:
    parts = {_local(part.tag): part.text or "" for part in cell}
    if cell.get("t") == "e":
        error = parts.get("v") or "of a formula"
        return UnreadCell(f"holds the error {error}. Correct it in Excel, and save the file.")
    is_empty_text = cell.get("t") == "str" and "v" in parts  # as of ="", which is a result
    return _NO_RESULT if "f" in parts and not parts.get("v") and not is_empty_text else None


def _column(reference: str, *, usual: int) -> int:
    """Return the number, from 0, of a cell's column: 27 of "AB7"."""
    letters = re.match("[A-Z]{1,3}", reference)
    number = 0
    for letter in letters[0] if letters else "":
        number = number * 26 + ord(letter) - 64
    return number - 1 if letters else usual


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
