"""Tables as people have them: the layout is detected and told, or set; no row is lost or merged without a word."""

from __future__ import annotations

import csv
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlptl.config import parse
from nlptl.data import DataSettings, FileSource, load_data, load_table, stream_texts
from nlptl.data.csv_layouts import wide_fields
from nlptl.errors import ConfigError, DataError

Read = tuple[list[str], list[str], list[str]]

SEMICOLON = "a semicolon separates its fields."
BLANKS = "blanks behind its separators are left out."
PLAIN = "its quotes are read as plain characters, since each line is a row."


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLPTL_CACHE", str(tmp_path / "cache"))


def read(name: str, content: str | bytes, **chosen: Any) -> Read:
    """Return texts, labels and the sentences on how the file is read."""
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    data, report = load_data(DataSettings.model_validate({"labelled": name, **chosen}), seed=1)
    assert data.labelled is not None
    told = [sentence.removeprefix(f"labelled: {name}: ") for sentence in report.parts["labelled"].remarks]
    return data.labelled.texts(), data.labelled.labels(), [one.removeprefix(f"{name}: ") for one in told]


def fault(name: str, content: str, **chosen: Any) -> str:
    Path(name).write_text(content)
    with pytest.raises(DataError) as caught:
        load_data(DataSettings.model_validate({"labelled": name, **chosen}), seed=1)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "text,label\nwarm; soup,x\ncold,y\n", []),
        ("a.csv", "\ufefftext;label\r\nwarm; soup;x\r\ncold;y\r\n".replace("warm; soup", '"warm; soup"'), [SEMICOLON]),
        ("a.csv", 'sep=;\r\ntext;label\r\n"warm; soup";x\r\ncold;y\r\n', [SEMICOLON]),
        ("a.csv", '"sep=,"\ntext,label\nwarm; soup,x\ncold,y\n', []),
        ("a.csv", "text\tlabel\nwarm; soup\tx\ncold\ty\n", ["a tab separates its fields."]),
        ("a.csv", "text|label\nwarm; soup|x\ncold|y\n", ["a vertical bar separates its fields."]),
        ("a.tsv", "text,label\nwarm; soup,x\ncold,y\n", ["a comma separates its fields."]),
        ("a.tsv", "id\tlabel\ttext\n1\tx\twarm; soup\n2\ty\tcold\n", []),
        ("a.csv", 'text, label\n"warm; soup", x\n"cold", y\n', [BLANKS]),
        ("a.csv", 'text,label\n"warm; soup", "x"\n"cold", "y"\n', [BLANKS]),
        ("a.csv", "text,label\rwarm; soup,x\rcold,y\r", ["its lines end in CR, as on an old Macintosh."]),
        ("a.csv", "text,label\r\nwarm; soup,x\ncold,y\r\n", []),
        ("a.csv", "text,label\r\nwarm; soup,x\r\ncold,y\r\n\x1a", []),
        ("a.csv", "text,label\nwarm; soup,x\ncold,y\n\n \n\r\n", []),
    ],
)
def test_one_table_in_many_layouts(name: str, content: str, told: list[str]) -> None:
    assert read(name, content) == (["warm; soup", "cold"], ["x", "y"], told)


def test_the_header_decides_where_the_texts_hold_other_separators() -> None:
    rows = "".join(f"one, two, three {i};{'ab'[i % 2]}\n" for i in range(20))
    texts, labels, told = read("a.csv", "text;label\n" + rows)
    assert texts[0] == "one, two, three 0"
    assert set(labels) == {"a", "b"}
    assert told == [SEMICOLON]


def test_columns_in_other_case_or_with_blanks() -> None:
    assert read("a.csv", "Text ,LABEL\na,x\nb,y\n") == (
        ["a", "b"],
        ["x", "y"],
        ["the column 'Text ' is read as 'text'.", "the column 'LABEL' is read as 'label'."],
    )
    assert read("a.jsonl", '{"Text ": "a", "LABEL": "x"}\n{"text": "b", "label": "y"}\n')[:2] == (
        ["a", "b"],
        ["x", "y"],
    )
    assert fault("a.csv", "Text,text ,label\na,b,x\n", text_column="TEXT") == (
        "a.csv:1: there are two columns like 'TEXT': 'Text', 'text '. Rename one of them."
    )


QUOTES = 'warm soup\tgood\n"lovely bread, kind staff\tgood\ncold soup\tbad\nthe screen is 12"\tbad\nfair\tgood\n'


def test_plain_quotes_of_a_tsv_file_merge_no_rows() -> None:
    texts, labels, told = read("a.tsv", "text\tlabel\n" + QUOTES)
    assert texts == ["warm soup", '"lovely bread, kind staff', "cold soup", 'the screen is 12"', "fair"]
    assert labels == ["good", "good", "bad", "bad", "good"]
    assert told == [PLAIN]
    assert read("a.tsv", 'text\tlabel\nsays "hi\tx\nok\ty\n') == (['says "hi', "ok"], ["x", "y"], [])
    for text in ('"great" movie', '"unclosed', '"'):
        assert read("a.tsv", f"text\tlabel\n{text}\tx\nok\ty\n") == ([text, "ok"], ["x", "y"], [PLAIN])


def test_quotes_of_a_tsv_file_that_csv_writers_wrote() -> None:
    content = 'text\tlabel\n"great ""a"" movie"\tx\n"two\nlines"\ty\n'
    assert read("a.tsv", content) == (['great "a" movie', "two\nlines"], ["x", "y"], [])
    assert read("a.tsv", 'text\tlabel\n"a"\tx\n"b"\ty\n')[0] == ["a", "b"]
    assert read("a.tsv", 'text\tlabel\n"a"\tx\n"b"\ty\n', quoting="none")[0] == ['"a"', '"b"']


@given(texts=st.lists(st.text('"a', min_size=1, max_size=6), min_size=2, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_tsv_file_keeps_a_row_for_each_line(texts: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{text}b\tx\n" for text in texts))
    table = load_table(str(path))
    assert len(table) == len(texts)


def test_quotes_of_a_comma_file_that_swallow_rows_are_refused() -> None:
    rows = QUOTES.replace(",", "").replace("\t", ",")
    assert fault("a.csv", "text,label\n" + rows) == (
        "a.csv:3: quotes make one row of 3 lines, each of which would be a row with a label. Set `quoting: none` if quotes are "
        "plain characters, or double the quotes inside a field in quotes."
    )
    assert len(read("a.csv", "text,label\n" + rows, quoting="none")[0]) == 5
    Path("pile.csv").write_text('text,id\nwarm,1\n"bread,2\n12",3\n')
    _, report = load_data(DataSettings(unlabelled="pile.csv"), seed=1)
    assert report.sentences() == [
        "unlabelled: pile.csv: quotes make 3 rows of its 4 lines. Set `quoting: none` if quotes are plain characters."
    ]


def test_line_ends_inside_quotes_are_no_rows() -> None:
    content = 'text,label\n"Dear Sir,\nhello",good\n"cold\nbad, soup",bad\n'
    assert read("a.csv", content) == (["Dear Sir,\nhello", "cold\nbad, soup"], ["good", "bad"], [])


def test_a_file_without_header() -> None:
    assert fault("a.csv", "warm soup,good\ncold soup,bad\n") == (
        "a.csv:1: there is no column 'text' with the texts; the columns are 'warm soup', 'good'. Name the column with "
        "`text_column:`, or with `text:` under this source. If the first row is data, set `header: false`."
    )
    rows = "warm soup,good\ncold soup,bad\n"
    assert read("a.csv", rows, header=False) == (["warm soup", "cold soup"], ["good", "bad"], [])
    assert read("a.csv", "good;warm\nbad;cold\n", header=False, label_column=1) == (
        ["warm", "cold"], ["good", "bad"], [SEMICOLON],
    )  # fmt: skip
    news = '"3","Title one","Some, text"\n"1","Title two","Other"\n'
    found = read("a.csv", news, header=False, label_column=1, text_column=[2, 3])
    assert found[:2] == (["Title one\nSome, text", "Title two\nOther"], ["3", "1"])
    assert read("a.csv", news, header=False, label_column="1", text_column="3")[0] == ["Some, text", "Other"]


def test_columns_without_header_have_numbers() -> None:
    assert read("a.csv", "text,label\na,x\n", header=False)[2] == [
        "its first row is read as data, although it seems to name the columns."
    ]
    assert fault("a.csv", "a,b,c\n", header=False, label_column="class") == (
        "a.csv:1: the table has no header (`header: false`), so there is no column 'class'. Give its number, from 1 to 3, as "
        "`label_column:`, or as `label:` under this source."
    )
    assert fault("a.csv", "a,b,c\n", header=False, text_column=7) == (
        "a.csv:1: there is no column 7 with the texts; the table has 3 columns. Correct `text_column:`, or `text:` under this "
        "source."
    )


def test_a_separator_that_is_not_detected_is_set() -> None:
    assert fault("a.csv", "text$label\na$x\nb$y\n") == (
        "a.csv:1: there is no column 'text' with the texts; the columns are 'text$label'. Name the column with `text_column:`, "
        "or with `text:` under this source. If another character separates the fields, set `delimiter:`."
    )
    assert read("a.csv", "text$label\na$x\nb$y\n", delimiter="$") == (["a", "b"], ["x", "y"], [])
    with pytest.raises(ConfigError) as caught:
        parse(DataSettings, {"delimiter": "::", "test": {"file": "a.csv", "delimiter": ""}}, where="p.yaml: data")
    assert caught.value.faults == (
        "p.yaml: data: test.delimiter is '', but must be one character, such as ';', or `tab`.",
        "p.yaml: data: delimiter is '::', but must be one character, such as ';', or `tab`.",
    )


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            {"file": "a.jsonl", "delimiter": ";"},
            "a.jsonl has no delimiter, since it is a .jsonl file. Remove `delimiter:`.",
        ),
        (
            {"file": "a.parquet", "encoding": "cp1252"},
            "a.parquet has no encoding, since it is a .parquet file. Remove `encoding:`.",
        ),
        ({"file": "a.csv.gz", "sheet": 2}, "a.csv.gz has no sheet, since it is a .csv file. Remove `sheet:`."),
        ({"file": "a.txt", "header": False}, "a.txt has no header, since it is a .txt file. Remove `header:`."),
    ],
)
def test_settings_that_a_file_cannot_have(source: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(DataSettings, {"test": source}, where="p.yaml: data")
    assert str(caught.value) == f"p.yaml: data: test: {sentence}"


def test_columns_joined_to_one_text() -> None:
    content = "title,body,label\nA,b b,x\n,c,y\nD,,x\n"
    assert read("a.csv", content, text_column=["title", "body"])[0] == ["A\nb b", "c", "D"]
    rows = '{"title": "A", "body": null, "label": "x"}\n{"title": "B", "body": "c", "label": "y"}\n'
    assert read("a.jsonl", rows, text_column=["title", "body"])[0] == ["A", "B\nc"]
    Path("a.csv").write_text(content)
    source = FileSource(file="a.csv", text=["body", "title"])
    assert load_table(source, labelled=False).texts() == ["b b\nA", "c", "D"]
    assert list(stream_texts(source)) == [["b b\nA", "c", "D"]]
    assert fault("a.csv", content, text_column=["title", "boby"]) == (
        "a.csv:1: there is no column 'boby' with the texts; the columns are 'title', 'body', 'label'. Did you mean 'body'? Name "
        "the column with `text_column:`, or with `text:` under this source."
    )


def test_settings_of_one_file_come_before_those_of_the_block() -> None:
    Path("a.csv").write_text("x;1\ny;2\n")
    chosen = DataSettings(delimiter=",", header=True)
    source = FileSource(file="a.csv", delimiter="semicolon", header=False)
    assert load_table(source, settings=chosen).labels() == ["1", "2"]
    told: list[str] = []
    load_table(FileSource(file="a.csv", header=False), on_remark=told.append)
    assert told == [f"a.csv: {SEMICOLON}"]


def test_two_readings_of_a_file_do_not_share_a_cached_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 1)
    Path("a.tsv").write_bytes('text\tlabel\n"caf\xe9"\tx\n"b"\ty\n'.encode("cp1252"))
    found = {
        tuple(load_table(FileSource(file="a.tsv", **more)).texts())  # type: ignore[arg-type]
        for more in (
            {},
            {"quoting": "none"},
            {"encoding": "cp1251"},
            {"header": False},
            {"text": "label", "label": "text"},
        )
    }
    assert len(found) == 5


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_repeated_header_is_refused(mark: str) -> None:
    assert fault("a.csv", f"{mark}text,label\na,x\n\n{mark}text,label\nb,y\n") == (
        "a.csv:4: the row repeats the header, as where two files were joined. Remove the row."
    )
    Path("a.csv").write_text("text\na\ntext\n")
    assert load_table("a.csv", labelled=False).texts() == ["a", "text"]


def test_a_repeated_byte_order_mark_and_a_nul_are_told() -> None:
    assert read("a.csv", "text,label\na,x\n\ufeffb,y\n")[2] == [
        "line 3 begins with a byte-order mark, as where two files were joined."
    ]
    assert read("a.csv", "text,label\na,x\nb\0b,y\n")[2] == ["line 3 holds a NUL character, which stays in the text."]


def test_a_header_in_quotes_says_that_quotes_quote(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text('"label"\t"text"\n"0"\t"0\n\t"\n')
    assert load_table(str(path)).texts() == ["0\n\t"]


def test_threads_read_csv_side_by_side(tmp_path: Path) -> None:
    own, long = csv.field_size_limit(), "x " * 100_000
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + f"{long},a\nshort,b\n" * 20)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: len(load_table(str(path))), range(24)))
    assert found == [40] * 24
    assert csv.field_size_limit() == own


def test_one_thread_at_a_time_widens_the_limit_of_fields() -> None:
    own, entered, seen = csv.field_size_limit(), threading.Event(), list[int]()

    def other() -> None:
        entered.set()
        with wide_fields(500_000):
            seen.append(csv.field_size_limit())

    with wide_fields(400_000):
        thread = threading.Thread(target=other)
        thread.start()
        entered.wait()
        thread.join(0.05)
        seen.append(csv.field_size_limit())
        with wide_fields(300_000):
            seen.append(csv.field_size_limit())
    thread.join()
    assert seen == [400_000, 300_000, 500_000]
    assert csv.field_size_limit() == own
