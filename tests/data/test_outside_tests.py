"""Texts kept out for other tests, examples drawn anew, single tables and streams."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptl.data import (
    DataSettings,
    TextData,
    TextTable,
    load_table,
    redraw,
    rows_not_in,
    stream_texts,
    without_texts_of,
)
from nlptl.data.outside_tests import read_outside, spelt_as_in
from nlptl.errors import DataError


def table(texts: list[str], labels: list[str]) -> TextTable:
    return TextTable.from_lists(texts, labels, name="tests")


def test_tests_are_kept_out_of_every_other_part() -> None:
    data = TextData(
        unlabelled=["a", "b", "c"], labelled=(["b", "d", "e"], ["x", "y", "x"]), validation=(["c", "f"], ["x", "y"])
    )
    left = without_texts_of(data, [table(["b"], ["x"]), table(["c"], ["y"])])
    assert left.unlabelled is not None
    assert left.labelled is not None
    assert left.validation is not None
    assert (left.unlabelled.texts(), left.labelled.texts(), left.validation.texts()) == (["a"], ["d", "e"], ["f"])
    untouched = without_texts_of(data, [table(["z"], ["x"])])
    assert untouched == TextData(unlabelled=data.unlabelled, labelled=data.labelled, validation=data.validation)


def test_faults_of_tests_are_told() -> None:
    data = TextData(unlabelled=["a"], labelled=(["b", "d"], ["x", "y"]))
    with pytest.raises(DataError) as caught:
        without_texts_of(data, [table(["a"], ["x"])])
    assert str(caught.value) == ("unlabelled: all 1 rows also occur in the test texts. Add other rows.")
    with pytest.raises(DataError) as caught:
        without_texts_of(data, [table(["q"], ["z"])])
    assert str(caught.value) == (
        "tests, row 1: labelled has no label 'z'; its labels are 'x', 'y'. Correct the label, or add labelled rows "
        "for it."
    )
    assert without_texts_of(data, [table(["a"], ["x"])], drop=False).unlabelled == data.unlabelled
    with pytest.raises(DataError) as caught:
        redraw(table(["a", "b"], ["x", "y"]), like=data, seed=1)
    assert str(caught.value) == (
        "tests: all 2 rows would be drawn for training, which leaves none for the test. Add rows, or remove `redraw`."
    )
    with pytest.raises(DataError) as caught:
        redraw(table(["a", "b"], ["x", "y"]), like=TextData(unlabelled=["a"]), seed=1)
    assert str(caught.value) == ("redraw: data.labelled is not set, which says how many examples to draw. Set it.")


def test_redraw_takes_as_many_and_tests_on_the_rest() -> None:
    pool = table([f"t{i}" for i in range(20)], ["x", "y"] * 10)
    data = TextData(labelled=(["a", "b", "c", "d", "e"], ["x", "y", "x", "y", "x"]))
    drawn, rest = redraw(pool, like=data, seed=3)
    assert sorted(drawn.labels()) == ["x", "x", "y", "y"]
    assert sorted(drawn.texts() + rest.texts()) == sorted(pool.texts())
    assert redraw(pool, like=data, seed=3)[0] == drawn
    assert redraw(pool, like=data, seed=4)[0] != drawn


def test_one_source_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("review,stars\ngood,5\nbad,1\n")
    settings = DataSettings(text_column="review", label_column="stars")
    assert load_table(str(path), settings=settings).labels() == ["5", "1"]
    assert [text for batch in stream_texts(str(path), settings=settings) for text in batch] == ["good", "bad"]
    with pytest.raises(
        DataError, match="x\\.csv:1: there is no column 'text' with the texts; the columns are 'review', 'stars'"
    ):
        list(stream_texts(str(path)))


def test_rows_that_are_new() -> None:
    one, two = table(["a", "b"], ["x", "y"]), table(["b"], ["x"])
    new = rows_not_in(one, two)
    assert new is not None
    assert new.texts() == ["a"]
    assert rows_not_in(two, one) is None


def test_a_test_of_a_file_is_told_at_its_own_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('text;label\n;x\n"good\nfilm";x\nbad;z\n', encoding="utf-16")
    settings = DataSettings(empty_text="skip")
    test = read_outside(str(path), settings=settings, where="compare.tests.x")
    assert test.remarks == (f"{path}: it is read as UTF-16.", f"{path}: a semicolon separates its fields.")
    with pytest.raises(DataError) as caught:
        without_texts_of(TextData(labelled=(["b", "d"], ["x", "y"])), [test])
    assert str(caught.value) == (
        f"{path}:5: labelled has no label 'z'; its labels are 'x', 'y'. Correct the label, or add labelled rows for it."
    )


def test_other_spellings_are_named_as_in_the_data() -> None:
    data = TextData(labelled=(["a", "b", "c"], ["true", "false", "maybe"]))
    assert spelt_as_in(data, table(["d", "e"], ["True", "False"])).labels() == ["true", "false"]
    same = table(["d", "e"], ["true", "other"])
    assert spelt_as_in(data, same) is same
    assert spelt_as_in(TextData(unlabelled=["a"]), same) is same
