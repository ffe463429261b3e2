"""One spelling of each label: outer blanks, truth values and whole numbers, whatever the format and the door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlptl.data import DataSettings, LabelNames, TextData, TextTable, load_data, load_table
from nlptl.data.label_spelling import spellings, spelt_as_known, stripped
from nlptl.errors import DataError

TEXTS = ["warm soup", "cold soup", "kind staff"]
BLANKS = [
    "\u00a0",
    "\u3000",
    "\u2009",
    "\u200b",
    "\ufeff",
    "\u2060",
    "\u200e",
    "\u202f",
    "\u00ad",
    "\x1f",
    "\x85",
    "\r\n",
    "\t",
]


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def labels_of(value: Any) -> list[str]:
    table = TextData(labelled=value).labelled
    assert table is not None
    return table.labels()


@pytest.mark.parametrize("blank", BLANKS)
def test_outer_blanks_are_stripped_inner_ones_stay(blank: str) -> None:
    assert stripped(f"{blank}very{blank}good {blank}") == f"very{blank}good"
    assert labels_of((TEXTS, [f"good{blank}", "bad", f" {blank}good"])) == ["good", "bad", "good"]


def test_an_emoji_keeps_its_variation_selector() -> None:
    assert stripped(" \u2764\ufe0f ") == "\u2764\ufe0f"


@given(st.text(max_size=8))
def test_stripping_twice_is_stripping_once(label: str) -> None:
    once = stripped(label)
    assert stripped(once) == once
    assert once in label


def files(labels: list[Any]) -> dict[str, list[str]]:
    """Return the labels that files and Python values of the same frame give."""
    frame = pd.DataFrame({"text": TEXTS, "label": labels})
    frame.to_csv("a.csv", index=False)
    frame.to_csv("a.tsv", index=False, sep="\t")
    frame.to_parquet("a.parquet")
    frame.to_json("a.jsonl", orient="records", lines=True)
    return {name: load_table(name).labels() for name in ("a.csv", "a.tsv", "a.parquet", "a.jsonl")}


@pytest.mark.parametrize("labels", [[True, False, True], [1, 0, 1], [1.0, 0.0, 1.0], [-1, 1, 10]])
def test_a_label_has_one_name_in_every_format(labels: list[Any]) -> None:
    expected = [str(label) if isinstance(label, bool) else str(int(label)) for label in labels]
    doors: dict[str, Any] = {
        "lists": labels,
        "array": np.array(labels),
        "objects": np.array(labels, dtype=object),
        "series": pd.Series(labels, index=[9, 3, 9]),
        "categories": pd.Series(labels, dtype="category"),
        "nullable": pd.Series(labels).convert_dtypes(),
        "strings": [str(label) for label in labels],
    }
    found = {name: labels_of((TEXTS, value)) for name, value in doors.items()} | files(labels)
    assert found == dict.fromkeys(found, expected)


def test_other_spellings_of_truth_values_are_truth_values() -> None:
    Path("a.csv").write_text("text,label\na,true\nb,FALSE\nc,True\n")
    assert load_table("a.csv").labels() == ["True", "False", "True"]
    _, report = load_data(DataSettings(labelled="a.csv"), seed=1)
    assert report.sentences() == ["labelled: labels are spelt alike: 'FALSE' as 'False', 'true' as 'True'."]


@pytest.mark.parametrize(
    "labels", [["true", "unknown", "nan"], ["1.0", "2.5"], ["01", "1"], ["1.0", "a"], ["1e3", "2"], ["None", "NA"]]
)
def test_other_columns_keep_their_spelling(labels: list[str]) -> None:
    assert spellings(labels) == {label: label for label in labels}


def test_all_parts_and_names_decide_together() -> None:
    data = TextData(
        labelled=(TEXTS, ["true", "false", "unknown"]), test=(["a", "b"], ["true", "false"]),
        label_names={"true": "it holds", "false": "it does not", "unknown": "nobody knows"},
    )  # fmt: skip
    assert data.test is not None
    assert data.test.labels() == ["true", "false"]
    data = TextData(
        labelled=(TEXTS, ["true", "false", "true"]), validation=(["a", "b"], [True, False]),
        label_names={"true": "it holds"},
    )  # fmt: skip
    assert data.label_set.names == ("False", "True")
    assert data.label_names == LabelNames((("True", "it holds"),))


def test_blanks_are_counted() -> None:
    Path("a.csv").write_text("text,label\na,good\nb,good \nc,bad\u00a0\nd,bad\n")
    data, report = load_data(DataSettings(labelled="a.csv"), seed=1)
    assert data.label_set.names == ("bad", "good")
    assert report.parts["labelled"].label_changes.stripped == 2
    assert report.sentences() == ["labelled: blanks around the label were removed in 2 rows."]


@pytest.mark.parametrize("label", ["\u200b", "\u3000 ", "\ufeff\u00a0"])
def test_a_label_of_blanks_alone_is_empty(label: str) -> None:
    with pytest.raises(DataError, match="labelled, row 2: the label is empty"):
        TextData(labelled=(TEXTS, ["a", label, "b"]))


@pytest.mark.parametrize(
    ("labels", "known", "found"),
    [
        (["True", "False"], ["true", "false", "unknown"], ["true", "false"]),
        (["True", "False"], ["0", "1"], ["1", "0"]),
        (["1.0", "2"], ["1", "2", "3"], ["1", "2"]),
        (["good "], ["good", "bad"], ["good"]),
        (["Good", "1"], ["good", "2"], ["Good", "1"]),
        (["True"], ["0", "1", "2"], ["True"]),
    ],
)
def test_labels_are_known_by_their_spelling(labels: list[str], known: list[str], found: list[str]) -> None:
    assert [spelt_as_known(labels, known)[label] for label in labels] == found


def test_json_labels_of_mixed_kinds() -> None:
    values = [True, "unknown", 1.0]
    Path("a.jsonl").write_text(
        "".join(json.dumps({"text": t, "label": v}) + "\n" for t, v in zip(TEXTS, values, strict=True))
    )
    assert load_table("a.jsonl").labels() == ["True", "unknown", "1"]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["1", "1.0", "1,0", "01", "2", "2.0"], ["1", "1", "1,0", "01", "2", "2"]),
        (["1.0", "+1", "1.5"], ["1", "1", "1.5"]),
        (["1.0", "1.5", "2.0"], ["1.0", "1.5", "2.0"]),
        (["01", "1", "1.0", "unknown"], ["01", "1", "1.0", "unknown"]),
    ],
)
def test_a_whole_number_has_one_name_among_other_numbers(labels: list[str], names: list[str]) -> None:
    assert spellings(labels) == dict(zip(labels, names, strict=True))


def test_every_part_names_labels_as_the_labelled_one() -> None:
    data = TextData(labelled=(["a", "b"], [0, 1]), validation=(["c", "d"], ["false", "TRUE"]))
    assert data.validation is not None
    assert data.validation.labels() == ["0", "1"]
    named = TextData(labelled=(["a", "b"], [0, 1]), label_names={"false": "bad news", "true": "good news"})
    assert named.label_names is not None
    assert named.label_names.get("1") == "good news"
    read = TextTable.from_lists(["c"], ["True"], name="read")
    mixed = TextData(labelled=(["a", "b", "e"], ["true", "false", "maybe"]), validation=read)
    assert mixed.validation is read
    assert mixed.label_set.ids(read.labels()) == mixed.label_set.ids(["true"])
    with pytest.raises(DataError) as caught:
        TextData(labelled=(["a", "b"], [0, 1]), label_names={"true": "good news", "1": "one"})
    assert str(caught.value) == "label_names: the label '1' has two names. Remove one."
