"""Encodings and packings are detected and told, or set; what cannot be read is told with its line."""

from __future__ import annotations

import bz2
import gzip
import os
from pathlib import Path

import pytest

from nlptl.config import parse
from nlptl.data import DataSettings, load_data, load_table
from nlptl.errors import ConfigError, DataError

TABLES = {
    "a.csv": "text,label\nwarm süp,x\n冷たい,y\n",
    "a.tsv": "text\tlabel\nwarm süp\tx\n冷たい\ty\n",
    "a.jsonl": '{"text": "warm süp", "label": "x"}\n{"text": "冷たい", "label": "y"}\n',
}
WESTERN = "is read as Windows-1252, since line {} is not UTF-8. Set `encoding:` to read it otherwise."


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def told(
    name: str, content: bytes, *, labelled: bool = True, encoding: str | None = None
) -> tuple[list[str], list[str]]:
    Path(name).write_bytes(content)
    remarks: list[str] = []
    table = load_table(name, labelled=labelled, settings=DataSettings(encoding=encoding), on_remark=remarks.append)
    return table.texts(), [remark.removeprefix(f"{name}: it ") for remark in remarks]


def fault(name: str, content: bytes | None, **chosen: str) -> str:
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_data(DataSettings.model_validate({"unlabelled": name, **chosen}), seed=1)
    return str(caught.value)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_wide_encodings(name: str, encoding: str, mark: str) -> None:
    content = (mark * (len(encoding) > 6) + TABLES[name]).encode(encoding)
    assert told(name, content) == (["warm süp", "冷たい"], [f"is read as {encoding[:6].upper()}."])
    if mark or len(encoding) > 6:
        assert told(name, content, encoding=encoding) == (["warm süp", "冷たい"], []), "the setting is accepted too"


def test_wide_text_without_a_mark() -> None:
    assert told("a.txt", "冷たい\nスープ\n".encode("utf-16-le"), labelled=False)[0] == ["冷たい", "スープ"]
    for content, texts in ((b"a\0b\n\0c\n", ["a\0b", "\0c"]), (b"0\r\n\0\r\n", ["0", "\0"])):
        assert told("a.txt", content, labelled=False)[0] == texts


def test_western_code_pages() -> None:
    text = "café crème “très” bon"
    content = f"text,label\nwarm,x\n{text},y\n".encode("cp1252")
    assert told("a.csv", content) == (["warm", text], [WESTERN.format(3)])
    assert told("a.txt", "a\nmüde\n".encode("latin-1"), labelled=False) == (["a", "müde"], [WESTERN.format(2)])
    assert told("a.txt", b"one\ntwo caf\xe9", labelled=False) == (["one", "two café"], [WESTERN.format(2)])
    assert told("a.csv", content, encoding="windows-1252") == (["warm", text], [])


@pytest.mark.parametrize(("encoding", "name"), [("cp932", "Shift-JIS"), ("euc_jp", "EUC-JP")])
def test_japanese_code_pages(encoding: str, name: str) -> None:
    remark = f"is read as {name}, since line 3 is not UTF-8. Set `encoding:` to read it otherwise."
    for text in ("冷たいスープでした。", "返品したいです（XL、至急）", "Amazonで買ったUSBケーブルがすぐ壊れた"):
        content = f"text,label\nwarm,x\n{text},y\n".encode(encoding)
        assert told("a.csv", content) == (["warm", text], [remark])


@pytest.mark.parametrize("text", ["Größe, Maß, Füße und Straße", "’tis “très bien” – said the price of €5", "plain é"])
def test_western_texts_are_not_taken_for_japanese(text: str) -> None:
    assert told("a.txt", f"{text}\n".encode("cp1252"), labelled=False) == ([text], [WESTERN.format(1)])


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("cp1251", "плохой суп"), ("shift_jis", "料理美味"), ("gbk", "很好喝"), ("euc_kr", "따뜻한 수프")],
)
def test_other_code_pages_are_set(encoding: str, text: str) -> None:
    content = f"text,label\n{text},x\n".encode(encoding)
    example = ", such as cp932 for Japanese," if encoding == "shift_jis" else ","
    assert fault("a.csv", content) == (
        f"a.csv:2: byte 0x{content[11]:02x} at offset 11 is not UTF-8. Save the file as UTF-8, set `encoding:` to its "
        f"encoding{example} or correct this line."
    )
    assert told("a.csv", content, encoding=encoding) == ([text], [])


def test_bytes_that_are_not_in_the_given_encoding() -> None:
    assert fault("a.csv", "text\nok\ncafé\n".encode(), encoding="ascii") == (
        "a.csv:3: byte 0xc3 at offset 11 is not ascii. Correct or remove `encoding:`, or correct this line."
    )
    assert fault("a.csv", "text\nok\ncafé\n".encode("cp1252"), encoding="utf8") == (
        "a.csv:3: byte 0xe9 at offset 11 is not UTF-8. Remove `encoding:`, set it to the file's encoding, or correct this line."
    )


@pytest.mark.parametrize("encoding", ["latin", "rot13", "base64", "undefined", "", "punycode"])
def test_unknown_encodings(encoding: str) -> None:
    known = {"latin": True}
    if known.get(encoding):
        assert DataSettings(encoding=encoding).encoding == "iso8859-1"
        return
    with pytest.raises(ConfigError) as caught:
        parse(DataSettings, {"encoding": encoding}, where="p.yaml: data")
    assert str(caught.value) == (
        f"p.yaml: data: encoding is {encoding!r}, which is no encoding of text. Write it as in `encoding: cp1252`."
    )


def test_packed_files() -> None:
    content = b"text,label\na,x\nb,y\n"
    assert told("a.csv.bz2", bz2.compress(content)) == (["a", "b"], [])
    assert told("a.csv", gzip.compress(content))[1] == ["is unpacked as gz, since its first bytes say so."]
    assert told("a.csv", bz2.compress(content))[1] == ["is unpacked as bz2, since its first bytes say so."]
    assert fault("a.csv.bz2", content) == (
        "a.csv.bz2: the name ends in .bz2, but the file is not valid bzip2 (Invalid data stream). Pack it again, or remove .bz2 "
        "from the name if it is not packed."
    )
    assert fault("a.csv.bz2", bz2.compress(os.urandom(3000))[:-500]) == (
        "a.csv.bz2: the bzip2 file is incomplete. Copy or pack it again."
    )


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"PAR1", "a parquet file, whatever its name ends in. Rename it to end in .parquet."),
        (
            b"PK\x03\x04",
            "an Excel workbook or a zip archive, whatever its name ends in. Rename it to end in .xlsx, or unpack it.",
        ),
        (b"\xd0\xcf\x11\xe0", "an old Excel workbook, whatever its name ends in. Rename it to end in .xls."),
        (b"\xfd7zXZ\x00", "packed by xz, whatever its name ends in. Unpack it with `xz -d`."),
        (b"%PDF-1.7", "a PDF document, whatever its name ends in. Write its texts as .txt, .csv or .jsonl."),
    ],
)
def test_files_of_another_format(head: bytes, sentence: str) -> None:
    for name in ("a.csv", "a.txt", "a.jsonl", "a.tsv"):
        assert fault(name, head + b"....") == f"{name}: the file is {sentence}"


def test_a_json_array_is_not_json_lines() -> None:
    for content in (
        '[{"text": "a"}, {"text": "b"}]',
        '[\n{"text": "a"},\n{"text": "b"}\n]',
        '[{"text": "a"},\n{"text": "b"}]',
    ):
        assert fault("a.jsonl", content.encode()) == (
            "a.jsonl:1: the file is one JSON array, but each line must be a JSON object. Write its objects on lines of their "
            "own, for example with `jq -c '.[]'`."
        )


def test_mixed_line_ends_of_a_pile_are_told() -> None:
    Path("a.txt").write_bytes(b"one\r\ntwo\rthree\nfour\n")
    _, report = load_data(DataSettings(unlabelled="a.txt"), seed=1)
    assert report.sentences() == ["unlabelled: a.txt: line 2 holds a CR, which ends no line where others end in LF."]
    Path("a.txt").write_bytes(b"one\r\ntwo\r\n")
    _, report = load_data(DataSettings(unlabelled="a.txt"), seed=1)
    assert report.sentences() == []


def test_paths_that_are_no_files() -> None:
    assert fault("a\0.csv", None) == (
        "data.unlabelled: 'a\\x00.csv' cannot be opened (embedded null byte). Check the path."
    )
    assert fault("caf\udce9.csv", None) == (
        "data.unlabelled: the path 'caf\\udce9.csv' is not UTF-8. Give the file a name in UTF-8."
    )
    os.mkfifo("a.csv")
    for name in ("a.csv", "/dev/null"):
        assert fault(name, None) == (
            f"data.unlabelled: {name} is a pipe or a device, which cannot be read twice. Save its content in a file, and give "
            "that."
        )
    for raw in ("", " "):
        with pytest.raises(ConfigError) as caught:
            parse(DataSettings, {"unlabelled": raw}, where="p.yaml: data")
        assert str(caught.value) == (
            "p.yaml: data: unlabelled is not a source. Give the path of a file, or a block with `file: ...` or `hub: ...`."
        )
    with pytest.raises(ConfigError) as caught:
        parse(DataSettings, {"unlabelled": [{"file": ""}]}, where="p.yaml: data")
    assert str(caught.value) == "p.yaml: data: unlabelled.0.file is empty. Give the path of a file."


@pytest.mark.parametrize("name", ["a.csv", "a.txt.gz", "a.parquet", "a.xlsx"])
def test_a_file_that_may_not_be_read_is_told_as_such(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(name).write_bytes(b"text\na\n")
    monkeypatch.setattr("nlptl.data.compressed_files._opened", _refused)
    assert fault(name, None) == (
        f"{name}: the file cannot be read (Permission denied). Check the file and its permissions."
    )


def _refused(*_: object) -> None:
    raise PermissionError(13, "Permission denied")
