"""Files in which no texts or labels can be found: each is told in a sentence that says what to do."""

from __future__ import annotations

import csv
import io
import struct
from pathlib import Path

import openpyxl
import pytest

from nlptl.data.discovery import discover
from nlptl.errors import DataError
from tests.data.discovery.rows import cycled, english, rows

OTHER_LABELS = "Name another column with `--label`, or label rows with a few labels."


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def table(name: str, header: list[str], *columns: list[object] | list[str]) -> Path:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([header, *rows(*columns)])
    Path(name).write_text(file.getvalue())
    return Path(name)


def fault(*files: Path | str, **given: object) -> str:
    with pytest.raises(DataError) as caught:
        discover([Path(file) for file in files], **given)
    return str(caught.value)


def test_no_column_of_texts() -> None:
    path = table(
        "a.csv", ["nr", "price", "day"], cycled(*range(40)), [f"{i}.5" for i in range(40)], ["2024-01-05"] * 40
    )
    assert fault(path) == (
        "a.csv: found no column with texts; expected one with sentences. If a column holds texts, name it with `--text`.\n"
        "  'nr': 40 different ids, such as '0', '1', '2'\n"
        "  'price': 40 different numbers, such as '0.5', '1.5', '2.5'\n"
        "  'day': one value, such as '2024-01-05'"
    )


def test_no_column_of_labels() -> None:
    path = table("a.csv", ["text", "name", "day"], english(), [f"Jane {i}" for i in range(40)], [""] * 40)
    assert fault(path) == (
        "a.csv: found no column with labels; expected one with a few different values, each in at least 3 rows. If a column "
        "holds labels, name it with `--label`.\n"
        "  'name': 40 different short values, such as 'Jane 0', 'Jane 1', 'Jane 2'\n"
        "  'day': no values"
    )


@pytest.mark.parametrize("given", [None, "label"])
def test_one_label(given: str | None) -> None:
    assert fault(table("a.csv", ["text", "label"], english(), ["good"] * 40), label=given) == (
        "a.csv: the column 'label' has the one label 'good'; expected at least two labels. Label rows with other labels, or name "
        "another column with `--label`."
    )


@pytest.mark.parametrize("given", [None, "label"])
def test_labels_that_are_all_different(given: str | None) -> None:
    assert fault(table("a.csv", ["text", "label"], english(), [f"T-{i}" for i in range(40)]), label=given) == (
        f"a.csv: the column 'label' has 40 different values in 40 rows, so it is no column of labels. {OTHER_LABELS}"
    )


@pytest.mark.parametrize("given", [None, "label"])
def test_few_labelled_rows_with_different_labels(given: str | None) -> None:
    labels = ["good", "bad", *[""] * 38]
    assert fault(table("a.csv", ["text", "label"], english(), labels), label=given) == (
        "a.csv: the column 'label' has 2 labels in 2 labelled rows; expected at least 3 rows of a label on average. Label more "
        "rows, or name another column with `--label`."
    )


def test_dates_named_as_labels() -> None:
    days = cycled("2024-01-05", "2024-01-06")
    path = table("a.csv", ["text", "label", "day"], english(), cycled("a", "b"), days)
    assert fault(path, label="day") == (
        f"a.csv: the column 'day' has 2 different values in 40 rows, so it is no column of labels. {OTHER_LABELS}"
    )


@pytest.mark.parametrize("given", [None, "label"])
def test_more_labels_than_a_third_of_the_rows(given: str | None) -> None:
    labels = cycled(*(f"topic {letter}" for letter in "abcdefghijklmnopqrst"))
    assert fault(table("a.csv", ["text", "label"], english(), labels), label=given) == (
        "a.csv: the column 'label' has 20 labels in 40 rows; expected at least 3 rows of a label on average. Label more rows, "
        "join rare labels, or name another column with `--label`."
    )


def test_an_empty_sheet_and_a_header_alone() -> None:
    book = openpyxl.Workbook()
    book.save("empty.xlsx")
    assert fault("empty.xlsx") == "empty.xlsx, sheet 'Sheet': there are no rows. Add rows, or choose another source."
    book.active.append(["text", "label"])
    book.save("header.xlsx")
    assert fault("header.xlsx") == "header.xlsx: there are no rows. Add rows, or choose another source."


def test_a_workbook_with_a_password() -> None:
    Path("a.xlsx").write_bytes(encrypted_workbook())
    assert fault("a.xlsx") == "a.xlsx: the workbook has a password. Save it without one."


def test_a_broken_workbook() -> None:
    Path("a.xlsx").write_bytes(b"PK\x03\x04" + bytes(range(256)) * 4)
    assert fault("a.xlsx") == (
        "a.xlsx: the file is not a readable Excel workbook (File is not a zip file). Save it again as .xlsx, or give its real "
        "format the right ending."
    )


def test_a_title_above_the_header_of_a_sheet() -> None:
    book = openpyxl.Workbook()
    for row in (["Tickets of March"], ["text", "label", "day"], *rows(english(), cycled("a", "b"), cycled(1, 2))):
        book.active.append(row)
    book.save("a.xlsx")
    assert fault("a.xlsx") == (
        "a.xlsx: the first row has 1 cell, row 2 has 3; expected the names of the columns in the first row. Remove the rows "
        "above the header."
    )


def test_two_files_with_other_columns() -> None:
    one = table("a.csv", ["text", "label"], english(), cycled("a", "b"))
    other = table("b.csv", ["body", "class"], english(), cycled("a", "b"))
    assert fault(one, other) == (
        "b.csv: found the columns 'body', 'class'; expected those of a.csv, 'text', 'label'. Rename the columns, or give texts "
        "without labels as `--unlabelled` and a test as `--test`."
    )


def test_a_column_that_is_not_there() -> None:
    path = table("a.csv", ["text", "label"], english(), cycled("a", "b"))
    assert fault(path, label="lable") == (
        "a.csv: there is no column 'lable' with the labels; the columns are 'text', 'label'. Did you mean 'label'? Correct "
        "`--label`."
    )
    empty = table("b.csv", ["text", "label", "class"], english(), cycled("a", "b"), [""] * 40)
    assert fault(empty, label="class") == (
        "b.csv: the column 'class' is empty; expected labels in some of its 40 rows. Label at least 3 rows of each label, or name "
        "another column with `--label`."
    )
    assert fault(empty, text="class") == "b.csv: the column 'class' is empty. Name another one with `--text`."


def test_a_missing_file() -> None:
    table("tickets.csv", ["text", "label"], english(), cycled("a", "b"))
    assert fault("ticket.csv") == "FILE: there is no file 'ticket.csv'. Did you mean 'tickets.csv'? Check the path."


def test_no_file_and_the_same_file_twice() -> None:
    assert fault() == "found no file; expected one with texts and labels. Name it."
    path = table("a.csv", ["text", "label"], english(), cycled("a", "b"))
    assert fault(path, path) == "FILE: a.csv is named twice. Name it once."


def test_a_folder_without_texts() -> None:
    Path("mails").mkdir()
    Path("mails/scan.pdf").write_text("%PDF")
    assert fault("mails") == (
        "FILE: mails is a folder without .txt files. It holds 'scan.pdf'. Give the path of a file, or of a folder that holds "
        "each text as a .txt file."
    )


def test_texts_without_labels() -> None:
    Path("mails.txt").write_text("one mail\nanother mail\n")
    assert fault("mails.txt") == (
        "found texts without labels in 'mails.txt'; expected labels too. Give a table with a column of labels, or a folder that "
        "holds a folder of .txt files for each label."
    )
    path = table("a.csv", ["text", "label"], english(), cycled("a", "b"))
    assert fault(path, test=Path("mails.txt")) == (
        "--test: mails.txt has no labels; expected texts with their labels. Give a table with a column of labels, or leave out "
        "`--test`."
    )


def test_a_table_in_a_txt_file() -> None:
    Path("SMS.TXT").write_text("ham\tsee you\nspam\twin a prize\n")
    assert fault("SMS.TXT") == (
        "SMS.TXT: each line has 2 fields with tabs between them; expected a text on each line. Rename it to SMS.tsv, so that it "
        "is read as a table."
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "the file is a PNG image, whatever its name ends in. Give a file of texts."),
        (
            bytes(range(256)) * 9,
            "the file is not text, since it holds NUL bytes and is not UTF-8. Give a file of texts, or set `encoding:` to its "
            "encoding.",
        ),
    ],
)
def test_a_binary_file(content: bytes, told: str) -> None:
    Path("a.csv").write_bytes(content)
    assert fault("a.csv") == f"a.csv: {told}"


def encrypted_workbook() -> bytes:
    """Return a compound file with the stream in which Excel puts a workbook that has a password."""
    free, end, table_sector, nothing = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF
    header = struct.pack("<8s16sHHHHH6x", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack("<9I", 0, 1, 1, 0, 4096, end, 0, end, 0) + struct.pack("<109I", 0, *[free] * 108)
    sectors = struct.pack("<128I", table_sector, end, *[free] * 126)
    for name, kind, child in (
        ("Root Entry", 5, 1),
        ("EncryptedPackage", 2, nothing),
        ("", 0, nothing),
        ("", 0, nothing),
    ):
        encoded = name.encode("utf-16-le")
        sectors += struct.pack(
            "<64sHBBIII16x4x16xIQ", encoded, len(encoded) + 2, kind, 1, nothing, nothing, child, end, 0
        )
    return header + sectors
