"""Sheets of Excel workbooks give the rows that their CSV export would give."""

from __future__ import annotations

import datetime
import sys
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from nlptl.data import DataSettings, load_data, load_table
from nlptl.data.sources import open_source
from nlptl.errors import DataError


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    book = openpyxl.Workbook()
    book.active.title = "Reviews"
    for row in (
        ["text", "label", "n"], ["warm soup", "x", 1], ["two\nlines, here", "y", 2], [None, None, None], [12, "x", 3],
        [1.5, "y", None], [datetime.date(2024, 3, 1), "x", 4],
    ):  # fmt: skip
        book.active.append(row)
    book.active["A4000"].number_format = "0.00"  # an empty cell far below, as formatting leaves it
    other = book.create_sheet("Other")
    for cell, value in {"C4": "Text ", "D4": "label", "C5": "hello", "D5": 1, "C6": "bye", "D6": 2.0}.items():
        other[cell] = value
    book.create_sheet("Hidden").sheet_state = "hidden"
    book.save("a.xlsx")


def fault(name: str = "a.xlsx", **chosen: Any) -> str:
    with pytest.raises(DataError) as caught:
        load_data(DataSettings.model_validate({"labelled": name, **chosen}), seed=1)
    return str(caught.value)


def test_the_first_sheet_is_read_and_told() -> None:
    told: list[str] = []
    table = load_table("a.xlsx", on_remark=told.append)
    assert table.texts() == ["warm soup", "two\nlines, here", "12", "1.5", "2024-03-01"]
    assert table.labels() == ["x", "y", "x", "y", "x"]
    assert told == ["a.xlsx: its sheet 'Reviews' is read, one of 2."]


@pytest.mark.parametrize("sheet", ["Other", 2, "2"])
def test_a_sheet_by_name_or_number(sheet: str | int) -> None:
    told: list[str] = []
    table = load_table("a.xlsx", settings=DataSettings(sheet=sheet), on_remark=told.append)
    assert (table.texts(), table.labels()) == (["hello", "bye"], ["1", "2"])
    assert told == ["a.xlsx: the column 'Text ' is read as 'text'."]


def test_several_columns_and_no_header() -> None:
    chosen = DataSettings(text_column=["n", "text"])
    assert load_table("a.xlsx", settings=chosen, labelled=False).texts()[:3] == [
        "1\nwarm soup",
        "2\ntwo\nlines, here",
        "3\n12",
    ]
    chosen = DataSettings(header=False, text_column=1, label_column=2)
    assert load_table("a.xlsx", settings=chosen).labels()[:2] == ["label", "x"]


def test_faults_name_the_row_of_the_sheet() -> None:
    book = openpyxl.load_workbook("a.xlsx")
    book["Other"]["C6"] = None
    book["Reviews"]["B7"] = " "
    book.save("a.xlsx")
    assert fault(sheet="Other").startswith("a.xlsx, row 6: the text is empty.")
    assert fault().startswith("a.xlsx, row 7: the label is empty.")
    assert fault(text_column="body") == (
        "a.xlsx, row 1: there is no column 'body' with the texts; the columns are 'text', 'label', 'n'. Name the column with "
        "`text_column:`, or with `text:` under this source."
    )


def test_a_table_in_another_sheet_or_below_other_rows() -> None:
    book = openpyxl.Workbook()
    for row in (["Report of May"], [None, "by us"], ["text", "label"], ["good", "x"], ["bad", "y"]):
        book.active.append(row)
    book.save("r.xlsx")
    missing = "there is no column 'text' with the texts; the columns are 'Report of May', ''."
    told = "The header seems to stand in row 3. Remove the rows above it."
    assert fault("r.xlsx") == f"r.xlsx, row 1: {missing} {told}"
    book.active.insert_rows(1, 30)
    book.active["A1"], book.active["B1"] = "Report of May", "x"
    for row in range(2, 30):
        book.active.cell(row, 1, "note")
    daten = book.create_sheet("Daten")
    daten.append(["Label", "Text"])
    book.save("r.xlsx")
    told = "The sheet 'Daten' has the columns: set `sheet: Daten`."
    assert fault("r.xlsx") == f"r.xlsx, row 1: {missing.replace(repr(''), repr('x'))} {told}"
    daten.title = "May 24"
    book.save("r.xlsx")
    assert fault("r.xlsx").endswith("The sheet 'May 24' has the columns: set `sheet: \"May 24\"`.")


def test_sheets_that_are_not_there() -> None:
    assert fault(sheet="Othr") == (
        "a.xlsx: there is no sheet 'Othr'; the sheets are 'Reviews', 'Other', 'Hidden'. Did you mean 'Other'? Correct `sheet:`."
    )
    assert fault(sheet=9).startswith("a.xlsx: there is no sheet 9; the sheets are")
    assert fault(sheet="Hidden") == "a.xlsx, sheet 'Hidden': there are no rows. Add rows, or choose another source."


def test_files_that_are_no_workbooks() -> None:
    for content in (b"text,label\na,x\n", b"<html></html>", b"PK\x03\x04 cut off", b""):
        Path("b.xlsx").write_bytes(content)
        told = fault("b.xlsx")
        assert told.startswith("b.xlsx: the file is not a readable Excel workbook (")
        assert told.endswith("). Save it again as .xlsx, or give its real format the right ending.")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    assert fault() == (
        "a.xlsx: reading Excel workbooks needs python-calamine. Install it with `pip install 'nlptl[excel]'`, or save the sheet "
        "as .csv."
    )


TOO_LARGE = (
    "the workbook is too large to be read at once. Delete cells far outside the table, or save the sheet as .csv."
)


def test_a_cell_far_outside_the_table() -> None:
    book = openpyxl.load_workbook("a.xlsx")
    book["Reviews"]["XFD1048576"] = "z"
    book.save("a.xlsx")
    assert fault() == f"a.xlsx: {TOO_LARGE}"


def test_a_workbook_that_unpacks_to_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlptl.data.workbook_size._MAX_BYTES", 20 << 20)
    with zipfile.ZipFile("a.xlsx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/x.bin", b"\0" * (21 << 20))
    assert fault() == f"a.xlsx: {TOO_LARGE}"


SHARED = "officeDocument/2006/relationships/sharedStrings"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def with_shared_texts(rows: int, text: str) -> None:
    """Rewrite a.xlsx so that all rows share one text, as Excel writes it."""
    with zipfile.ZipFile("a.xlsx") as archive:
        members = {name: archive.read(name).decode() for name in archive.namelist()}
    cells = "".join(
        f'<row r="{i}"><c r="A{i}" t="s"><v>{0 if i == 1 else 2}</v></c><c r="B{i}" t="s"><v>1</v></c></row>'
        for i in range(1, rows + 2)
    )
    texts = "".join(f"<si><t>{one}</t></si>" for one in ("text", "label", text))
    members["xl/sharedStrings.xml"] = f'<sst xmlns="{MAIN}">{texts}</sst>'
    members["xl/worksheets/sheet1.xml"] = f'<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData></worksheet>'
    relation = (
        f'<Relationship Id="rId99" Type="http://schemas.openxmlformats.org/{SHARED}" Target="sharedStrings.xml"/>'
    )
    name = "xl/_rels/workbook.xml.rels"
    members[name] = members[name].replace("</Relationships>", relation + "</Relationships>")
    with zipfile.ZipFile("a.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_a_text_that_many_cells_share(monkeypatch: pytest.MonkeyPatch) -> None:
    with_shared_texts(30_000, "x" * 1000)
    assert len(load_table("a.xlsx")) == 30_000
    monkeypatch.setattr("nlptl.data.workbook_size._MAX_BYTES", 29_000_000)
    assert fault() == f"a.xlsx: {TOO_LARGE}"


def gappy_book() -> None:
    """Write a workbook with formulas whose results are missing, and with errors."""
    book = openpyxl.Workbook()
    for row in (["text", "label", "n"], ["good", "x", "=1+2"], ["bad", "y", "#REF!"], ["fine", "x", 3]):
        book.active.append(row)
    book.save("f.xlsx")


@pytest.mark.parametrize("cell", ["A3", "B3"])
@pytest.mark.parametrize("treated", [{}, {"empty_text": "skip", "empty_label": "skip"}])
def test_a_cell_without_a_value_is_refused(cell: str, treated: dict[str, str]) -> None:
    gappy_book()
    kind = "text" if cell == "A3" else "label"
    for content, told in {
        '=C2&"x"': "holds a formula without a result. Open the file in Excel and save it.",
        "#REF!": "holds the error #REF!. Correct it in Excel, and save the file.",
    }.items():
        book = openpyxl.load_workbook("f.xlsx")
        book.active[cell] = content
        book.save("f.xlsx")
        assert fault("f.xlsx", **treated) == f"f.xlsx, row 3: the cell of the {kind} {told}"


def test_a_row_of_such_cells_alone_is_not_left_out() -> None:
    gappy_book()
    book = openpyxl.load_workbook("f.xlsx")
    book.active.append(["=A2", "=B2"])
    book.active["A9"], book.active["B9"] = "=A2", "#N/A"
    book.save("f.xlsx")
    assert fault("f.xlsx") == (
        "f.xlsx, row 5: the cell of the text holds a formula without a result. Open the file in Excel and save it. The same in "
        "1 more place: f.xlsx, row 9."
    )


def test_cells_of_other_columns_make_no_rows() -> None:
    gappy_book()
    book = openpyxl.load_workbook("f.xlsx")
    book.active.insert_rows(1)
    book.active["A1"] = "=1+2"  # above the header
    book.active["C9"] = "=1+2"
    book.save("f.xlsx")
    assert load_table("f.xlsx").texts() == ["good", "bad", "fine"]


def test_formulas_with_results_are_read() -> None:
    gappy_book()
    with zipfile.ZipFile("f.xlsx") as archive:
        members = {name: archive.read(name).decode() for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    row = (
        '<row><c t="str"><f>A2</f><v>good</v></c><c t="str"><f>B2</f><v>x</v></c><c t="str"><f>""</f><v></v></c></row>'
    )
    members[name] = members[name].replace("</sheetData>", row + "</sheetData>")
    with zipfile.ZipFile("f.xlsx", "w") as archive:
        for one, content in members.items():
            archive.writestr(one, content)
    assert load_table("f.xlsx").texts() == ["good", "bad", "fine", "good"]


def test_kept_cells_without_a_value_are_counted() -> None:
    gappy_book()
    opened = open_source("f.xlsx", settings=DataSettings(), labelled=True, where="--file", whole=True)
    assert opened.remarks == (
        "f.xlsx: 2 cells of its column 'n' hold a formula without a result or an error, and are empty here.",
    )
    records = [record for raw in opened.rows() for record in raw.records or ()]
    assert records == [["good", "x", None], ["bad", "y", None], ["fine", "x", 3]]
    assert load_table("f.xlsx").texts() == ["good", "bad", "fine"]
