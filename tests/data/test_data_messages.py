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
        "data.labelled: found no file 'trian.csv'; expected a data file. Did you mean 'train.csv'? Check the path."
    )
    assert fault("nowhere/x.csv") == (
        "data.labelled: found no file 'nowhere/x.csv'; expected a data file. Check the path."
    )


def test_missing_file_in_a_list_of_sources() -> None:
    Path("a.txt").write_text("one\n")
    with pytest.raises(DataError) as caught:
        load_data(DataSettings(unlabelled=["a.txt", "zzz.csv"]), seed=1, where="p.yaml: data")
    assert str(caught.value) == (
        "p.yaml: data.unlabelled.1: found no file 'zzz.csv'; expected a data file. Check the path."
    )


def test_folder_instead_of_a_file() -> None:
    Path("train.csv").mkdir()
    assert fault("train.csv") == ("data.labelled: train.csv is a folder; expected a data file. Name a file in it.")


def test_unknown_suffix() -> None:
    assert fault("train.json", "[]") == (
        "train.json: found the ending '.json'; expected .txt, .csv, .tsv, .jsonl or .parquet, with or without .gz. "
        "Did you mean '.jsonl'? Convert the file or correct its name."
    )
    assert fault("train.xls.gz", "") == (
        "train.xls.gz: found the ending '.xls'; expected .txt, .csv, .tsv, .jsonl or .parquet, with or without .gz. "
        "Convert the file or correct its name."
    )


def test_labelled_txt() -> None:
    assert fault("train.txt", "one\n") == (
        "data.labelled: train.txt holds texts only; expected a text and a label in each row. "
        "Use a .csv, .tsv, .jsonl or .parquet file."
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
        f"{at}: found no column 'text' but 'texts', 'label'; expected one that holds the texts. "
        "Did you mean 'texts'? Name it with text_column, or with text: under this source."
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
        f"{at}: found no column 'label' but 'text', 'score'; expected one that holds the labels. "
        "Name it with label_column, or with label: under this source."
    )


def test_column_twice() -> None:
    assert fault("a.csv", "text,label,text\na,b,c\n") == (
        "a.csv:1: found column 'text' twice; expected it once. Rename one of them."
    )


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
        f"{at}: text is empty; every row needs a text. "
        "Remove the row, fill it in, or set empty_text: skip to leave out all such rows."
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
    assert fault(name, content) == (f"{at}: label is empty; every row needs a label. Remove the row or fill it in.")


def test_label_of_another_kind() -> None:
    assert fault("a.jsonl", '{"text": "a", "label": 0.5}\n') == (
        "a.jsonl:1: label is 0.5 (float); every label is a name or a whole number. Write it so."
    )
    assert fault("a.jsonl", '{"text": "a", "label": ["x"]}\n') == (
        "a.jsonl:1: label is ['x'] (list); every label is a name or a whole number. Write it so."
    )


def test_text_that_is_no_string() -> None:
    assert fault("a.jsonl", json_rows('{"text": "a", "label": 1}', '{"text": 7, "label": 1}')) == (
        "a.jsonl:2: text is 7 (int); every text is a string. Put it in quotes, or name another column."
    )
    assert fault("a.parquet", parquet(text=[1.5], label=["x"])) == (
        "a.parquet, row 1: text is 1.5 (float); every text is a string. Put it in quotes, or name another column."
    )


@pytest.mark.parametrize("part", ["test", "validation"])
def test_label_that_labelled_lacks(part: str) -> None:
    Path("train.csv").write_text(GOOD)
    Path("other.csv").write_text('text,label\n"two\nlines",pos\n,pos\nok,neg\nhm,nge\nah,nge\n')
    settings = DataSettings.model_validate({"labelled": "train.csv", part: "other.csv", "empty_text": "skip"})
    with pytest.raises(DataError) as caught:
        load_data(settings, seed=1)
    assert str(caught.value) == (
        "other.csv:6: found the label 'nge', which train.csv lacks; expected one of 'neg', 'pos'. Did you mean 'neg'? "
        "Correct the label or add labelled rows for it."
    )


def test_a_name_for_a_label_that_labelled_lacks() -> None:
    assert fault("train.csv", GOOD, label_names={"pos": "good", "ngative": "bad"}) == (
        "data.label_names: found a name for the label 'ngative', which train.csv lacks; expected some of 'neg', 'pos'. Correct "
        "the label or remove its name."
    )


def test_names_alone_are_the_labels_of_the_test() -> None:
    assert fault("train.csv", GOOD, label_names={"pos": "good"}, labelled=False) == (
        "data.label_names: found only the label 'pos'; without labelled examples at least two are expected, to tell apart. "
        "Name all labels."
    )
    Path("test.csv").write_text("text,label\nfine,pos\nodd,mixed\n")
    assert fault("train.csv", GOOD, label_names={"pos": "good", "neg": "bad"}, labelled=False, test="test.csv") == (
        "test.csv:3: found the label 'mixed', which label_names lacks; expected one of 'neg', 'pos'. Correct the label or say "
        "there what it means."
    )


NO_NAME = "found {} for the label 'pos'; expected a few words. Put them in quotes."
NO_LABEL = "found the label {}; expected a name or a whole number. Write it so."
TRUTH = (
    "found the label {}, which YAML makes of true and false, yes and no, on and off; expected a name or a whole number. Put "
    "the label in quotes."
)
NO_NAMES = "found {}; expected labels, each with a few words on what it means. Write at least one, or leave it out."


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("{pos: 7}", NO_NAME.format("7")),
        ("{pos: null}", NO_NAME.format("None")),
        ("{pos: [a, b]}", NO_NAME.format("['a', 'b']")),
        ("{pos: ' '}", "found an empty name for the label 'pos'; expected a few words. Write them."),
        ("{0: a, '0': b}", "found two names for the label '0'; expected one. Remove the other."),
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
    with pytest.raises(DataError) as caught:
        TextData(unlabelled=["a"], label_names=names)
    assert str(caught.value) == f"label_names: {sentence}"


def test_labels_that_are_numbers_are_named_as_in_a_table() -> None:
    assert DataSettings.model_validate({"label_names": {0: "dull", 1: "fun"}}).label_names == {"0": "dull", "1": "fun"}
    data = TextData(labelled=(["a", "b"], [0, 1]), label_names={0: "dull", 1: "fun"})
    assert data.label_names == LabelNames((("0", "dull"), ("1", "fun")))


def test_fewer_rows_than_shots() -> None:
    assert fault("train.csv", "text,label\na,x\nb,x\nc,y\n", shots=2) == (
        "train.csv: found 1 row of label 'y'; expected at least 2 of each label. Add rows, or set shots to 1 at most."
    )
    with pytest.raises(DataError, match="found 2 rows of label 'x'; expected at least 3 of each label"):
        draw_shots(TextTable.from_lists(list("abcde"), list("xxyyy"), name="t"), 3, 1)


def test_only_one_label() -> None:
    assert fault("train.csv", "text,label\na,x\nb,x\n") == (
        "train.csv: found only the label 'x' in all 2 rows; expected at least two labels. Add rows with another label."
    )


def test_not_utf8() -> None:
    head = "one\nzwei für\n".encode()
    assert fault("a.txt", head + b"caf\xe9\n", labelled=False) == (
        "a.txt:3: byte 0xe9 at offset 17 is not UTF-8; expected a text file in UTF-8. "
        "Save it as UTF-8, or correct this line."
    )
    assert fault("a.csv", b"\xef\xbb\xbftext,label\nabc,x\n\xff,y\n") == (
        "a.csv:3: byte 0xff at offset 20 is not UTF-8; expected a text file in UTF-8. "
        "Save it as UTF-8, or correct this line."
    )


def test_not_utf8_far_into_a_file() -> None:
    line = b"a line of some forty bytes, more or less\n"
    assert fault("a.txt", line * 60_000 + b"\xc3(\n", labelled=False) == (
        f"a.txt:60001: byte 0xc3 at offset {len(line) * 60_000} is not UTF-8; expected a text file in UTF-8. "
        "Save it as UTF-8, or correct this line."
    )


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16(encoding: str) -> None:
    assert fault("a.csv", ("\ufeff" + GOOD).encode(encoding)) == (
        "a.csv:1: found the byte-order mark of UTF-16; expected UTF-8. Save the file as UTF-8, for example with "
        "iconv -f UTF-16 -t UTF-8."
    )


def test_half_of_a_surrogate_pair() -> None:
    assert fault("a.jsonl", json_rows('{"text": "a", "label": "x"}', r'{"text": "b\ud83d", "label": "x"}')) == (
        "a.jsonl:2: text holds '\\ud83d', one half of a UTF-16 pair; expected whole Unicode characters. "
        "Remove it or write the whole character."
    )


def test_broken_json() -> None:
    assert fault("a.jsonl", json_rows('{"text": "a", "label": 1}', '{"text": "b" "label": 1}')) == (
        "a.jsonl:2: not valid JSON (Expecting ',' delimiter at column 14); expected one JSON object a line. "
        "Correct this line."
    )
    assert fault("a.jsonl", "[" * 200_000).startswith("a.jsonl:1: not valid JSON (")


def test_json_that_is_no_object() -> None:
    assert fault("a.jsonl", '["a", "x"]\n') == (
        "a.jsonl:1: found ['a', 'x'] (list); expected a JSON object such as "
        '{"text": ..., "label": ...}. Write each row as an object.'
    )


@pytest.mark.parametrize(("row", "count"), [("a, b,x", 3), ("a", 1)])
def test_csv_row_of_another_width(row: str, count: int) -> None:
    assert fault("a.csv", f'text,label\n"a\n\n2",x\n\n{row}\n') == (
        f'a.csv:6: found {count} fields; expected 2 as in the header. Put a field that holds the separator in "quotes".'
    )


def test_csv_with_a_quote_that_is_not_closed() -> None:
    assert fault("a.csv", 'text,label\na,x\n"b,y\nc,x\n') == (
        "a.csv:3: not valid CSV (unexpected end of data); expected fields parted by ',', and a field that holds "
        'quotes or line ends in "quotes". Close the quotes and double those inside.'
    )
    assert fault("a.csv", "text,label\na\rb,y\n") == (
        "a.csv:2: not valid CSV (new-line character seen in unquoted field); expected fields parted by ',', and a "
        'field that holds quotes or line ends in "quotes". Close the quotes and double those inside.'
    )
    assert fault("a.csv", 'text,label\n"b"c,y\n') == (
        "a.csv:2: not valid CSV (',' expected after '\"'); expected fields parted by ',', and a field that holds "
        'quotes or line ends in "quotes". Close the quotes and double those inside.'
    )


def test_gzip_that_is_cut_off() -> None:
    whole = gzip.compress(os.urandom(2000).hex().encode())
    for name in ("a.txt.gz", "a.parquet.gz"):
        assert fault(name, whole[:-400], labelled=False) == (
            f"{name}: the gzip stream is cut off before its end; expected a whole file. Copy or pack it again."
        )


def test_gzip_that_is_none() -> None:
    assert fault("a.csv.gz", GOOD) == (
        "a.csv.gz: not a sound gzip file (Not a gzipped file (b'te')); expected one, as the name ends in .gz. "
        "Pack it again, or take .gz off the name if it is not packed."
    )


def test_broken_parquet() -> None:
    whole = parquet(text=["a"], label=["x"])
    sentence = fault("a.parquet", whole[: len(whole) // 2])
    assert sentence.startswith("a.parquet: not a whole parquet file (Parquet magic bytes not found in footer")
    assert sentence.endswith("); expected one. Write or copy the file again.")


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
    assert fault(name, content, labelled=False) == (
        f"{name}: found no rows; expected at least one. Add rows or choose another source."
    )


def test_no_rows_left_after_skipping() -> None:
    assert fault("a.txt", "\n\n", labelled=False, empty_text="skip") == (
        "a.txt: found no rows; expected at least one. Add rows or choose another source."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_file_without_the_right_to_read() -> None:
    Path("a.txt").write_text("one\n")
    Path("a.txt").chmod(0)
    assert fault("a.txt", labelled=False) == (
        "a.txt: cannot be read (Permission denied); expected a readable file. Check the file and its rights."
    )


def test_all_rows_are_leaks() -> None:
    Path("test.csv").write_text(GOOD)
    assert fault("train.csv", GOOD, test="test.csv") == (
        "train.csv: all 2 rows stand in the test or validation data too; expected others. "
        "Add rows, or set drop_leaks: false to keep them."
    )
    assert fault("train.csv", "text,label\ngood,pos\nfine,pos\nbad,neg\n", test="test.csv") == (
        "train.csv: all rows of label 'neg' stand in the test or validation data too; expected others. "
        "Add rows, or set drop_leaks: false to keep them."
    )


def told(**parts: Any) -> str:
    with pytest.raises(DataError) as caught:
        TextData(**parts)
    return str(caught.value)


EMPTY_LABEL = "label is empty; every row needs a label. Remove the row or fill it in."


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (
            {"unlabelled": ["a", " "]},
            "unlabelled, row 2: text is empty; every row needs a text. "
            "Remove the row, fill it in, or set empty_text: skip to leave out all such rows.",
        ),
        (
            {"unlabelled": ["a", 3]},
            "unlabelled, row 2: text is 3 (int); every text is a string. Put it in quotes, or name another column.",
        ),
        (
            {"unlabelled": "a text"},
            "unlabelled: found 'a text' (str); expected a list of texts. Put the texts in a list.",
        ),
        ({"unlabelled": []}, "unlabelled: found no rows; expected at least one. Add rows or choose another source."),
        ({"labelled": (["a", "b", "c"], ["x", "y", ""])}, f"labelled, row 3: {EMPTY_LABEL}"),
        ({"labelled": [("a", "x"), ("b", None)]}, f"labelled, row 2: {EMPTY_LABEL}"),
        ({"test": pd.DataFrame({"text": ["a", "b"], "label": [1, None]})}, f"test, row 2: {EMPTY_LABEL}"),
        (
            {"labelled": datasets.Dataset.from_dict({"text": ["a", "b"], "label": ["x", None]})},
            f"labelled, row 2: {EMPTY_LABEL}",
        ),
        (
            {"labelled": (["a", "b"], ["x"])},
            "labelled: found 2 texts and 1 labels; expected one label per text. Give lists of equal length.",
        ),
        (
            {"labelled": [("a", "x"), ("b",)]},
            "labelled, row 2: found ('b',); expected a pair (text, label). Write the row so.",
        ),
        (
            {"labelled": 5},
            "labelled: found 5 (int); expected (texts, labels), a list of pairs (text, label), a pandas DataFrame or a "
            "datasets.Dataset. Give one of these.",
        ),
        (
            {"labelled": TextTable.from_lists(["a"], name="pile")},
            "pile: found texts only; expected labels too. Give a labelled source.",
        ),
        (
            {"labelled": pd.DataFrame({"body": ["a"], "label": ["x"]})},
            "labelled: found no column 'text' but 'body', 'label'; expected one that holds the texts. "
            "Name it with text_column, or with text: under this source.",
        ),
        (
            {"labelled": datasets.Dataset.from_dict({"text": ["a"], "labels": ["x"]})},
            "labelled: found no column 'label' but 'text', 'labels'; expected one that holds the labels. "
            "Did you mean 'labels'? Name it with label_column, or with label: under this source.",
        ),
        (
            {"labelled": (["a", "b"], ["x", "y"]), "test": (["c", "d"], ["x", "z"])},
            "test, row 2: found the label 'z', which labelled lacks; expected one of 'x', 'y'. "
            "Correct the label or add labelled rows for it.",
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
            "other.csv:4: found the label 'third', which train.csv lacks; expected one of 'neg', 'pos'. Correct the label or "
            "add labelled rows for it.",
        ),
        (
            {"labelled": "other.csv", "source": "train.csv"},
            "other.csv:4: found the label 'third', which train.csv lacks; expected one of 'neg', 'pos'. Correct the label or "
            "add labelled rows for it.",
        ),
        (
            {"source": "train.csv", "test": "other.csv"},
            "other.csv:4: found the label 'third', which train.csv lacks; expected one of 'neg', 'pos'. Correct the label or "
            "add labelled rows for it.",
        ),
    ):
        Path("train.csv").write_text("text,label\na,pos\nb,neg\n")
        with pytest.raises(DataError) as caught:
            load_data(DataSettings.model_validate(parts), seed=0)
        assert str(caught.value) == sentence
    with pytest.raises(DataError) as caught:
        TextData(source=(["a", "b"], ["x", "y"]), labelled=(["c", "d"], ["x", "z"]))
    assert str(caught.value).startswith("source, row 2: found the label 'y', which labelled lacks")
    with pytest.raises(DataError) as caught:
        TextData(source=(["a", "b"], ["x", "y"]), labelled=(["c", "d", "e"], ["x", "z", "y"]))
    assert str(caught.value).startswith("labelled, row 2: found the label 'z', which source lacks")


def test_all_source_rows_of_a_label_are_leaks() -> None:
    Path("test.csv").write_text(GOOD)
    Path("other.csv").write_text("text,label\ngood,pos\nfine,pos\nbad,neg\n")
    with pytest.raises(DataError) as caught:
        load_data(DataSettings(source="other.csv", test="test.csv"), seed=0)
    assert str(caught.value) == (
        "other.csv: all rows of label 'neg' stand in the test or validation data too; expected others. "
        "Add rows, or set drop_leaks: false to keep them."
    )


def test_no_labels_to_make_a_label_set_of() -> None:
    with pytest.raises(DataError) as caught:
        _ = TextData(unlabelled=["a"]).label_set
    assert str(caught.value) == (
        "labelled: found no labelled examples; expected some to take the labels from. Add them."
    )


def test_an_unknown_label_has_no_id() -> None:
    labels = TextData(labelled=(["a", "b"], ["neg", "pos"])).label_set
    with pytest.raises(DataError) as caught:
        labels.ids(["neg", "pso"])
    assert str(caught.value) == (
        "labels: found 'pso'; expected one of 'neg', 'pos'. Did you mean 'pos'? Correct the label."
    )


def test_disk_full_while_caching(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 1000)
    monkeypatch.setattr("nlptl.artifact.os.fsync", _full)
    told = fault("big.txt", "a line\n" * 1000, labelled=False)
    assert re.sub("[0-9a-f]{64}", "KEY", told) == (
        f"{tmp_path}/cache/data/KEY.1.arrow: cannot be written (No space left on device); nothing was left half-written. "
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
    assert fault("big.txt", "a line\n" * 1000 + "\n", labelled=False).startswith("big.txt:1001: text is empty;")
    assert list((tmp_path / "cache" / "data").iterdir()) == []


def test_load_table_tells_the_same() -> None:
    Path("train.csv").write_text("text,label\na,\n")
    with pytest.raises(DataError) as caught:
        load_table("train.csv")
    assert str(caught.value) == f"train.csv:2: {EMPTY_LABEL}"
