"""Rows of a sheet of an Excel workbook."""

from __future__ import annotations

import datetime
import itertools
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.config import did_you_mean
from nlptl.data.row_checks import ColumnPositions, Columns, RawRows, joined_text, names_shown, no_rows
from nlptl.data.workbook_size import check_size
from nlptl.errors import DataError, first_line

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xls")

_BATCH_ROWS = 2_000


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
    positions = columns.match(names, at, remedy=columns.door.no_header) if header else columns.number(names, at)
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
    try:
        check_size(path)
        book = calamine.CalamineWorkbook.from_path(str(path))
        visible = [one.name for one in book.sheets_metadata if one.visible == calamine.SheetVisibleEnum.Visible]
        name = _sheet_name(path, sheet, book.sheet_names, visible or book.sheet_names)
        return book.get_sheet_by_name(name), len(visible) - 1
    except calamine.PasswordError:
        raise DataError(f"{path}: the workbook has a password. Save it without one.") from None
    except (
        calamine.CalamineError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        RuntimeError,
    ) as error:
        raise DataError(
            f"{path}: the file is not a readable Excel workbook ({first_line(error)}). Save it again as .xlsx, or give its real "
            "format the right ending."
        ) from None


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
