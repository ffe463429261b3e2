"""Python's door: what holds texts or labelled examples is read, and anything else is refused with its place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.data import FileSource, TextData, TextTable, load_table
from nlptl.data.python_texts import given_texts, strings
from nlptl.errors import ConfigError, DataError, NlptlError

TEXTS = ["warm soup", "cold soup", "kind staff"]
LABELS = ["good", "bad", "good"]
FEATURES = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])})
DATASET = datasets.Dataset.from_dict({"text": TEXTS, "label": [1, 0, 1]}, features=FEATURES)
FRAME = pd.DataFrame({"text": TEXTS, "label": LABELS, "id": [1, 2, 3]}, index=[7, 7, 1])
EMPTY = (
    'the text is empty. Remove the row, fill in the text, give `empty_text="skip"` to leave out all such rows, or '
    '`empty_text="none"` to keep their places.'
)


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    FRAME.to_csv("a.csv", index=False)


COLUMNS: dict[str, Callable[[list[str]], Any]] = {
    "list": list,
    "tuple": tuple,
    "generator": iter,
    "array": np.array,
    "array of objects": lambda values: np.array(values, dtype=object),
    "series": lambda values: pd.Series(values, index=[5, 5, 1]),
    "series of strings": lambda values: pd.Series(values, dtype="string"),
    "series of objects": lambda values: pd.Series(values, dtype="object"),
    "categories": lambda values: pd.Series(values, dtype="category"),
    "index": pd.Index,
    "arrow": pa.array,
    "arrow in chunks": lambda values: pa.chunked_array([values[:1], values[1:]]),
    "keys": lambda values: {f"{value}": 0 for value in values}.keys() if len(set(values)) == len(values) else values,
    "values": lambda values: dict(enumerate(values)).values(),
    "column of a data set": lambda values: datasets.Dataset.from_dict({"a": values})["a"],
    "column of a stream": lambda values: datasets.Dataset.from_dict({"a": values}).to_iterable_dataset()["a"],
}  # fmt: skip
TABLES: dict[str, Callable[[], Any]] = {
    "frame": lambda: FRAME,
    "data set": lambda: DATASET,
    "formatted data set": lambda: DATASET.with_format("numpy"),
    "stream": DATASET.to_iterable_dataset,
    "arrow table": lambda: pa.table({"text": TEXTS, "label": LABELS}),
    "file": lambda: "a.csv",
    "path": lambda: Path("a.csv"),
    "table": lambda: TextTable.from_lists(TEXTS, LABELS, name="t"),
    "frame with other case": lambda: FRAME.rename(columns={"text": " Text", "label": "LABEL"}),
}


@pytest.mark.parametrize("make", [*COLUMNS.values()], ids=[*COLUMNS])
def test_a_column_is_read(make: Callable[[list[str]], Any]) -> None:
    assert given_texts(make(TEXTS)).texts == TEXTS
    assert strings(make(TEXTS)) == TEXTS
    assert TextData(unlabelled=make(TEXTS)).unlabelled == TextTable.from_lists(TEXTS, name="unlabelled")
    data = TextData(labelled=(make(TEXTS), make(LABELS)))
    assert data.labelled == TextTable.from_lists(TEXTS, LABELS, name="labelled")


@pytest.mark.parametrize("make", [*TABLES.values()], ids=[*TABLES])
def test_a_table_is_read(make: Callable[[], Any]) -> None:
    assert given_texts(make()).texts == TEXTS
    unlabelled, labelled = TextData(unlabelled=make()).unlabelled, TextData(labelled=make()).labelled
    assert unlabelled is not None
    assert labelled is not None
    assert unlabelled.texts() == labelled.texts() == TEXTS
    assert labelled.labels() == LABELS


@pytest.mark.parametrize(
    "make",
    [
        lambda: list(zip(TEXTS, LABELS, strict=True)),
        lambda: tuple(zip(TEXTS, LABELS, strict=True)),
        lambda: zip(TEXTS, LABELS, strict=True),
        lambda: [[text, label] for text, label in zip(TEXTS, LABELS, strict=True)],
        lambda: np.array([TEXTS, LABELS]).T,
        lambda: FRAME[["text", "label"]].itertuples(index=False),
        lambda: (FRAME, FRAME["label"]),
        lambda: (FRAME[["text"]], FRAME["label"].to_numpy()),
        lambda: (TEXTS, FRAME[["label"]]),
        lambda: (FRAME, FRAME),
        lambda: (DATASET["text"], DATASET["label"]),
    ],
)
def test_pairs_are_read(make: Callable[[], Any]) -> None:
    data = TextData(labelled=make(), validation=make(), test=make())
    for table in (data.labelled, data.validation, data.test):
        assert table is not None
        assert (table.texts(), table.labels()) == (TEXTS, LABELS)


def test_columns_are_named() -> None:
    frame = pd.DataFrame({"head": ["a", None, "c"], "body": TEXTS, "stars": [1, 2, 1]})
    data = TextData(labelled=frame, unlabelled=frame, text="body", label="stars")
    assert data.labelled is not None
    assert data.unlabelled is not None
    assert data.labelled.texts() == data.unlabelled.texts() == given_texts(frame, text="body").texts == TEXTS
    assert data.labelled.labels() == ["1", "2", "1"]
    joined = given_texts(frame, text=["head", "body"]).texts
    assert joined == ["a\nwarm soup", "cold soup", "c\nkind staff"]
    frame.to_csv("b.csv", index=False)
    assert strings("b.csv", text=["head", "body"]) == joined


def test_a_generator_is_read_once() -> None:
    rows = iter([*TEXTS, "rest"])
    assert given_texts(next(rows) for _ in range(3)).texts == TEXTS
    assert next(rows) == "rest"


REFUSED: dict[str, tuple[Any, str]] = {
    "none": (["a", None], f"texts, row 2: {EMPTY}"),
    "nan": (np.array(["a", float("nan")], dtype=object), f"texts, row 2: {EMPTY}"),
    "na": (pd.Series(["a", pd.NA], dtype="string"), f"texts, row 2: {EMPTY}"),
    "empty category": (pd.Series(["a", None], dtype="category"), f"texts, row 2: {EMPTY}"),
    "several": (["a", None, "b", None, None], f"texts, row 2: {EMPTY} The same in 2 more places: texts, row 4, texts, row 5."),
    "numbers": ([1], "texts, row 1: the text is 1 (int), but must be a string. Make it a str, or leave it out."),
    "array": (np.array([1.5]), "texts, row 1: the text is 1.5 (float), but must be a string. Make it a str, or leave it out."),
    "bytes": (
        ["a", b"b"],
        "texts, row 2: the text is b'b' (bytes), but must be a string. Decode it, as in `value.decode(\"utf-8\")`.",
    ),
    "pairs": ([("a", "x")], "texts, row 1: the text is ('a', 'x') (tuple), but must be a string. Give the text alone."),
    "columns": ((TEXTS, LABELS), "texts: a pair such as (texts, labels) was given. Give the texts alone."),
    "surrogate": (
        ["a", "b\ud83d"],
        "texts, row 2: the text contains '\\ud83d', which is half of a UTF-16 surrogate pair. Remove it, or write the whole "
        "character.",
    ),
    "one text": ("a text", "texts: 'a text' (str) is not a list of texts. Put the texts in a list."),
    "dict": (
        {"text": ["a"]},
        "texts: {'text': ['a']} (dict) is not a list of texts. Give one of its values, such as `value['text']`.",
    ),
    "set": ({"a"}, "texts: {'a'} (set) is not a list of texts. Give a list, since a set has no order."),
    "number": (
        5,
        "texts: 5 (int) is not a list of texts. Give a list, tuple, generator, NumPy array or pandas Series of strings, a data "
        "frame or data set with a column of texts, or a file's path.",
    ),
    "frame": (
        pd.DataFrame({"txt": TEXTS, "b": LABELS}),
        "texts: there is no column 'text' with the texts; the columns are 'txt', 'b'. Did you mean 'txt'? Name the column, as "
        'in `text="COLUMN"`.',
    ),
    "data set": (
        datasets.Dataset.from_dict({"body": TEXTS}),
        "texts: there is no column 'text' with the texts; the columns are 'body'. Name the column, as in `text=\"COLUMN\"`.",
    ),
    "two columns": (
        pd.concat([FRAME, FRAME], axis=1),
        "texts: there are two columns 'text'. Rename one of them.",
    ),
    "two dimensions": (
        np.array([TEXTS, LABELS]),
        "texts: the array has the shape (2, 3), but must have one dimension. Choose a column.",
    ),
    "missing file": ("b.csv", "texts: there is no file 'b.csv'. Did you mean 'a.csv'? Check the path."),
}  # fmt: skip


@pytest.mark.parametrize(("value", "sentence"), [*REFUSED.values()], ids=[*REFUSED])
def test_anything_else_is_refused(value: Any, sentence: str) -> None:
    for empty_text in ("predict", "refuse"):
        with pytest.raises(DataError) as caught:
            given_texts(value, empty_text=empty_text)  # type: ignore[arg-type]
        assert str(caught.value) == sentence


LABELLED: dict[str, tuple[Any, str]] = {
    "series": (
        pd.Series(TEXTS),
        "labelled, row 1: 'warm soup' is not a pair (text, label). Give each row as such a pair, or all rows as (texts, labels).",
    ),
    "two series in a list": (
        [pd.Series(["a"]), pd.Series(["x"])],
        "labelled, row 1: 0 a dtype: str is not a pair (text, label). Give each row as such a pair, or all rows as (texts, "
        "labels).",
    ),
    "dict": (
        {"text": ["a"]},
        "labelled: {'text': ['a']} (dict) is not a set of examples. Give (texts, labels), a list of pairs (text, label), a "
        "pandas DataFrame or a datasets.Dataset.",
    ),
    "splits": (
        datasets.DatasetDict({"train": datasets.Dataset.from_dict({"a": [1]})}),
        "labelled: DatasetDict({ train: Dataset({ features: ['a'... (DatasetDict) is not a set of examples. Give one of its "
        "values, such as `value['train']`.",
    ),
    "dict of data sets": (
        {"train": DATASET},
        "labelled: {'train': Dataset({ features: ['text', 'label'], ... (dict) is not a set of examples. Give one of its values, "
        "such as `value['train']`.",
    ),
    "two pairs": (
        (("a film", "good"), ("b film", "bad")),
        "labelled: (('a film', 'good'), ('b film', 'bad')) may be two pairs (text, label), or (texts, labels). Give a list of "
        "pairs, or two lists.",
    ),
    "set of texts": (
        ({"a"}, ["x"]),
        "labelled: of (texts, labels), the texts are {'a'} (set), but must be a list. Give a list, since a set has no order.",
    ),
    "text of texts": (
        ("a", ["x"]),
        "labelled: of (texts, labels), the texts are 'a' (str), but must be a list. Put the texts in a list.",
    ),
    "no labels": (
        (TEXTS, None),
        "labelled: of (texts, labels), the labels are None (NoneType), but must be a list. Give a list of labels.",
    ),
    "set of labels": (
        (TEXTS, {"x"}),
        "labelled: of (texts, labels), the labels are {'x'} (set), but must be a list. Give a list of labels.",
    ),
    "dict of texts": (
        ({"t": ["a"]}, ["x"]),
        "labelled: of (texts, labels), the texts are {'t': ['a']} (dict), but must be a list. Give one of its values, such as "
        "`value['t']`.",
    ),
    "path of texts": (
        (Path("a.csv"), ["x"]),
        "labelled: of (texts, labels), the texts are PosixPath('a.csv') (PosixPath), but must be a list. Give a list of "
        "texts.",
    ),
    "array without dimensions": (
        np.array("abc"),
        "labelled: array('abc', dtype='<U3') (ndarray) is not a set of examples. Give (texts, labels), a list of pairs (text, "
        "label), a pandas DataFrame or a datasets.Dataset.",
    ),
    "lengths": (
        (pd.Series(TEXTS), np.array(LABELS[:2])),
        "labelled: the number of texts is 3, that of labels 2. Give one label for each text.",
    ),
    "frame of labels": (
        (TEXTS, pd.DataFrame({"y": LABELS, "z": LABELS})),
        "labelled: the labels are a frame with the columns 'y', 'z'. Give one column, such as `frame['y']`.",
    ),
    "label": (
        (TEXTS, ["a", b"b", "a"]),
        "labelled, row 2: the label is b'b' (bytes), but must be a name or a whole number.",
    ),
    "missing label": (
        (TEXTS, pd.Series([1, pd.NA, 0], dtype="Int64")),
        'labelled, row 2: the label is empty. Remove the row, fill in the label, or give `empty_label="skip"` to leave out all '
        "such rows.",
    ),
    "array as a label": (
        (TEXTS, [np.array(["a", "b"]), "b", "a"]),
        "labelled, row 1: the label is array(['a', 'b'], dtype='<U1') (ndarray), but must be a name or a whole number. Give each "
        "row one label, or all rows lists.",
    ),
    "frame without columns": (
        (TEXTS, pd.DataFrame()),
        "labelled: the labels are a frame with the columns none. Give one column.",
    ),
    "several labels": (
        (TEXTS, [["a"], "b", "a"]),
        "labelled, row 1: the label is ['a'] (list), but must be a name or a whole number. Give each row one label, or all rows "
        "lists.",
    ),
    "column": (
        FRAME.rename(columns={"label": "y"}),
        "labelled: there is no column 'label' with the labels; the columns are 'text', 'y', 'id'. Name the column, as in "
        '`label="COLUMN"`.',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("value", "sentence"), [*LABELLED.values()], ids=[*LABELLED])
def test_other_examples_are_refused(value: Any, sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        TextData(labelled=value)
    assert str(caught.value) == sentence


_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.binary(max_size=3),
    st.sampled_from(
        [pd.NA, pd.NaT, np.str_("a"), np.int64(3), np.datetime64("2020"), "a\ud83d", "\0.csv", 1 + 2j, object()]
    ),
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=2),
        st.lists(inner, max_size=3).map(iter),
        st.lists(_LEAVES, max_size=3).map(lambda values: pd.Series(values, dtype=object)),
        st.lists(_LEAVES, max_size=3).map(lambda values: np.array(values, dtype=object)),
        st.lists(st.tuples(_LEAVES, _LEAVES), max_size=3).map(
            lambda rows: pd.DataFrame(rows, columns=["text", "label"], dtype=object)
        ),
    ),
    max_leaves=6,
)


@given(value=_VALUES)
@settings(max_examples=150, deadline=None)
def test_any_value_is_read_or_refused_in_a_sentence(value: Any) -> None:
    told: list[str] = []
    for read in (
        lambda: given_texts(value, empty_text="none"),
        lambda: strings(value),
        lambda: TextData(labelled=value),
        lambda: TextData(labelled=(["a", "b"], value)),
        lambda: TextData(unlabelled=value),
    ):
        try:
            read()
        except NlptlError as error:
            told.append(str(error))
    assert all(sentence.endswith((".", "?")) for sentence in told)


def test_all_faults_are_told() -> None:
    with pytest.raises(DataError) as caught:
        TextData(labelled=[("a", "x"), ("", "y"), (3, "y"), ("b", None)])
    assert [fault.partition(": ")[0] for fault in caught.value.faults] == [f"labelled, row {row}" for row in (2, 3, 4)]
    with pytest.raises(DataError) as caught:
        given_texts(list(range(30)))
    assert len(caught.value.faults) == 21
    assert caught.value.faults[-1] == "texts: 10 more faults were found. Correct these first."


def test_rows_without_a_text() -> None:
    rows = ["a", None, "", "b", " \t", float("nan")]
    for treatment in ("skip", "none"):
        given = given_texts(rows, empty_text=treatment)  # type: ignore[arg-type]
        assert (given.texts, given.rows, given.count) == (["a", "b"], [0, 3], 6)
    assert given_texts(["a", ""]).texts == strings(["a", ""]) == ["a", ""]
    with pytest.raises(DataError, match="texts, row 2: the text is empty"):
        given_texts(["a", ""], empty_text="refuse")
    with pytest.raises(DataError, match='or give "" for a text without words'):
        strings(["a", None])  # type: ignore[list-item]
    with pytest.raises(ConfigError) as caught:
        given_texts(["a"], empty_text="drop")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "empty_text is 'drop', but must be one of 'predict', 'refuse', 'skip', 'none'. Choose one of them."
    )


def test_wrong_arguments() -> None:
    for arguments, sentence in (
        ({"empty_text": "drop"}, "empty_text is 'drop', but must be one of 'refuse', 'skip'. Choose one of them."),
        (
            {"empty_label": None},
            "empty_label is None, but must be one of 'refuse', 'skip', 'unlabelled'. Choose one of them.",
        ),
        ({"text": None}, "text is None, but must name a column, or give its number from 1. Correct it."),
        ({"text": ["text", 1.5]}, "text is 1.5, but must name a column, or give its number from 1. Correct it."),
        ({"label": ["y"]}, "label is ['y'], but must name a column, or give its number from 1. Correct it."),
        ({"label": None}, "label is None, but must name a column, or give its number from 1. Correct it."),
        ({"label": True}, "label is True, but must name a column, or give its number from 1. Correct it."),
        ({"label": -1}, "label is -1, but must name a column, or give its number from 1. Correct it."),
        ({"text": -1}, "text is -1, but must name a column, or give its number from 1. Correct it."),
        ({"text": 0}, "text is 0, but must name a column, or give its number from 1. Correct it."),
        ({"text": np.int64(-2)}, "text is -2, but must name a column, or give its number from 1. Correct it."),
        ({"text": []}, "text is [], but must name a column, or give its number from 1. Correct it."),
        ({"text": {"text"}}, "text is {'text'}, but must name a column, or give its number from 1. Correct it."),
        (
            {"text": np.array("text")},
            "text is array('text', dtype='<U4'), but must name a column, or give its number from 1. Correct it.",
        ),
        (
            {"empty_text": np.array(["skip"])},
            "empty_text is array(['skip'], dtype='<U4'), but must be one of 'refuse', 'skip'. Choose one of them.",
        ),
    ):
        with pytest.raises(ConfigError) as caught:
            TextData(labelled=FRAME, **arguments)  # type: ignore[arg-type]
        assert str(caught.value) == sentence


def test_an_empty_cell_of_a_file_is_missing() -> None:
    Path("b.csv").write_text('text,id\n"a",1\n,2\n"b",3\n')
    with pytest.raises(DataError) as caught:
        given_texts("b.csv")
    assert str(caught.value) == f"b.csv:3: {EMPTY}"
    assert given_texts("b.csv", empty_text="none").rows == [0, 2]


def test_half_a_character_in_a_name_of_a_label() -> None:
    with pytest.raises(DataError) as caught:
        TextData(labelled=FRAME, label_names={"good": "fine\ud83d"})
    assert str(caught.value) == (
        "label_names: the label 'good' or its name contains '\\ud83d', which is half of a UTF-16 surrogate pair. Remove it, or "
        "write the whole character."
    )


def test_rows_that_are_left_out_keep_their_numbers() -> None:
    rows = [("", "q"), ("a", "x"), ("b", None), ("c", "y ")]
    data = TextData(labelled=rows, unlabelled=["u"], empty_text="skip", empty_label="unlabelled")
    assert data.labelled == TextTable.from_lists(["a", "c"], ["x", "y"], name="labelled")
    assert data.unlabelled is not None
    assert data.unlabelled.texts() == ["u", "b"]
    assert TextData(labelled=rows, empty_text="skip", empty_label="skip").unlabelled is None
    alone = TextData(labelled=rows, empty_text="skip", empty_label="unlabelled").unlabelled
    assert alone is not None
    assert alone.digest == TextTable.from_lists(["b"], name="t").digest
    with pytest.raises(DataError) as caught:
        TextData(labelled=rows, test=[("", "x"), ("v", ""), ("w", "z")], empty_text="skip", empty_label="skip")
    assert str(caught.value).startswith("test, row 3: labelled has no label 'z'")


def test_labels_of_nothing() -> None:
    with pytest.raises(DataError) as caught:
        TextData(labelled=[("a", None), ("b", "")], empty_label="skip")
    assert str(caught.value) == ("labelled: no row has a label. Fill in labels, or give the texts as unlabelled ones.")


def test_no_library_is_imported_for_lists() -> None:
    code = (
        "import sys; from nlptl.data.python_texts import given_texts; given_texts(['a', 'b']); "
        "assert not {'pandas', 'datasets', 'torch', 'polars'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("make", [lambda: FRAME, lambda: DATASET, lambda: "a.csv", lambda: pa.table(dict(FRAME))])
def test_numbers_of_columns(make: Callable[[], Any]) -> None:
    for number in (np.int64(1), 1):
        data = TextData(labelled=make(), text=number, label=np.int32(2))
        assert data.labelled is not None
        assert (data.labelled.texts(), data.labelled.labels()) == (TEXTS, LABELS)
        assert given_texts(make(), text=[number]).texts == TEXTS
    for read in (lambda: given_texts(make(), text=-1), lambda: TextData(labelled=make(), label=-1)):
        with pytest.raises(ConfigError, match="is -1, but must name a column, or give its number from 1"):
            read()


def test_a_name_wins_over_a_number() -> None:
    frame = pd.DataFrame({0: TEXTS, 1: LABELS, 2: ["x", "y", "z"]})
    data = TextData(labelled=frame, text=0, label=np.int64(1))
    assert data.labelled is not None
    assert (data.labelled.texts(), data.labelled.labels()) == (TEXTS, LABELS)
    assert given_texts(frame, text=2).texts == given_texts(frame, text=3).texts == ["x", "y", "z"]
    assert given_texts(frame, text="0").texts == TEXTS
    assert given_texts(pd.DataFrame({-1: TEXTS}), text=-1).texts == TEXTS
    pair = TextData(labelled=(frame[0], frame[[1, 2]]), label=1).labelled
    assert pair is not None
    assert pair.labels() == LABELS
    with pytest.raises(DataError, match="there are two columns '0'"):
        given_texts(pd.DataFrame([["a", "b"]], columns=[0, 0]), text=0)


def test_two_pairs_that_can_be_nothing_else() -> None:
    data = TextData(labelled=(("a", 1), ("b", 0)), test=(("a", "b"), (0, 1)), validation=(["a", "b"], ["0", "1"]))
    assert data.labelled is not None
    assert data.test is not None
    assert data.validation is not None
    assert (data.labelled.texts(), data.labelled.labels()) == (["a", "b"], ["1", "0"])
    assert (data.test.texts(), data.test.labels()) == (["a", "b"], ["0", "1"])
    assert data.validation.labels() == ["0", "1"]


def test_labels_of_an_enum_of_strings_are_its_values() -> None:
    class Mood(str, Enum):  # noqa: UP042 - str() of a StrEnum would be its value anyway
        GOOD = "praise"
        BAD = "complaint"

    data = TextData(labelled=(["a", "b"], [Mood.GOOD, Mood.BAD]), label_names={Mood.GOOD: "a kind word"})
    assert data.labelled is not None
    assert data.label_names is not None
    assert data.labelled.labels() == ["praise", "complaint"]
    assert data.label_names.labels() == ["praise"]


def test_names_of_truth_values() -> None:
    data = TextData(labelled=(["a", "b"], [True, False]), label_names={True: "praise", False: "complaint"})
    assert data.label_names is not None
    assert data.label_names.pairs == (("False", "complaint"), ("True", "praise"))


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["praise"], "['praise'] (list)"),
        (pd.Series(["x"], index=["a"]), "a x dtype: str (Series)"),
    ],
)
def test_names_of_labels_come_as_a_dict(names: Any, shown: str) -> None:
    with pytest.raises(DataError) as caught:
        TextData(labelled=FRAME, label_names=names)
    assert str(caught.value) == f"label_names: {shown} names no labels. Give a dict {{label: words}}."


def test_remedies_exist_in_python() -> None:
    Path("b.csv").write_text("great film,good\nbad film,bad\n")
    with pytest.raises(DataError) as caught:
        given_texts("b.csv")
    assert str(caught.value) == (
        "b.csv:1: there is no column 'text' with the texts; the columns are 'great film', 'good'. Name the column, as in "
        '`text="COLUMN"`. If the first row is data, read the file by `load_table` and `FileSource(header=False)`.'
    )
    table = load_table(FileSource(file="b.csv", header=False))
    assert given_texts(table).texts == ["great film", "bad film"]
