"""Tables, label sets, Python values as data, and the few-shot draw."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlptl.data import LabelledLike, LabelSet, TextData, TextTable, draw_shots, load_table
from nlptl.data.label_spelling import stripped
from nlptl.data.table import concatenate

_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda text: text.strip())
_quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def table_of(count: int) -> TextTable:
    return TextTable.from_lists([f"text {i}" for i in range(count)], [i % 3 for i in range(count)], name="t")


@pytest.fixture(params=["in memory", "mapped"])
def thousand(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TextTable:
    table = table_of(1000)
    if request.param == "in memory":
        return table
    monkeypatch.setenv("NLPTL_CACHE", str(tmp_path))
    monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 1)
    path = tmp_path / "rows.csv"
    rows = "".join(f"{text},{label}\n" for text, label in zip(table.texts(), table.labels(), strict=True))
    path.write_text("text,label\n" + rows)
    mapped = load_table(str(path))
    assert mapped.mapped is not None
    return mapped


@given(rows=st.lists(st.tuples(_texts, _texts.filter(stripped)), min_size=1, max_size=8))
@_quick
def test_the_digest_tells_different_content_apart(rows: list[tuple[str, str]]) -> None:
    texts, labels = map(list, zip(*rows, strict=True))
    digest = TextTable.from_lists(texts, labels, name="a").digest
    assert TextTable.from_lists(texts, labels, name="b").digest == digest
    assert TextTable.from_lists(texts, name="a").digest != digest
    assert TextTable.from_lists([*texts[:-1], texts[-1] + "x"], labels, name="a").digest != digest
    assert TextTable.from_lists(texts, [*labels[:-1], labels[-1] + "x"], name="a").digest != digest
    assert TextTable.from_lists([*texts, "x"], [*labels, "x"], name="a").digest != digest


def test_the_digest_sees_where_texts_end_and_in_which_order_they_stand() -> None:
    digests = {TextTable.from_lists(texts, name="t").digest for texts in (["ab", "c"], ["a", "bc"], ["c", "ab"])}
    assert len(digests) == 3


def test_select_gives_rows_in_the_asked_order(thousand: TextTable) -> None:
    for rows in ([5], [3, 4, 5], [9, 2, 2], [0, 999], list(range(100, 900)), []):
        chosen = thousand.select(rows)
        assert chosen.texts() == [f"text {i}" for i in rows]
        assert chosen.labels() == [str(i % 3) for i in rows]
        if rows:
            assert chosen.digest == TextTable.from_lists(chosen.texts(), chosen.labels(), name="t").digest
    assert thousand.select([7, 5]).select([1]).texts() == ["text 5"]


@pytest.mark.parametrize(
    "left_out", [[0], [999], [500], [0, 1, 2, 500, 999], list(range(0, 1000, 2)), list(range(1000))]
)
def test_keep_leaves_rows_out(thousand: TextTable, left_out: list[int]) -> None:
    mask = np.ones(1000, dtype=np.bool_)
    mask[left_out] = False
    kept = thousand.keep(mask)
    expected = [f"text {i}" for i in np.flatnonzero(mask)]
    assert kept.texts() == expected
    assert kept.dataset["text"][:] == expected
    if expected:
        assert kept.digest == TextTable.from_lists(kept.texts(), kept.labels(), name="t").digest
        assert kept.keep(np.ones(len(kept), dtype=np.bool_)).digest == kept.digest


def test_batches_stream_all_texts(thousand: TextTable) -> None:
    batches = list(thousand.batches(rows=300))
    assert [len(batch) for batch in batches] == [300, 300, 300, 100]
    assert [text for batch in batches for text in batch] == thousand.texts()


def test_concatenated_tables_have_the_digest_of_all_rows(thousand: TextTable) -> None:
    both = concatenate([thousand, table_of(3)])
    assert len(both) == 1003
    assert both.digest == TextTable.from_lists(both.texts(), both.labels(), name="t").digest


def test_a_table_knows_its_length_name_and_labels() -> None:
    table = TextTable.from_lists(["a", "b"], [True, 2.0], name="mine")
    assert (len(table), table.name, table.has_labels, table.labels()) == (2, "mine", True, ["True", "2"])
    assert not TextTable.from_lists(["a"], name="mine").has_labels


@pytest.mark.parametrize(
    "value",
    [
        (["a", "b", "c"], [1, 0, 1]),
        [("a", 1), ("b", 0), ("c", 1)],
        [["a", "1"], ["b", "0"], ["c", "1"]],
        pd.DataFrame({"label": [1.0, 0.0, 1.0], "text": ["a", "b", "c"]}),
        pd.DataFrame({"label": [1, 0, 1], "text": ["a", "b", "c"]}, index=[7, 7, 9]),
        datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, 1], "id": [1, 2, 3]}),
        datasets.Dataset.from_dict({"text": ["c", "b", "a"], "label": [1, 0, 1]}).select([2, 1, 0]),
        TextTable.from_lists(["a", "b", "c"], ["1", "0", "1"], name="t"),
        (["a", "b", "c"], list(np.array([1, 0, 1]))),
    ],
)
def test_python_values_become_tables(value: LabelledLike) -> None:
    data = TextData(labelled=value, test=value)
    assert data.labelled is not None
    assert data.labelled.texts() == ["a", "b", "c"]
    assert data.labelled.labels() == ["1", "0", "1"]
    assert data.labelled.digest == TextTable.from_lists(["a", "b", "c"], ["1", "0", "1"], name="t").digest
    assert data.label_set == LabelSet(("0", "1"))
    assert data.unlabelled is data.validation is None


@pytest.mark.parametrize("value", [["a", "b"], ("a", "b"), datasets.Dataset.from_dict({"text": ["a", "b"]})])
def test_texts_become_tables(value: list[str]) -> None:
    data = TextData(unlabelled=value)
    assert data.unlabelled is not None
    assert data.unlabelled.texts() == ["a", "b"]
    assert TextData(unlabelled=data.unlabelled).unlabelled is data.unlabelled


def test_labels_are_sorted_by_number_where_all_are_numbers() -> None:
    assert LabelSet.of(TextTable.from_lists(list("abcd"), ["10", "9", "-1", "9"], name="t")).names == ("-1", "9", "10")
    assert LabelSet.of(TextTable.from_lists(list("abc"), ["10", "9", "x"], name="t")).names == ("10", "9", "x")


def test_labels_become_ids_and_names_again() -> None:
    labels = LabelSet(("neg", "pos"))
    assert labels.ids(["pos", "neg", "pos"]) == [1, 0, 1]
    assert [labels.names[i] for i in (1, 0)] == ["pos", "neg"]
    assert len(labels) == 2


@given(labels=st.lists(st.sampled_from("abc"), min_size=3, max_size=60), seed=st.integers(0, 2**40), data=st.data())
@_quick
def test_shots_are_seeded_stratified_nested_and_in_order(labels: list[str], seed: int, data: st.DataObject) -> None:
    table = TextTable.from_lists([f"{i:03}" for i in range(len(labels))], labels, name="t")
    shots = data.draw(st.integers(1, min(Counter(labels).values())))
    drawn = draw_shots(table, shots, seed)
    texts = drawn.texts()
    assert texts == sorted(set(texts))
    assert set(Counter(drawn.labels()).values()) == {shots}
    assert set(drawn.labels()) == set(labels)
    assert [labels[int(text)] for text in texts] == drawn.labels()
    assert draw_shots(table, shots, seed).digest == drawn.digest
    assert set(draw_shots(table, max(shots - 1, 1), seed).texts()) <= set(texts)


def test_another_seed_draws_other_rows() -> None:
    table = table_of(300)
    assert len({draw_shots(table, 10, seed).digest for seed in range(5)}) == 5


def test_the_import_is_cheap() -> None:
    heavy = "{'torch', 'transformers', 'datasets', 'pandas', 'pyarrow'}"
    code = f"import sys, nlptl.data; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reading_loads_no_torch(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,x\nb,y\n")
    code = (
        "import sys; from nlptl.data import DataSettings, load_data; "
        f"load_data(DataSettings(labelled={str(tmp_path / 'a.csv')!r}, shots=1), seed=1); "
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
