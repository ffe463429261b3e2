"""Every fault of the data is told in one full sentence with its place."""

from __future__ import annotations

import errno
import gzip
import io
import os
import re
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nlptl.config import load_yaml, parse
from nlptl.data import DataSettings, LabelNames, TextData, TextTable, draw_shots, load_data, load_table
from nlptl.errors import ConfigError, DataError

GOOD = "text,label\ngood,pos\nbad,neg\n"
EMPTY_LABEL = (
    "the label is empty. Remove the row, fill in the label, or set `empty_label: skip` to leave out all such rows."
)
EMPTY_LABEL_IN_PYTHON = (
    'the label is empty. Remove the row, fill in the label, or give `empty_label="skip"` to leave out all such rows.'
)


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLPTL_CACHE", str(tmp_path / "cache"))


def fault(name: str, content: str | bytes | None = None, *, labelled: bool = True, **settings: Any) -> str:
    """Return the sentence that reading `name` as one part raises."""
    if content is not None:
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    part = "labelled" if labelled else "unlabelled"
    with pytest.raises(DataError) as caught:
        load_data(DataSettings.model_validate({part: name, **settings}), seed=1)
    return str(caught.value)


def parquet(**columns: list[Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def json_rows(*rows: str) -> str:
    return "".join(row + "\n" for row in rows)


def test_missing_file() -> None:
    Path("train.csv").write_text(GOOD)
    assert fault("trian.csv") == (
        "data.labelled: there is no file 'trian.csv'. Did you mean 'train.csv'? Check the path."
    )
    assert fault("nowhere/x.csv") == ("data.labelled: there is no file 'nowhere/x.csv'. Check the path.")


def test_missing_file_in_a_list_of_sources() -> None:
    Path("a.txt").write_text("one\n")
    with pytest.raises(DataError) as caught:
        load_data(DataSettings(unlabelled=["a.txt", "zzz.csv"]), seed=1, where="p.yaml: data")
    assert str(caught.value) == ("p.yaml: data.unlabelled.1: there is no file 'zzz.csv'. Check the path.")


def test_folder_without_texts() -> None:
    Path("train.csv").mkdir()
    remedy = "Give the path of a file, or of a folder that holds each text as a .txt file."
    assert fault("train.csv") == f"data.labelled: train.csv is a folder without .txt files. {remedy}"
    Path("train.csv/rows.csv").write_text(GOOD)
    assert fault("train.csv") == (
        f"data.labelled: train.csv is a folder without .txt files. It holds 'rows.csv'. {remedy}"
    )


def test_folder_of_texts_without_labels() -> None:
    Path("mails").mkdir()
    Path("mails/1.txt").write_text("one\n")
    assert fault("mails") == (
        "data.labelled: mails is a folder of texts without labels. Put the texts of each label into a folder in it that has "
        "the label's name, or give it as `unlabelled:`."
    )


def test_folder_with_a_setting_of_tables() -> None:
    Path("mails").mkdir()
    Path("mails/1.txt").write_text("one\n")
    with pytest.raises(DataError) as caught:
        load_data(DataSettings.model_validate({"unlabelled": {"file": "mails", "text": "body"}}), seed=1)
    assert str(caught.value) == "data.unlabelled: mails is a folder of texts, which has no text. Remove `text:`."


def test_json_lines_none_of_which_has_a_label() -> None:
    rows = json_rows('{"text": "one", "labl": "a"}', '{"text": "two"}')
    assert fault("rows.jsonl", rows, empty_label="unlabelled") == (
        "rows.jsonl:1: there is no column 'label' with the labels; the columns are 'text', 'labl'. Did you mean 'labl'? Name the "
        "column with `label_column:`, or with `label:` under this source."
    )


def test_unknown_suffix() -> None:
    assert fault("train.json", "[]") == (
        "train.json: files that end in '.json' are not supported. Write one JSON object on each line of a .jsonl file, "
        "for example with `jq -c '.[]'`."
    )
    assert fault("train.jsnol.gz", "") == (
        "train.jsnol.gz: files that end in '.jsnol' are not supported. Did you mean '.jsonl'? Use .txt, .csv, .tsv, "
        ".jsonl or .parquet, each with or without .gz, or .xlsx."
    )
    assert fault("train.csv.zip", "") == (
        "train.csv.zip: files that end in '.zip' are not supported. Unpack it, or pack it as .gz or .bz2."
    )


def test_labelled_txt() -> None:
    assert fault("train.txt", "one\n") == (
        "data.labelled: train.txt has no labels, since it is a .txt file. Use a .csv, .tsv, .jsonl or .parquet file "
        "with a text and a label in each row."
    )


@pytest.mark.parametrize(
    ("name", "content", "at"),
    [
        ("a.csv", "texts,label\na,b\n", "a.csv:1"),
        ("a.tsv", "\ntexts\tlabel\na\tb\n", "a.tsv:2"),
        ("a.jsonl", '\n{"texts": "a", "label": "b"}\n', "a.jsonl:2"),
        ("a.parquet", parquet(texts=["a"], label=["b"]), "a.parquet"),
    ],
)
def test_missing_text_column(name: str, content: str | bytes, at: str) -> None:
    assert fault(name, content) == (
        f"{at}: there is no column 'text' with the texts; the columns are 'texts', 'label'. Did you mean 'texts'? "
        "Name the column with `text_column:`, or with `text:` under this source."
    )


@pytest.mark.parametrize(
    ("name", "content", "at"),
    [
        ("a.csv", "text,score\na,b\n", "a.csv:1"),
        ("a.jsonl", '{"text": "a", "score": "b"}\n', "a.jsonl:1"),
        ("a.parquet", parquet(text=["a"], score=["b"]), "a.parquet"),
    ],
)
def test_missing_label_column(name: str, content: str | bytes, at: str) -> None:
    assert fault(name, content) == (
        f"{at}: there is no column 'label' with the labels; the columns are 'text', 'score'. Name the column with "
        "`label_column:`, or with `label:` under this source."
    )


def test_column_twice() -> None:
    assert fault("a.csv", "text,label,text\na,b,c\n") == ("a.csv:1: there are two columns 'text'. Rename one of them.")


@pytest.mark.parametrize(
    ("name", "content", "at"),
    [
        ("a.txt", "one\n\nthree\n", "a.txt:2"),
        ("a.txt", "one\n \t\nthree\n", "a.txt:2"),
        ("a.txt", "one\ntwo\n\n", "a.txt:3"),
        ("a.csv", 'text,label\n"a\nb",x\n"",y\n', "a.csv:4"),
        ("a.tsv", "text\tlabel\na\tx\n \ty\n", "a.tsv:3"),
        ("a.jsonl", json_rows('{"text": "a", "label": 1}', "", '{"text": null, "label": 1}'), "a.jsonl:3"),
        ("a.parquet", parquet(text=["a", None], label=["x", "y"]), "a.parquet, row 2"),
        ("a.txt.gz", gzip.compress(b"one\n\n", mtime=0), "a.txt.gz:2"),
    ],
)
def test_empty_text(name: str, content: str | bytes, at: str) -> None:
    assert fault(name, content, labelled=".txt" not in name) == (
        f"{at}: the text is empty. Remove the row, fill in the text, or set `empty_text: skip` to leave out all such "
        "rows."
    )


@pytest.mark.parametrize(
    ("name", "content", "at"),
    [
        ("a.csv", "text,label\na,x\nb,\n", "a.csv:3"),
        ("a.csv", 'text,label\n"a\r\n2",x\nb," "\n', "a.csv:4"),
        ("a.jsonl", json_rows('{"text": "a", "label": null}'), "a.jsonl:1"),
        ("a.jsonl", json_rows('{"text": "a", "label": NaN}'), "a.jsonl:1"),
        ("a.parquet", parquet(text=["a", "b"], label=[1, None]), "a.parquet, row 2"),
    ],
)
def test_empty_label(name: str, content: str | bytes, at: str) -> None:
    assert fault(name, content) == (f"{at}: {EMPTY_LABEL}")


def test_label_of_another_kind() -> None:
    assert fault("a.jsonl", '{"text": "a", "label": 0.5}\n') == (
        "a.jsonl:1: the label is 0.5 (float), but must be a name or a whole number."
    )
    assert fault("a.jsonl", json_rows('{"text": "a", "label": ["x"]}', '{"text": "b", "label": "x"}')) == (
        "a.jsonl:1: the label is ['x'] (list), but must be a name or a whole number. Give each row one label, or all rows lists."
    )


def test_text_that_is_no_string() -> None:
    assert fault("a.jsonl", json_rows('{"text": "a", "label": 1}', '{"text": 7, "label": 1}')) == (
        "a.jsonl:2: the text is 7 (int), but must be a string. Put it in quotes, or name another column."
    )
    assert fault("a.parquet", parquet(text=[1.5], label=["x"])) == (
        "a.parquet, row 1: the text is 1.5 (float), but must be a string. Put it in quotes, or name another column."
    )


@pytest.mark.parametrize("part", ["test", "validation"])
def test_label_that_labelled_lacks(part: str) -> None:
    Path("train.csv").write_text(GOOD)
    Path("other.csv").write_text('text,label\n"two\nlines",pos\n,pos\nok,neg\nhm,nge\nah,nge\n')
    settings = DataSettings.model_validate({"labelled": "train.csv", part: "other.csv", "empty_text": "skip"})
    with pytest.raises(DataError) as caught:
        load_data(settings, seed=1)
    assert str(caught.value) == (
        "other.csv:6: train.csv has no label 'nge'; its labels are 'neg', 'pos'. Did you mean 'neg'? Correct the "
        "label, or add labelled rows for it."
    )


def test_a_name_for_a_label_that_seems_a_typo_of_one_with_rows() -> None:
    assert fault("train.csv", GOOD, label_names={"pos": "good", "nge": "bad"}) == (
        "data.label_names: train.csv has no label 'nge'; its labels are 'neg', 'pos'. Did you mean 'neg'? Correct the label, "
        "or name 'neg' too."
    )


def test_names_alone_are_the_labels_of_the_test() -> None:
    assert fault("train.csv", GOOD, label_names={"pos": "good"}, labelled=False) == (
        "data.label_names: only the label 'pos' has a name. Without labelled examples, all labels need names: give "
        "at least two."
    )
    Path("test.csv").write_text("text,label\nfine,pos\nodd,mixed\n")
    assert fault("train.csv", GOOD, label_names={"pos": "good", "neg": "bad"}, labelled=False, test="test.csv") == (
        "test.csv:3: label_names has no label 'mixed'; its labels are 'neg', 'pos'. Correct the label, or add a name "
        "for it."
    )


NO_NAME = "the name of the label 'pos' is {}, but must be a text. Put it in quotes."
NO_LABEL = "the label {} must be a name or a whole number."
TRUTH = "the label is {}, since YAML reads true, false, yes, no, on and off as truth values. Put the label in quotes."
NO_NAMES = "{} names no labels. Give each label a few words that say what it means, or remove the setting."


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("{pos: 7}", NO_NAME.format("7")),
        ("{pos: null}", NO_NAME.format("None")),
        ("{pos: [a, b]}", NO_NAME.format("['a', 'b']")),
        ("{pos: ' '}", "the name of the label 'pos' is empty. Write a few words that say what it means."),
        ("{0: a, '0': b}", "the label '0' has two names. Remove one."),
        ("{yes: a, no: b}", TRUTH.format("True")),
        ("{null: a}", NO_LABEL.format("None")),
        ("{1.5: a}", NO_LABEL.format("1.5")),
        ("{'': a}", NO_LABEL.format("''")),
        ("{}", NO_NAMES.format("{}")),
        ("[a, b]", NO_NAMES.format("['a', 'b']")),
        ("good", NO_NAMES.format("'good'")),
    ],
)
def test_names_of_labels(written: str, sentence: str) -> None:
    Path("names.yaml").write_text(f"label_names: {written}\n")
    raw = load_yaml("names.yaml")
    with pytest.raises(ConfigError) as refused:
        parse(DataSettings, raw, where="p.yaml")
    assert str(refused.value) == f"p.yaml: label_names: {sentence}"
    names: Any = raw["label_names"]
    if sentence == TRUTH.format(True) or not isinstance(names, dict):
        return  # Python has truth values of its own, and tells of a dict
    with pytest.raises(DataError) as caught:
        TextData(unlabelled=["a"], label_names=names)
    assert str(caught.value) == f"label_names: {sentence}"


def test_labels_that_are_numbers_are_named_as_in_a_table() -> None:
    assert DataSettings.model_validate({"label_names": {0: "dull", 1: "fun"}}).label_names == {"0": "dull", "1": "fun"}
    data = TextData(labelled=(["a", "b"], [0, 1]), label_names={0: "dull", 1: "fun"})
    assert data.label_names == LabelNames((("0", "dull"), ("1", "fun")))


def test_fewer_rows_than_shots() -> None:
    assert fault("train.csv", "text,label\na,x\nb,x\nc,y\n", shots=2) == (
        "train.csv: the label 'y' has only 1 row, but shots is 2. Add rows, or set shots to at most 1."
    )
    with pytest.raises(DataError, match="the label 'x' has only 2 rows, but shots is 3"):
        draw_shots(TextTable.from_lists(list("abcde"), list("xxyyy"), name="t"), 3, 1)


def test_only_one_label() -> None:
    assert fault("train.csv", "text,label\na,x\nb,x\n") == (
        "train.csv: all 2 rows have the label 'x'. Add rows with another label."
    )


def test_not_utf8() -> None:
    head = "one\nzwei für\n".encode()
    assert fault("a.txt", head + b"caf\xe9\n", labelled=False) == (
        "a.txt:3: byte 0xe9 at offset 17 is not UTF-8. Save the file as UTF-8, set `encoding:` to its encoding, or correct "
        "this line."
    )
    assert fault("a.csv", b"\xef\xbb\xbftext,label\nabc,x\n\xff,y\n") == (
        "a.csv:3: byte 0xff at offset 20 is not UTF-8. Save the file as UTF-8, set `encoding:` to its encoding, or correct "
        "this line."
    )


def test_not_utf8_far_into_a_file() -> None:
    line = "a line für forty bytes, more or less..\n".encode()
    assert fault("a.txt", line * 60_000 + b"\xc3(\n", labelled=False) == (
        f"a.txt:60001: byte 0xc3 at offset {len(line) * 60_000} is not UTF-8. Save the file as UTF-8, set "
        "`encoding:` to its encoding, or correct this line."
    )


def test_half_of_a_surrogate_pair() -> None:
    assert fault("a.jsonl", json_rows('{"text": "a", "label": "x"}', r'{"text": "b\ud83d", "label": "x"}')) == (
        "a.jsonl:2: the text contains '\\ud83d', which is half of a UTF-16 surrogate pair. Remove it, or write the "
        "whole character."
    )


def test_broken_json() -> None:
    assert fault("a.jsonl", json_rows('{"text": "a", "label": 1}', '{"text": "b" "label": 1}')) == (
        "a.jsonl:2: this is not valid JSON (Expecting ',' delimiter at column 14). Each line must be one JSON "
        "object. Correct this line."
    )
    assert fault("a.jsonl", "[" * 200_000).startswith("a.jsonl:1: this is not valid JSON (")


def test_json_that_is_no_object() -> None:
    assert fault("a.jsonl", '["a", "x"]\n') == (
        "a.jsonl:1: the row is ['a', 'x'] (list), but must be a JSON object such as {\"text\": ..., \"label\": ...}."
    )


@pytest.mark.parametrize(("row", "count"), [("a, b,x", 3), ("a", 1)])
def test_csv_row_of_another_width(row: str, count: int) -> None:
    remedy = (
        'Put a field that contains the separator in "quotes".'
        if count == 3
        else "A field is missing, or a line end breaks the row in two. Add the field, or join the lines."
    )
    assert fault("a.csv", f'text,label\n"a\n\n2",x\n\n{row}\n') == (
        f"a.csv:6: the row has {count} field{'s' * (count != 1)}, the header 2. {remedy}"
    )


def test_quotes_that_are_read_as_plain_characters() -> None:
    assert fault("a.csv", 'text,label\na,x\n"b, c",y\n', quoting="none") == (
        "a.csv:3: the row has 3 fields, the header 2. Remove `quoting: none` if quotes enclose its fields."
    )


def test_a_row_of_another_width_without_header() -> None:
    assert fault("a.csv", "a,x\nb,y\nc\n", header=False) == (
        "a.csv:3: the row has 1 field, the first row 2. A field is missing, or a line end breaks the row in two. Add the field, "
        "or join the lines."
    )


NO_TEXT = "there is no column 'text' with the texts; the columns are"


@pytest.mark.parametrize("above", ["Report of May\n\n", "Report,\n,\n", ",\n", "Report\nby,us\n"])
def test_lines_above_the_header(above: str) -> None:
    found = ", ".join(map(repr, above.partition("\n")[0].split(",")))
    line = above.count("\n") + 1
    assert fault("a.csv", above + "text,label\na,x\nb,y\n") == (
        f"a.csv:1: {NO_TEXT} {found}. The header seems to stand in line {line}. Remove the lines above it."
    )


@pytest.mark.parametrize(("sign", "name", "value"), [(";", "a semicolon", '";"'), ("\t", "a tab", "tab")])
def test_a_separator_that_is_set_wrongly(sign: str, name: str, value: str) -> None:
    assert fault("a.csv", f"text{sign}label\na{sign}x\n", delimiter=",") == (
        f"a.csv:1: {NO_TEXT} {f'text{sign}label'!r}. The header is separated by {name}. Remove `delimiter:`, or set "
        f"`delimiter: {value}`."
    )


def test_csv_with_a_quote_that_is_not_closed() -> None:
    assert fault("a.csv", 'text,label\na,x\n"b,y\nc,x\n') == (
        "a.csv:3: this is not valid CSV (unexpected end of data). Separate fields by ','. Put a field with quotes or "
        'line ends in "quotes", and double the quotes inside it. Set `quoting: none` if quotes are plain characters.'
    )
    assert fault("a.csv", "text,label\na\rb,y\n") == (
        "a.csv:2: this is not valid CSV (new-line character seen in unquoted field). Separate fields by ','. Put a "
        'field with quotes or line ends in "quotes", and double the quotes inside it.'
    )
    assert fault("a.csv", 'text,label\n"b"c,y\n') == (
        "a.csv:2: this is not valid CSV (',' expected after '\"'). Separate fields by ','. Put a field with quotes or "
        'line ends in "quotes", and double the quotes inside it. Set `quoting: none` if quotes are plain characters.'
    )


def test_gzip_that_is_cut_off() -> None:
    whole = gzip.compress(os.urandom(2000).hex().encode())
    for name in ("a.txt.gz", "a.parquet.gz"):
        assert fault(name, whole[:-400], labelled=False) == (
            f"{name}: the gzip file is incomplete. Copy or pack it again."
        )


def test_gzip_that_is_none() -> None:
    assert fault("a.csv.gz", GOOD) == (
        "a.csv.gz: the name ends in .gz, but the file is not valid gzip (Not a gzipped file (b'te')). Pack it again, "
        "or remove .gz from the name if it is not packed."
    )


def test_parquet_with_a_string_that_is_not_utf8() -> None:
    texts = pa.array([b"fine", b"caf\xe9"]).view(pa.string())
    assert fault("a.parquet", parquet(text=texts, label=["x", "y"])) == (
        "a.parquet, row 2: the column 'text' holds byte 0xe9, which is not UTF-8. Write the row again in UTF-8."
    )


def test_broken_parquet() -> None:
    whole = parquet(text=["a"], label=["x"])
    sentence = fault("a.parquet", whole[: len(whole) // 2])
    assert sentence.startswith("a.parquet: the parquet file is damaged (Parquet magic bytes not found in footer")
    assert sentence.endswith("). Write or copy it again.")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", ""),
        ("a.txt", "\ufeff"),
        ("a.csv", ""),
        ("a.csv", "\n\n"),
        ("a.csv", "text,label\n"),
        ("a.jsonl", "\n \n"),
        ("a.parquet", parquet(text=pa.array([], pa.string()))),
        ("a.txt.gz", gzip.compress(b"", mtime=0)),
    ],
)
def test_no_rows(name: str, content: str | bytes) -> None:
    assert fault(name, content, labelled=False) == (f"{name}: there are no rows. Add rows, or choose another source.")


def test_no_rows_left_after_skipping() -> None:
    assert fault("a.txt", "\n\n", labelled=False, empty_text="skip") == (
        "a.txt: there are no rows. Add rows, or choose another source."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_file_without_the_right_to_read() -> None:
    Path("a.txt").write_text("one\n")
    Path("a.txt").chmod(0)
    assert fault("a.txt", labelled=False) == (
        "a.txt: the file cannot be read (Permission denied). Check the file and its permissions."
    )


def test_all_rows_are_leaks() -> None:
    Path("test.csv").write_text(GOOD)
    assert fault("train.csv", GOOD, test="test.csv") == (
        "train.csv: all 2 rows also occur in the test or validation data. Add rows, or set `drop_leaks: false` to "
        "keep them."
    )
    assert fault("train.csv", "text,label\ngood,pos\nfine,pos\nbad,neg\n", test="test.csv") == (
        "train.csv: all rows of label 'neg' also occur in the test or validation data. Add rows, or set `drop_leaks: "
        "false` to keep them."
    )


def told(**parts: Any) -> str:
    with pytest.raises(DataError) as caught:
        TextData(**parts)
    return str(caught.value)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (
            {"unlabelled": ["a", " "]},
            (
                'unlabelled, row 2: the text is empty. Remove the row, fill in the text, or give `empty_text="skip"` to leave '
                "out all such rows."
            ),
        ),
        (
            {"unlabelled": ["a", 3]},
            "unlabelled, row 2: the text is 3 (int), but must be a string. Make it a str, or leave it out.",
        ),
        (
            {"unlabelled": "a text"},
            "unlabelled: 'a text' (str) is not a list of texts. Put the texts in a list.",
        ),
        ({"unlabelled": []}, "unlabelled: there are no rows. Add rows, or choose another source."),
        ({"labelled": (["a", "b", "c"], ["x", "y", ""])}, f"labelled, row 3: {EMPTY_LABEL_IN_PYTHON}"),
        ({"labelled": [("a", "x"), ("b", None)]}, f"labelled, row 2: {EMPTY_LABEL_IN_PYTHON}"),
        ({"test": pd.DataFrame({"text": ["a", "b"], "label": [1, None]})}, f"test, row 2: {EMPTY_LABEL_IN_PYTHON}"),
        (
            {"labelled": datasets.Dataset.from_dict({"text": ["a", "b"], "label": ["x", None]})},
            f"labelled, row 2: {EMPTY_LABEL_IN_PYTHON}",
        ),
        (
            {"labelled": (["a", "b"], ["x"])},
            "labelled: the number of texts is 2, that of labels 1. Give one label for each text.",
        ),
        (
            {"labelled": [("a", "x"), ("b",)]},
            "labelled, row 2: ('b',) is not a pair (text, label). Give each row as such a pair, or all rows as (texts, labels).",
        ),
        (
            {"labelled": 5},
            (
                "labelled: 5 (int) is not a set of examples. Give (texts, labels), a list of pairs (text, label), a pandas "
                "DataFrame or a datasets.Dataset."
            ),
        ),
        (
            {"labelled": TextTable.from_lists(["a"], name="pile")},
            "pile: the texts have no labels. Give a labelled source.",
        ),
        (
            {"labelled": pd.DataFrame({"body": ["a"], "label": ["x"]})},
            (
                "labelled: there is no column 'text' with the texts; the columns are 'body', 'label'. Name the column, as in "
                '`text="COLUMN"`.'
            ),
        ),
        (
            {"labelled": datasets.Dataset.from_dict({"text": ["a"], "labels": ["x"]})},
            (
                "labelled: there is no column 'label' with the labels; the columns are 'text', 'labels'. Did you mean "
                "'labels'? Name the column, as in `label=\"COLUMN\"`."
            ),
        ),
        (
            {"labelled": (["a", "b"], ["x", "y"]), "test": (["c", "d"], ["x", "z"])},
            (
                "test, row 2: labelled has no label 'z'; its labels are 'x', 'y'. Correct the label, or add labelled rows "
                "for it."
            ),
        ),
    ],
)
def test_python_values(parts: dict[str, Any], sentence: str) -> None:
    assert told(**parts) == sentence


def test_domains_have_the_same_labels() -> None:
    Path("other.csv").write_text("text,label\nfar,pos\naway,neg\nhere,third\n")
    for parts, sentence in (
        (
            {"labelled": "train.csv", "source": "other.csv"},
            (
                "other.csv:4: train.csv has no label 'third'; its labels are 'neg', 'pos'. Correct the label, or add "
                "labelled rows for it."
            ),
        ),
        (
            {"labelled": "other.csv", "source": "train.csv"},
            (
                "other.csv:4: train.csv has no label 'third'; its labels are 'neg', 'pos'. Correct the label, or add "
                "labelled rows for it."
            ),
        ),
        (
            {"source": "train.csv", "test": "other.csv"},
            (
                "other.csv:4: train.csv has no label 'third'; its labels are 'neg', 'pos'. Correct the label, or add "
                "labelled rows for it."
            ),
        ),
    ):
        Path("train.csv").write_text("text,label\na,pos\nb,neg\n")
        with pytest.raises(DataError) as caught:
            load_data(DataSettings.model_validate(parts), seed=0)
        assert str(caught.value) == sentence
    with pytest.raises(DataError) as caught:
        TextData(source=(["a", "b"], ["x", "y"]), labelled=(["c", "d"], ["x", "z"]))
    assert str(caught.value).startswith("source, row 2: labelled has no label 'y'")
    with pytest.raises(DataError) as caught:
        TextData(source=(["a", "b"], ["x", "y"]), labelled=(["c", "d", "e"], ["x", "z", "y"]))
    assert str(caught.value).startswith("labelled, row 2: source has no label 'z'")


def test_all_source_rows_of_a_label_are_leaks() -> None:
    Path("test.csv").write_text(GOOD)
    Path("other.csv").write_text("text,label\ngood,pos\nfine,pos\nbad,neg\n")
    with pytest.raises(DataError) as caught:
        load_data(DataSettings(source="other.csv", test="test.csv"), seed=0)
    assert str(caught.value) == (
        "other.csv: all rows of label 'neg' also occur in the test or validation data. Add rows, or set `drop_leaks: "
        "false` to keep them."
    )


def test_no_labels_to_make_a_label_set_of() -> None:
    with pytest.raises(DataError) as caught:
        _ = TextData(unlabelled=["a"]).label_set
    assert str(caught.value) == (
        "labelled: without labelled examples or label_names there are no labels. Add labelled examples."
    )


def test_an_unknown_label_has_no_id() -> None:
    labels = TextData(labelled=(["a", "b"], ["neg", "pos"])).label_set
    with pytest.raises(DataError) as caught:
        labels.ids(["neg", "pso"])
    assert str(caught.value) == (
        "labels: 'pso' is none of the labels 'neg', 'pos'. Did you mean 'pos'? Correct the label."
    )


def test_disk_full_while_caching(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 1000)
    monkeypatch.setattr("nlptl.disk.drafts.os.fsync", _full)
    told = fault("big.txt", "a line\n" * 1000, labelled=False)
    assert re.sub("[0-9a-f]{64}", "KEY", told) == (
        f"{tmp_path}/cache/data/KEY.2.arrow: cannot be written (No space left on device); nothing was left half-written. "
        "Free space or choose another folder. big.txt is large, so its rows are kept there. Set NLPTL_CACHE to a folder on "
        "another disk."
    )
    assert list((tmp_path / "cache" / "data").iterdir()) == []


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_faulty_row_of_a_big_file_leaves_nothing_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 1000)
    assert fault("big.txt", "a line\n" * 1000 + "\n", labelled=False).startswith("big.txt:1001: the text is empty.")
    assert list((tmp_path / "cache" / "data").iterdir()) == []


def test_load_table_tells_the_same() -> None:
    Path("train.csv").write_text("text,label\na,\n")
    with pytest.raises(DataError) as caught:
        load_table("train.csv")
    assert str(caught.value) == f"train.csv:2: {EMPTY_LABEL}"


ROWS = {"a.csv": "text,label\na,x\nb,y\n", "a.jsonl": '{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'}
OF_LABELS = "Name the column with `label_column:`, or with `label:` under this source."


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"text_column": ["text", "text"]}, "the column 'text' stands twice among those of the text. Name it once."),
        ({"text_column": ["text", "Text"]}, "the column 'text' stands twice among those of the text. Name it once."),
        ({"text_column": ["text", "label"]}, f"the column 'label' is read as text and as label. {OF_LABELS}"),
        ({"text_column": "label"}, f"the column 'label' is read as text and as label. {OF_LABELS}"),
        ({"label_column": "TEXT"}, f"the column 'text' is read as text and as label. {OF_LABELS}"),
    ],
)
def test_a_column_that_is_read_twice(name: str, settings: dict[str, Any], told: str) -> None:
    found = fault(name, ROWS[name], **settings)
    assert found in (f"{name}: {told}", f"{name}:1: {told}")


def test_a_column_that_is_read_twice_by_number() -> None:
    told = f"a.csv:1: the column 'text' is read as text and as label. {OF_LABELS}"
    assert fault("a.csv", ROWS["a.csv"], label_column=1) == told
    assert fault("a.csv", header=False, text_column=[2, "2"], label_column=1) == (
        "a.csv:1: the column '2' stands twice among those of the text. Name it once."
    )


def test_texts_without_labels_may_stand_in_the_column_of_labels() -> None:
    Path("a.csv").write_text(ROWS["a.csv"])
    data, _ = load_data(DataSettings(unlabelled="a.csv", text_column="label"), seed=1)
    assert data.unlabelled is not None
    assert data.unlabelled.texts() == ["x", "y"]


NO_COLUMN = "must be the name of a column, or its number from 1."
NO_COLUMNS = "must be the name of a column, its number from 1, or a list of these."


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        *(("label", value, NO_COLUMN) for value in (0, -1, True, 1.5, "", ["x"], {})),
        *(("text", value, NO_COLUMNS) for value in (0, [], "", [0, "a"], ["a", ""], [["a"]], {"a": 1})),
        *(("sheet", value, "must be the name of a sheet, or its number from 1.") for value in (0, 1.5, "", [])),
    ],
)
def test_a_wrong_column_is_one_fault(name: str, value: object, told: str) -> None:
    outer = name if name == "sheet" else f"{name}_column"
    for raw, path in ({outer: value}, outer), ({"labelled": {"file": "a", name: value}}, f"labelled.{name}"):
        with pytest.raises(ConfigError) as caught:
            parse(DataSettings, raw, where="p.yaml")
        assert caught.value.faults == (f"p.yaml: {path} is {value!r}, but {told}",)


@pytest.mark.parametrize(
    ("name", "content", "new"),
    [
        ("Wrong.txt", "text,label\na,x\n", "Wrong.csv"),
        ("wrong.txt", '"label";"text"\n"x";"a"\n', "wrong.csv"),
        ("wrong.txt.gz", gzip.compress(b"Text\tLabel\na\tx\n", mtime=0), "wrong.tsv.gz"),
        ("wrong.txt", "a text, and a label\n", ""),
        ("wrong.txt", b"a\x81\n", ""),
    ],
)
def test_a_table_with_the_ending_of_a_text(name: str, content: str | bytes, new: str) -> None:
    remedy = "Use a .csv, .tsv, .jsonl or .parquet file with a text and a label in each row."
    assert fault(name, content) == f"data.labelled: {name} has no labels, since it is a .txt file. " + (
        f"Its first line names the columns: rename it to {new}." if new else remedy
    )
