"""Rows of a sheet of an Excel workbook."""

from __future__ import annotations

import datetime
import itertools
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from xml.etree.ElementTree import ParseError

from nlptl.config import did_you_mean
from nlptl.data.columns import ColumnPositions, Columns, joined_text, names_shown
from nlptl.data.row_checks import RawRows, UnreadCell, no_rows
from nlptl.data.workbook_gaps import WorkbookGaps, find_gaps
from nlptl.data.workbook_size import check_size
from nlptl.errors import DataError, first_line
from nlptl.faults import shown

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xls")

_BATCH_ROWS = 2_000
_MAX_ABOVE_HEADER = 10  # rows among which a header is looked for

_Gaps: TypeAlias = "Mapping[int, Mapping[int, UnreadCell]]"  # by row from 1 and column from 0


@dataclass(frozen=True)
class WorkbookTable:
    """Sheet of a workbook whose first row with a value is the header."""

    path: Path
    sheet: str
    header: bool
    positions: ColumnPositions
    remarks: tuple[str, ...] = ()
    other_sheets: tuple[str, ...] = field(default=(), repr=False, compare=False)  # visible ones
    gaps: WorkbookGaps = field(default_factory=WorkbookGaps, repr=False, compare=False)  # cells without a value
    above: int = field(default=0, repr=False, compare=False)  # number of the header's row, below which the others stand

    def rows(self, *, whole: bool = False) -> Iterator[RawRows]:
        """Stream the rows with their numbers in the sheet, and `whole` with all values. Empty rows are left out."""
        opened = _opened(self.path, self.sheet)[0]
        found = (row for row in _filled_rows(opened, self.gaps.wanted) if row[0] > self.above)
        label, texts = self.positions.label, self.positions.texts
        while batch := list(itertools.islice(found, _BATCH_ROWS)):
            yield RawRows(
                [number for number, _ in batch],
                [joined_text([_text(row[place]) for place in texts]) for _, row in batch],
                None if label is None else [_value(row[label]) for _, row in batch],
                [[_kept(cell) for cell in row] for _, row in batch] if whole else None,
            )

    def remarks_on_kept(self) -> Iterator[str]:
        """Yield a sentence for each column besides texts and labels that has cells without a value."""
        for place, count in sorted(self.gaps.others.items()):
            if place < len(self.positions.names):
                cells = f"{count} cell{'s' * (count != 1)}"
                name = shown(self.positions.names[place])
                yield f"{cells} of its column {name} hold a formula without a result or an error, and are empty here"


def open_workbook(path: Path, *, sheet: str | int | None, header: bool, columns: Columns) -> WorkbookTable:
    """Open the sheet with a name or a number from 1, by default the first visible one. Raises DataError."""
    opened, others = _opened(path, sheet)
    number, first = next(_filled_rows(opened, {}), (1, list[object]()))
    if not first:
        raise no_rows(f"{path}, sheet {opened.name!r}")
    at = f"{path}, row {number}"
    names = [str(_text(cell) or "") for cell in first]
    instead = "" if not header or columns.are_in(names) else _table_meant(path, opened, others, columns)
    positions = (
        columns.match(names, at, remedy=columns.door.no_header, instead=instead)
        if header
        else columns.number(names, at)
    )
    told = (f"its sheet {opened.name!r} is read, one of {len(others) + 1}",) if others and sheet is None else ()
    return WorkbookTable(
        path,
        opened.name,
        header,
        positions,
        told,
        tuple(others),
        _found_gaps(path, opened.name, positions),
        number * header,
    )


def _table_meant(path: Path, sheet: CalamineSheet, others: list[str], columns: Columns) -> str:
    """Return what to do where the columns stand in a lower row or in another sheet; empty if they do not."""
    for number, _ in _headers(sheet, columns):
        return f"The header seems to stand in row {number}. Remove the rows above it."
    for name in others:
        if any(_headers(_opened(path, name)[0], columns)):
            value = name if re.fullmatch(r"[^\W\d]\w*", name) else f'"{name}"'
            return f"The sheet {name!r} has the columns: set `sheet: {value}`."
    return ""


def _headers(sheet: CalamineSheet, columns: Columns) -> Iterator[tuple[int, list[object]]]:
    """Yield the first rows that name the columns."""
    for number, row in itertools.islice(_filled_rows(sheet, {}), _MAX_ABOVE_HEADER):
        if columns.are_in([str(_text(cell) or "") for cell in row]):
            yield number, row


def _found_gaps(path: Path, sheet: str, positions: ColumnPositions) -> WorkbookGaps:
    try:
        return find_gaps(path, sheet, wanted=set(positions.wanted()))
    except (ParseError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise _unreadable(path, error) from None


def _opened(path: Path, sheet: str | int | None) -> tuple[CalamineSheet, list[str]]:
    """Return a sheet, and the names of other ones that may be meant."""
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
        return book.get_sheet_by_name(name), [other for other in visible if other != name]
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
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: the file is not a readable Excel workbook ({first_line(error)}). Save it again as .xlsx, or give its real "
        "format the right ending."
    )


def _sheet_name(path: Path, sheet: str | int | None, names: list[str], visible: list[str]) -> str:
    if sheet is None and visible:
        return visible[0]
    if isinstance(sheet, str) and sheet in names:
        return sheet
    number = sheet if isinstance(sheet, int) else int(sheet) if sheet is not None and sheet.isdecimal() else 0
    if 1 <= number <= len(names):
        return names[number - 1]
    meant = did_you_mean(sheet, names) if isinstance(sheet, str) else ""
    raise DataError(
        f"{path}: there is no sheet {sheet!r}; the sheets are {names_shown(names)}.{meant} Correct `sheet:`."
    )


def _filled_rows(sheet: CalamineSheet, gaps: _Gaps) -> Iterator[tuple[int, list[object]]]:
    """Yield the rows that hold a value or a gap, with their numbers from 1."""
    if sheet.start is None:
        return
    number, width = 0, 0
    for number, cells in enumerate(sheet.iter_rows(), 1):
        row, width = list[object](cells), len(cells)
        if number in gaps:
            _put(gaps[number], row)
        if any(cell not in ("", None) for cell in row):
            yield number, row
    for below in sorted(row for row in gaps if row > number):
        row = [None] * width
        _put(gaps[below], row)
        yield below, row


def _put(gaps: Mapping[int, UnreadCell], row: list[object]) -> None:
    for place, gap in gaps.items():
        if place < len(row):
            row[place] = gap


def _text(cell: object) -> object:
    """Return a cell as the text that a CSV file would hold; None if it is empty."""
    value = _value(cell)
    return value if value is None or isinstance(value, str | UnreadCell) else str(value)


def _kept(cell: object) -> object:
    """Return a cell's value, None for a gap."""
    return None if isinstance(cell, UnreadCell) else _value(cell)


def _value(cell: object) -> object:
    """Return a cell as a text, a truth value or a whole number; None if it is empty. A gap is returned."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, bool | str | int | UnreadCell):
        return cell
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() else repr(cell)
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat(" ") if isinstance(cell, datetime.datetime) else cell.isoformat()
    return str(cell)
