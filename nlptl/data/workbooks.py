"""Rows of a sheet of an Excel workbook."""

from __future__ import annotations

import datetime
import itertools
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from nlptl.config import did_you_mean
from nlptl.data.packing import first_bytes
from nlptl.data.row_checks import HEADER_REMEDY, ColumnPositions, Columns, RawRows, joined_text, names_shown, no_rows
from nlptl.errors import DataError, first_line

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xls")

_BATCH_ROWS = 2_000
_MAX_UNPACKED_BYTES = 1 << 30
_MAX_CELLS = 50_000_000  # that a sheet may span; calamine keeps a value for each
_CELL = re.compile(rb'<c [^>]*?r="([A-Z]{1,3})([0-9]{1,7})"')
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class WorkbookTable:
    """Sheet of a workbook whose first row with a value is the header."""

    path: Path
    sheet: str
    header: bool
    positions: ColumnPositions
    remarks: tuple[str, ...] = ()

    def rows(self, *, whole: bool = False) -> Iterator[RawRows]:
        """Stream the rows with their numbers in the sheet, and `whole` with all values. Empty rows are left out."""
        found = itertools.islice(_filled_rows(_opened(self.path, self.sheet)[0]), int(self.header), None)
        label, texts = self.positions.label, self.positions.texts
        while batch := list(itertools.islice(found, _BATCH_ROWS)):
            yield RawRows(
                [number for number, _ in batch],
                [joined_text([_text(row[place]) for place in texts]) for _, row in batch],
                None if label is None else [_value(row[label]) for _, row in batch],
                [[_value(cell) for cell in row] for _, row in batch] if whole else None,
            )


def open_workbook(path: Path, *, sheet: str | int | None, header: bool, columns: Columns) -> WorkbookTable:
    """Open the sheet with a name or a number from 1, by default the first visible one. Raises DataError."""
    opened, others = _opened(path, sheet)
    number, first = next(_filled_rows(opened), (1, list[object]()))
    if not first:
        raise no_rows(f"{path}, sheet {opened.name!r}")
    at = f"{path}, row {number}"
    names = [str(_text(cell) or "") for cell in first]
    positions = columns.match(names, at, remedy=HEADER_REMEDY) if header else columns.number(names, at)
    told = (f"its sheet {opened.name!r} is read, one of {others + 1}",) if others and sheet is None else ()
    return WorkbookTable(path, opened.name, header, positions, told)


def _opened(path: Path, sheet: str | int | None) -> tuple[CalamineSheet, int]:
    """Return a sheet, and how many other ones may be meant."""
    try:
        import python_calamine as calamine
    except ModuleNotFoundError:
        raise DataError(
            f"{path}: reading Excel workbooks needs python-calamine. Install it with `pip install 'nlptl[excel]'`, or save "
            "the sheet as .csv."
        ) from None
    _check_size(path)
    try:
        book = calamine.CalamineWorkbook.from_path(str(path))
        visible = [one.name for one in book.sheets_metadata if one.visible == calamine.SheetVisibleEnum.Visible]
        name = _sheet_name(path, sheet, book.sheet_names, visible or book.sheet_names)
        return book.get_sheet_by_name(name), len(visible) - 1
    except calamine.PasswordError:
        raise DataError(f"{path}: the workbook has a password. Save it without one.") from None
    except (calamine.CalamineError, OSError, ValueError) as error:
        raise _not_a_workbook(path, first_line(error)) from None


def _sheet_name(path: Path, sheet: str | int | None, names: list[str], visible: list[str]) -> str:
    if sheet is None and visible:
        return visible[0]
    if isinstance(sheet, str) and sheet in names:
        return sheet
    number = int(sheet) if isinstance(sheet, int) or (sheet or "").isdecimal() else 0  # type: ignore[arg-type]
    if 1 <= number <= len(names):
        return names[number - 1]
    meant = did_you_mean(sheet, names) if isinstance(sheet, str) else ""
    raise DataError(
        f"{path}: there is no sheet {sheet!r}; the sheets are {names_shown(names)}.{meant} Correct `sheet:`."
    )


def _filled_rows(sheet: CalamineSheet) -> Iterator[tuple[int, list[object]]]:
    """Yield the rows that hold a value, with their numbers from 1."""
    if sheet.start is None:
        return
    for number, row in enumerate(sheet.iter_rows(), 1):
        if any(cell not in ("", None) for cell in row):
            yield number, list(row)


def _text(cell: object) -> object:
    """Return a cell as the text that a CSV file would hold; None if it is empty."""
    value = _value(cell)
    return value if value is None or isinstance(value, str) else str(value)


def _value(cell: object) -> object:
    """Return a cell as a text, a truth value or a whole number; None if it is empty."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, bool | str | int):
        return cell
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() else repr(cell)
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat(" ") if isinstance(cell, datetime.datetime) else cell.isoformat()
    return str(cell)


def _not_a_workbook(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path}: the file is not a readable Excel workbook ({reason}). Save it again as .xlsx, or give its real format "
        "the right ending."
    )


def _check_size(path: Path) -> None:
    """Raise DataError for a workbook that would need too much memory. All of it is unpacked, a block at a time."""
    if not first_bytes(path).startswith(b"PK"):
        if path.stat().st_size > _MAX_UNPACKED_BYTES:
            raise _too_large(path)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            total = 0
            for member in archive.infolist():
                with archive.open(member) as content:
                    is_sheet = member.filename.startswith("xl/worksheets/")
                    total = _check_member(path, content, total, is_sheet=is_sheet)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _not_a_workbook(path, first_line(error)) from None
    except OSError as error:
        raise DataError(
            f"{path}: the file cannot be read ({error.strerror or error}). Check the file and its permissions."
        ) from None


def _check_member(path: Path, content: IO[bytes], total: int, *, is_sheet: bool) -> int:
    last, rows, columns = b"", 0, 0
    while block := content.read(_BLOCK_BYTES):
        total += len(block)
        if is_sheet:
            for column, row in _CELL.findall(last + block):
                rows, columns = max(rows, int(row)), max(columns, _column_number(column))
            last = block[-200:]
        if total > _MAX_UNPACKED_BYTES or rows * columns > _MAX_CELLS:
            raise _too_large(path)
    return total


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _too_large(path: Path) -> DataError:
    return DataError(
        f"{path}: the workbook is too large to be read at once. Delete cells far outside the table, or save the sheet as .csv."
    )
