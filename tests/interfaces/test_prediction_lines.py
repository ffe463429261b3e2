"""CSV and JSON lines: read back to the letter by csv and pandas, whatever the texts and labels are."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.interfaces.prediction_input import InputRows
from nlptl.interfaces.prediction_lines import FORMULA, OutputColumns, OutputForm, csv_cell, prediction_blocks

NASTY = st.text(st.sampled_from("ab,;\t\"'\r\n \x00\x0b\x1c\x85\u2028é語\ufeff=+@-|"), max_size=12)
PLAIN = OutputForm()


class Fake:
    """Classifier that answers each text by its length."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        return np.eye(len(self.labels))[[len(text) % len(self.labels) for text in texts]]

    def labels_of(self, probabilities: np.ndarray) -> list[str]:
        return [self.labels[place] for place in probabilities.argmax(axis=1)]


class FakeOfSets(Fake):
    """Classifier that gives texts of odd length all labels, others none."""

    def labels_of(self, probabilities: np.ndarray) -> list[Any]:
        return [self.labels if row.argmax() % 2 else () for row in probabilities]


def written(
    texts: Sequence[str | None], labels: Sequence[str], form: OutputForm, kept: Sequence[str] = ("text",),
    rows: Sequence[Sequence[object]] | None = None,
) -> str:  # fmt: skip
    classifier: Any = Fake(labels)
    batches = [InputRows(texts, rows or [(text,) for text in texts])]
    columns = OutputColumns.of(kept, classifier.labels)
    blocks = prediction_blocks(classifier, batches, columns=columns, form=form, after_batch=lambda count: None)
    return "".join(blocks)


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(NASTY.filter(str.strip), min_size=1, max_size=5),
    labels=st.lists(NASTY.filter(str.strip), min_size=2, max_size=3, unique=True),
    delimiter=st.sampled_from(",;\t|"),
)
def test_csv_and_pandas_read_the_same(texts: list[str], labels: list[str], delimiter: str) -> None:
    out = written(texts, labels, OutputForm(proba=True, delimiter=delimiter))
    expected = [labels[len(text) % len(labels)] for text in texts]
    rows = list(csv.reader(io.StringIO(out, newline=""), delimiter=delimiter))
    assert [row[:2] for row in rows[1:]] == [list(pair) for pair in zip(texts, expected, strict=True)]
    assert rows[0][:2] == ["text", "label"]
    assert {len(row) for row in rows} == {2 + len(labels)}
    frame = pd.read_csv(
        io.BytesIO(out.encode()), sep=delimiter, keep_default_na=False, dtype=str, lineterminator=None, engine="python"
    )
    assert frame["label"].tolist() == expected
    assert [text.replace("\r\n", "\n").replace("\r", "\n") for text in frame["text"]] == [
        text.replace("\r\n", "\n").replace("\r", "\n") for text in texts
    ]


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_the_c_engine_of_pandas_reads_the_same(texts: list[str]) -> None:
    given_texts = [text for text in texts if text.strip() and "\x00" not in text and text.isprintable()] or ["x"]
    frame = pd.read_csv(io.BytesIO(written(given_texts, ["a", "b"], PLAIN).encode()), keep_default_na=False, dtype=str)
    assert frame["text"].tolist() == given_texts


@pytest.mark.parametrize(
    "text", ["a\rb", "a\nb", "a\r\nb", "a\tb", 'a "b"', " a", "a ", "\ta", "a;b", "a,b", "\x85a", "a\u2028b"]
)
def test_every_line_end_and_separator_is_read_back(text: str) -> None:
    for delimiter in ",;\t":
        out = written([text, "next"], ["x", "y"], OutputForm(delimiter=delimiter))
        frame = pd.read_csv(io.BytesIO(out.encode()), sep=delimiter, skipinitialspace=True, lineterminator=None)
        assert frame["text"].tolist() == [text, "next"]
    assert next(csv.reader([csv_cell(text, PLAIN)])) == [text] if "\n" not in text and "\r" not in text else True


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(NASTY.filter(str.strip), min_size=1, max_size=5),
    labels=st.lists(NASTY.filter(str.strip), min_size=2, max_size=3, unique=True),
)
def test_json_lines_are_read_back(texts: list[str], labels: list[str]) -> None:
    out = written(texts, labels, OutputForm("jsonl", proba=True))
    found = [json.loads(line) for line in out.removesuffix("\n").split("\n")]
    assert [row["text"] for row in found] == texts
    assert all(set(row["probabilities"]) == set(labels) for row in found)
    assert [row["label"] for row in found] == [labels[len(text) % len(labels)] for text in texts]


def test_a_row_without_a_text_has_an_empty_prediction() -> None:
    assert written(["one", None], ["a", "b"], OutputForm(proba=True)) == "text,label,p_a,p_b\none,b,0.0,1.0\n,,,\n"
    assert written([None], ["a", "b"], OutputForm("jsonl", proba=True)) == (
        '{"text": null, "label": null, "probabilities": null}\n'
    )
    assert written([], ["a"], PLAIN) == "text,label\n"


def test_columns_of_the_input_keep_their_names_and_the_predictions_get_others() -> None:
    kept = ("id", "label", "predicted_label", "p_a")
    out = written(["x"], ["a", "b"], OutputForm(proba=True), kept, [(7, "old", None, 0.5)])
    assert out.splitlines() == [
        "id,label,predicted_label,p_a,predicted_predicted_label,predicted_p_a,p_b",
        "7,old,,0.5,b,0.0,1.0",
    ]
    found = json.loads(written(["x"], ["a", "b"], OutputForm("jsonl"), kept, [(7, "old", None, 0.5)]))
    assert found == {"id": 7, "label": "old", "predicted_label": None, "p_a": 0.5, "predicted_predicted_label": "b"}


def test_two_columns_of_one_name_lose_nothing() -> None:
    kept, row = ("a", "a", "a_2"), (1, 2, 3)
    assert written(["x"], ["l"], PLAIN, kept, [row]).splitlines() == ["a,a,a_2,label", "1,2,3,l"]
    assert json.loads(written(["x"], ["l"], OutputForm("jsonl"), kept, [row])) == {
        "a": 1,
        "a_3": 2,
        "a_2": 3,
        "label": "l",
    }


def test_values_of_other_types_are_written_as_json_has_them() -> None:
    row = (True, 1.5, ["a", {"b": None}], float("nan"), None)
    kept = ("a", "b", "c", "d", "e")
    (line,) = list(csv.reader(written(["x"], ["l"], PLAIN, kept, [row]).splitlines()[1:]))
    assert line == ["true", "1.5", '["a", {"b": null}]', "", "", "l"]
    found = json.loads(written(["x"], ["l"], OutputForm("jsonl"), kept, [row]))
    assert found == {"a": True, "b": 1.5, "c": ["a", {"b": None}], "d": None, "e": None, "label": "l"}


def test_formulas_are_guarded_on_request() -> None:
    form = OutputForm(guard_formulas=True, proba=True)
    for first in FORMULA:
        for text in (f"{first}1+1", f" {first}1"):
            (row,) = list(csv.reader(io.StringIO(written([text], [text, "b"], form), newline="")))[1:]
            assert row[:2] == ["'" + text, "'" + text if len(text) % 2 == 0 else "b"]
            assert csv_cell(text, PLAIN).strip('"') == text
    assert csv_cell("a=1", form) == "a=1"
    assert csv_cell("", form) == ""
    assert csv_cell(-1.5, form) == "-1.5"


def test_a_byte_order_mark_comes_once_and_excels_reader_drops_it() -> None:
    out = written(["é"], ["a"], OutputForm(bom=True, delimiter=";"))
    assert out.encode().startswith(b"\xef\xbb\xbftext;label\n")
    assert out.count("\ufeff") == 1
    assert pd.read_csv(io.BytesIO(out.encode()), sep=";").columns.tolist() == ["text", "label"]


def test_a_label_column_of_several_words_is_one_cell() -> None:
    out = written(["x"], ["a,b", 'c"d\r'], OutputForm(proba=True))
    assert next(csv.reader(io.StringIO(out, newline=""))) == ["text", "label", "p_a,b", 'p_c"d\r']
    assert cast("list[str]", pd.read_csv(io.StringIO(out)).columns.tolist())[2] == "p_a,b"


def test_several_labels_are_one_cell_or_a_list() -> None:
    classifier: Any = FakeOfSets(["x", "y;z"])
    batches = [InputRows(["a", "bb", None], [(), (), ()])]

    def lines(form: OutputForm) -> list[str]:
        columns = OutputColumns.of((), classifier.labels)
        blocks = prediction_blocks(classifier, batches, columns=columns, form=form, after_batch=lambda count: None)
        return "".join(blocks).splitlines()

    assert lines(OutputForm(separator=" & ")) == ["label", "x & y;z", "", ""]
    assert lines(OutputForm(separator="|", delimiter="|")) == ["label", '"x|y;z"', "", ""]
    assert lines(OutputForm("jsonl")) == ['{"label": ["x", "y;z"]}', '{"label": []}', '{"label": null}']
    assert lines(OutputForm(proba=True))[1] == "x|y;z,0.0,1.0"
