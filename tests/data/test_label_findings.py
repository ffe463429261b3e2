"""What `check` tells about labels, with counts and places."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from nlptl.data import DataSettings, TextData, load_data
from nlptl.data.data_settings import LabelCells
from nlptl.errors import DataError


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def told(*rows: tuple[str, str], **settings: Any) -> list[str]:
    Path("a.csv").write_text(
        "text,label\n" + "".join(f'"{text}","{label}"\n' for text, label in rows), encoding="utf-8"
    )
    _, report = load_data(DataSettings.model_validate({"labelled": "a.csv", **settings}), seed=1)
    return report.sentences()


def labelled(**counts: int) -> list[tuple[str, str]]:
    return [(f"{label} text {i}", label) for label, count in counts.items() for i in range(count)]


@pytest.mark.parametrize(
    ("label", "like"),
    [("Good", "good"), ("g ood", "good"), ("ｇｏｏｄ", "good"), ("cafe\u0301", "caf\u00e9"), ("very-bad", "very bad")],
)
def test_labels_that_look_alike(label: str, like: str) -> None:
    rows = [("a text", label), *((f"{like} {i}", like) for i in range(3)), ("other", "plain"), ("another", "plain")]
    assert told(*rows) == [
        f"labelled: the labels {label!r} (1 row) and {like!r} (3 rows) differ only in case, blanks or Unicode form. Rename one "
        "if they mean the same."
    ]


@pytest.mark.parametrize("label", ["goood", "god", "gopd s", "ogod"])
def test_one_typo_in_a_rare_label(label: str) -> None:
    like = "goods" if label == "gopd s" else "good"
    rows = [("a text", label), *((f"{like} {i}", like) for i in range(6)), *labelled(plain=6)]
    labels = f"{label!r} (1 row) and {like!r} (6 rows)"
    sentence = f"labelled: the labels {labels} differ by one letter. Rename one if they mean the same."
    assert (sentence in told(*rows)) == (label != "god")  # three letters are too few to tell


@pytest.mark.parametrize(
    "counts", [{"good": 4, "goods": 4}, {"label1": 1, "label2": 6}, {"food": 1, "good": 6}, {"a": 1, "b": 6}]
)
def test_other_labels_are_not_alike(counts: dict[str, int]) -> None:
    assert told(*labelled(**counts)) == []


@pytest.mark.parametrize(
    "label", ["food|service", "food;service", "food, service", "food/service", "['food', 'service']"]
)
def test_several_labels_in_one_cell(label: str) -> None:
    rows = [*labelled(food=2, service=2), ("both", label), ("both again", label)]
    separator = next(sign for sign in "|;,/" if sign in label)
    assert told(*rows) == [
        f"labelled: the label {label!r} (2 rows, such as a.csv:6) joins 'food' and 'service'. If a text may have several labels, "
        f"set `labels: {{separator: {separator!r}}}` under `data:`; else keep one."
    ]
    data, _ = load_data(DataSettings(labelled="a.csv", labels=LabelCells(separator=separator)), seed=1)
    assert data.labelled is not None
    assert data.labelled.label_sets()[4:] == [("food", "service")] * 2, "the setting that is named reads the cell"


@pytest.mark.parametrize("labels", [{}, {"separator": ";"}], ids=str)
def test_cells_that_the_separator_does_not_split(labels: dict[str, str]) -> None:
    rows = [(f"text {row}", label) for row, label in enumerate(("a|b", "b|c", "c|a", "a", "[]", "b|a"))]
    first, second, *_ = told(*rows, labels=labels)
    assert first == "labelled: a row may have several labels, but no row has more than one; 1 row has none."
    assert second == (
        "labelled: the label 'a|b' (1 row, such as a.csv:2) joins 'a' and 'b'. If a text may have several labels, set `labels: "
        "{separator: '|'}` under `data:`; else keep one."
    )


def test_joined_labels_that_all_differ_look_like_no_ids() -> None:
    labels = ["a|b", "b|c", "c|a", "d|c", "a|d"]
    sentences = told(*((f"text {row}", label) for row, label in enumerate(labels)))
    assert [" joins " in sentence for sentence in sentences] == [True] * 5


def test_a_cell_that_another_sign_joins() -> None:
    rows = [("x", "a|b"), ("y", "b|c"), ("z", "a;c"), ("w", "c")]
    assert told(*rows, labels={"separator": "|"}) == [
        "labelled: a row may have several labels, 1.5 on average.",
        "labelled: the label 'a;c' (1 row, such as a.csv:4) joins 'a' and 'c'. Separate them as in other rows, or keep one.",
    ]


@pytest.mark.parametrize("separator", ["|", "; ", ", "])
def test_parts_that_stand_in_other_lists_only(separator: str) -> None:
    labels = [separator.join(pair) for pair in (("food", "service"), ("service", "price"), ("price", "food"))]
    first, *others = told(*((f"text {i} {label}", label) for label in labels for i in range(3)))
    assert first == (
        f"labelled: the label {labels[0]!r} (3 rows, such as a.csv:2) joins 'food' and 'service'. If a text may have several "
        f"labels, set `labels: {{separator: {separator.strip()!r}}}` under `data:`; else keep one."
    )
    assert len(others) == 2


@pytest.mark.parametrize(
    "labels",
    [["R&D", "sales", "input/output"], ["Paris, France", "Lyon, France"], ["good food", "bad food", "good price"]],
)
def test_a_separator_alone_does_not_join(labels: list[str]) -> None:
    assert told(*((f"text {i} {label}", label) for label in labels for i in range(2))) == []


def test_one_text_under_different_labels() -> None:
    rows = [("warm soup", "good"), ("x", "bad"), ("warm soup", "bad"), ("y", "good"), ("y", "bad"), ("y", "good")]
    assert told(*rows)[-1] == (
        "labelled: 2 texts have different labels, for example 'warm soup': 'good' (a.csv:2) and 'bad' (a.csv:4). Keep the "
        "right label."
    )


def test_places_count_rows_that_were_left_out() -> None:
    rows = [("", "good"), ("soup", "good"), ("x", ""), ("soup", "bad")]
    assert told(*rows, empty_text="skip", empty_label="skip")[-1] == (
        "labelled: 1 text has different labels, for example 'soup': 'good' (a.csv:3) and 'bad' (a.csv:5). Keep the right label."
    )


def test_a_test_is_looked_at_too() -> None:
    Path("test.csv").write_text("text,label\nsoup,a\nsoup,b\n")
    assert told(("x", "a"), ("y", "b"), test="test.csv") == [
        "test: 1 of 2 rows repeats the text of an earlier row.",
        "test: 1 text has different labels, for example 'soup': 'a' (test.csv:2) and 'b' (test.csv:3). Keep the right label.",
    ]


def test_a_column_of_ids() -> None:
    assert told(*((f"text {i}", f"{i + 100}") for i in range(9))) == [
        "labelled: the column of labels has 9 different values in 9 rows, such as '100' (a.csv:2) and '101' (a.csv:3). It looks "
        "like an id. Check which column holds the labels."
    ]
    nearly = [(f"text {i}", f"id{max(i, 2)}") for i in range(30)]
    assert told(*nearly)[0].startswith("labelled: the column of labels has 28 different values in 30 rows")
    assert told(*((f"text {i}", "abc"[i % 3]) for i in range(3))) == []


def test_many_findings_are_bounded() -> None:
    rows = [
        (f"{case} {i}", case(f"label{'x' * i}")) for i in range(2, 12) for case in (str.upper, str.lower) for _ in "ab"
    ]
    assert sum("differ only in case" in sentence for sentence in told(*rows)) == 5


@pytest.mark.parametrize(
    ("labels", "pairs"),
    [
        (["1", "01", "1,0", "2"], [("1", "01"), ("1", "1,0")]),
        (["WAHR", "True", "FALSCH", "1", "False"], [("WAHR", "True"), ("WAHR", "1"), ("FALSCH", "False")]),
        (["True", "1", "0", "False"], [("True", "1"), ("False", "0")]),
        (["True", "1", "2", "0"], []),
        (["1.5", "2.5", "vero", "yes"], []),
    ],
)
def test_labels_that_write_one_value(labels: list[str], pairs: list[tuple[str, str]]) -> None:
    rows = [(f"text {number} {label}", label) for number in range(4) for label in labels]
    found = [sentence for sentence in told(*rows) if "seem to" in sentence]
    assert found == [
        f"labelled: the labels {one!r} (4 rows) and {other!r} (4 rows) seem to write the same number or truth value. Rename one "
        "if they mean the same."
        for one, other in pairs
    ]


def test_ids_are_told_instead_of_many_unknown_labels() -> None:
    count = 3_000
    texts = [f"text {number}" for number in range(count)]
    train, test = ([f"{part}{number}" for number in range(count)] for part in ("a", "b"))
    started = time.perf_counter()
    with pytest.raises(DataError) as caught:
        TextData(labelled=(texts, train), test=(texts, test))
    looks = "It looks like an id. Check which column holds the labels."
    assert caught.value.faults == (
        f"labelled: the column of labels has 3000 different values in 3000 rows, such as 'a0' and 'a1'. {looks}",
        f"test, row 1: the column of labels has 3000 different values in 3000 rows, such as 'b0' and 'b1'. {looks}",
    )
    with pytest.raises(DataError) as caught:
        TextData(labelled=(texts * 2, train * 2), test=(texts * 2, test * 2))
    assert len(caught.value.faults) == 21
    assert caught.value.faults[0] == (
        "test, row 1: labelled has no label 'b0'; its labels are 'a0', 'a1', 'a10', 'a100', 'a1000', 'a1001', 'a1002', "
        "'a1003', 'a1004', 'a1005', 'a1006', 'a1007' and 2988 more. Correct the label, or add labelled rows for it."
    )
    assert caught.value.faults[-1] == "labels: 2980 more faults were found. Correct these first."
    assert time.perf_counter() - started < 5
