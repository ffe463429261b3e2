"""Rows with several labels, or none: how files and Python hold them, and what is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nlptl.data import DataReport, DataSettings, TextData, TextTable, draw_shots, load_data
from nlptl.data.label_cells import split_cell
from nlptl.errors import DataError

SETS = [("food", "service"), ("food",), (), ("service",)]
TEXTS = ["good soup, kind staff", "cold soup", "we came at eight", "slow staff"]


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(content: str, name: str = "a.csv", **settings: Any) -> tuple[TextTable, DataReport]:
    Path(name).write_text(content, encoding="utf-8")
    data, report = load_data(DataSettings.model_validate({"labelled": name, **settings}), seed=1)
    assert data.labelled is not None
    return data.labelled, report


def fault(content: str, name: str = "a.csv", **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        loaded(content, name, **settings)
    return str(caught.value)


def csv_of(sets: list[tuple[str, ...]], separator: str = "|") -> str:
    return "text,label\n" + "".join(f'"{t}","{separator.join(s)}"\n' for t, s in zip(TEXTS, sets, strict=True))


def lists_of(sets: Any) -> str:
    return "".join(json.dumps({"text": t, "label": s}) + "\n" for t, s in zip(TEXTS, sets, strict=True))


def test_every_door_gives_the_same_table(tmp_path: Path) -> None:
    lists = [[*reversed(found)] for found in SETS]  # the order of a row's labels does not count
    frame = pd.DataFrame({"text": TEXTS, "label": lists})
    frame.to_parquet("a.parquet")
    empty = {"separator": "|", "empty": "no_label"}
    tables = [
        loaded(csv_of(SETS), labels=empty)[0],
        loaded(csv_of(SETS, " | ").replace('""', "[]"), labels={"separator": "|"})[0],
        loaded(lists_of(lists), "a.jsonl")[0],
        loaded(lists_of(["service|food", ["food"], [], "service"]), "a.jsonl", labels=empty)[0],
        load_data(DataSettings(labelled="a.parquet"), seed=1)[0].labelled,
        TextData(labelled=(TEXTS, SETS)).labelled,
        TextData(labelled=(TEXTS, [np.array(found, dtype=str) for found in SETS])).labelled,
        TextData(labelled=frame).labelled,
        TextData(labelled=[*zip(TEXTS, SETS, strict=True)]).labelled,
        TextData(labelled=(TEXTS, ["food;service", "food", "[]", "service"]), separator=";").labelled,
    ]
    for table in tables:
        assert table is not None
        assert table.has_label_sets
        assert table.label_sets() == SETS
        assert table.label_counts() == {"food": 2, "service": 2}
        assert table.digest == tables[0].digest
    one = TextData(labelled=(TEXTS, ["food", "service"] * 2)).labelled
    assert one is not None
    assert not one.has_label_sets
    assert one.label_sets() == [("food",), ("service",)] * 2


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("bill|refund (partial)", ["bill", "refund (partial)"]),
        ("(VIP) wish|bug", ["(VIP) wish", "bug"]),
        ("boys'|x|Rock 'n'", ["boys'", "x", "Rock 'n'"]),
        ("(a) b (c)", ["(a) b (c)"]),
        ("(a (b)", ["(a (b)"]),
        ("[bug]|'x'|(y)", ["bug", "x", "y"]),
        ("[a|b (c)]", ["a", "b (c)"]),
        ('["a"|"it\'s"]', ["a", "it's"]),
        ("'a'|'b'", ["a", "b"]),
        ("'a|b'", ["a", "b"]),
        ("{ 'a' | b }", ["a", "b"]),
        ("[ ]", []),
        ("''|()", []),
        ("(|'|]", ["(", "'", "]"]),
    ],
)
def test_brackets_and_quotes_count_only_around_a_cell_or_a_label(cell: str, labels: list[str]) -> None:
    assert split_cell(cell, "|") == labels


def test_a_cell_without_a_separator_is_one_label_or_none() -> None:
    content = csv_of([("[]",), ("a (b)",), ("'c'",), (" [ ] ",)])
    assert loaded(content, labels={})[0].label_sets() == [(), ("a (b)",), ("'c'",), ()]


def test_a_big_file_goes_through_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    small = loaded(lists_of(SETS), "a.jsonl")[0]
    monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 0)
    big, _ = loaded(lists_of(SETS), "a.jsonl")
    assert big.mapped is not None
    assert (big.label_sets(), big.digest) == (small.label_sets(), small.digest)
    assert big.select([3, 0]).label_sets() == [("service",), ("food", "service")]
    by_separator = [loaded(csv_of(SETS, "|"), labels={"separator": sign, "empty": "no_label"})[0] for sign in "|;"]
    assert [len(table.label_counts()) for table in by_separator] == [2, 3], "the cache knows the separator"


def test_digest_tells_where_a_row_ends() -> None:
    same = [[["a", "b"], [], ["c"]], [["a"], ["b"], ["c"]], [["a"], ["b", "c"], []]]
    tables = [TextData(labelled=(TEXTS[:3], sets)).labelled for sets in same]
    assert len({table.digest for table in tables if table is not None}) == 3


def test_empty_cell_is_a_row_without_label_unless_told_otherwise() -> None:
    assert fault(csv_of(SETS), labels={"separator": "|"}) == (
        "a.csv:4: the label is empty. Remove the row, fill in the label, or set `empty_label: skip` to leave out all such rows. "
        "Write [] if no label applies, or set `empty: no_label` under `labels:` if each empty cell says so."
    )
    data, report = load_data(
        DataSettings.model_validate({"labelled": "a.csv", "labels": {"separator": "|"}, "empty_label": "unlabelled"}),
        seed=1,
    )
    assert data.unlabelled is not None
    assert data.unlabelled.texts() == [TEXTS[2]]
    assert data.labelled is not None
    assert list(data.labelled.numbers) == [1, 2, 4]
    assert report.sentences() == [
        "labelled: 1 row without label counts as unlabelled.",
        "labelled: a row may have several labels, 1.3 on average.",
    ]
    _, report = loaded(csv_of(SETS), labels={"separator": "|", "empty": "no_label"})
    assert report.sentences() == ["labelled: a row may have several labels, 1 on average; 1 row has none."]
    assert report.parts["labelled"].rows_of_no_label == 1


def test_contradictions_copies_and_spelling() -> None:
    rows = [("same", ["True", "x"]), ("same", ["x"]), ("copy", ["true "]), ("copy", ["True"])]
    content = "".join(json.dumps({"text": text, "label": labels}) + "\n" for text, labels in rows)
    table, report = loaded(content, "a.jsonl")
    assert table.label_counts() == {"True": 2, "x": 2, "true": 1}
    assert report.sentences() == [
        "labelled: 2 of 4 rows repeat the text of an earlier row.",
        "labelled: a row may have several labels, 1.2 on average.",
        "labelled: the labels 'True' (2 rows) and 'true' (1 row) differ only in case, blanks or Unicode form. Rename one if they "
        "mean the same.",
        "labelled: 2 texts have different labels, for example 'same': 'True, x' (a.jsonl:1) and 'x' (a.jsonl:2). Keep the right "
        "label.",
    ]
    table, _ = loaded(content.replace('"x"', '"FALSE"'), "a.jsonl")
    assert table.label_sets() == [("False", "True"), ("False",), ("True",), ("True",)]


def test_shots_of_each_label_and_of_none() -> None:
    generator = np.random.default_rng(1)
    sets = [tuple(label for label in "abc" if generator.random() < 0.4) for _ in range(60)]
    table = TextTable.from_lists([f"text {row}" for row in range(60)], sets, name="rows")
    drawn = {shots: draw_shots(table, shots, 3) for shots in (1, 4, 8)}
    for shots, found in drawn.items():
        assert min(found.label_counts().values()) >= shots
        assert found.label_sets().count(()) >= shots
    assert set(drawn[1].texts()) < set(drawn[4].texts()) < set(drawn[8].texts())
    assert len(drawn[8]) < 8 * 4, "a row counts for all of its labels"


def test_parts_must_be_alike() -> None:
    Path("test.csv").write_text("text,label\na,food\n", encoding="utf-8")
    assert fault(lists_of(SETS), "a.jsonl", test="test.csv") == (
        "test.csv:2: rows of a.jsonl have lists of labels, those of test.csv one label each. Write lists in both, or set "
        "`labels:` for both."
    )
    data, _ = load_data(
        DataSettings.model_validate({"labelled": "a.jsonl", "test": "test.csv", "labels": {"separator": "|"}}), seed=1
    )
    assert data.test is not None
    assert data.test.label_sets() == [("food",)]


def test_unknown_label_of_a_test_row() -> None:
    Path("test.csv").write_text("text,label\na,food\nb,service|price\n", encoding="utf-8")
    assert fault(csv_of(SETS), labels={"separator": "|", "empty": "no_label"}, test="test.csv") == (
        "test.csv:3: a.csv has no label 'price'; its labels are 'food', 'service'. Did you mean 'service'? Correct the "
        "label, or add labelled rows for it."
    )


@pytest.mark.parametrize("labels", [None, {}, {"separator": ","}], ids=str)
def test_joined_labels_of_a_test_row_are_one_fault(labels: dict[str, str] | None) -> None:
    cells = ["food|price", "price|service", "food", "food|service"]
    Path("test.csv").write_text("text,label\n" + "".join(f"{cell},{cell}\n" for cell in cells), encoding="utf-8")
    assert fault(csv_of([*SETS[:2], ("price",), SETS[3]]), labels=labels, test="test.csv") == (
        "test.csv:2: the label 'food|price' joins 'food' and 'price', and 1 more label joins some. If a text may have several "
        "labels, set `labels: {separator: '|'}` under `data:`; else keep one."
    )
    wrong = (
        "test.csv:2: the label 'food;service' joins 'food' and 'service'. Separate them as in other rows, or keep one."
    )
    Path("test.csv").write_text("text,label\na,food;service\n", encoding="utf-8")
    assert fault(csv_of([*SETS[:2], ("price",), SETS[3]]), labels={"separator": "|"}, test="test.csv") == wrong


def test_named_label_without_an_example() -> None:
    names = {"food": "food", "servise": "the staff"}
    read = {"labels": {"separator": "|", "empty": "no_label"}}
    assert fault(csv_of(SETS), **read, label_names=names) == (
        "data.label_names: 1 label has a name and no example in a.csv ('servise'); where texts may have several labels, each "
        "label needs an example. Did you mean 'service'? Add rows, correct the label, or remove its name."
    )
    with pytest.raises(DataError) as caught:
        TextData(labelled=(TEXTS, SETS), label_names={"close_account": "close it", "staff": "the waiters"})
    assert str(caught.value) == (
        "label_names: 2 labels have a name and no example in labelled ('close_account', 'staff'); where texts may have several "
        "labels, each label needs an example. Add rows, correct the label, or remove its name."
    )


def test_faults_of_lists() -> None:
    assert fault(lists_of([["food"], ["service"], "food", ["x"]]), "a.jsonl") == (
        "a.jsonl:3: the label is 'food' (str), but other rows have lists of labels. Write a list here too."
    )
    assert fault(lists_of([["food"], [0.5], [[]], ["x"]]), "a.jsonl") == (
        "a.jsonl:2: the label is 0.5 (float), but must be a name or a whole number.\n"
        "a.jsonl:3: the label is [] (list), but must be a name or a whole number. Give each row one label, or all rows lists."
    )
    assert fault(lists_of([["food"]] * 3 + [[]]), "a.jsonl") == (
        "a.jsonl: no label but 'food' stands in the 4 rows. Add another label, or give each row one of two labels."
    )
    table = TextData(labelled=(TEXTS, SETS)).labelled
    assert table is not None
    with pytest.raises(DataError) as caught:
        table.labels()
    assert str(caught.value) == "labelled: a row may have several labels. Give rows with one label each."
