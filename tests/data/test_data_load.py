"""load_data: settings, leaks, duplicates, shots and the report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nlptl.config import parse
from nlptl.data import DataReport, DataSettings, FileSource, HubSource, TextTable, load_data, load_table
from nlptl.errors import ConfigError, DataError

TRAIN = [("good", "pos"), ("bad", "neg"), ("fine", "pos"), ("poor", "neg"), ("seen", "pos"), ("fine", "pos")]
TEST = [("seen", "pos"), ("other", "neg"), ("both", "neg")]
VALIDATION = [("both", "neg"), ("poor", "neg"), ("new", "pos")]
PILE = ["good", "seen", "a", "b", "a", "a", "new"]


@pytest.fixture(params=["small", "big"], autouse=True)
def _size(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLPTL_CACHE", str(tmp_path / "cache"))
    if request.param == "big":
        monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 1)
    for name, rows in (("train", TRAIN), ("test", TEST), ("validation", VALIDATION)):
        Path(f"{name}.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    Path("pile.txt").write_text("\n".join(PILE))


def settings(**more: Any) -> DataSettings:
    parts = {"unlabelled": "pile.txt", "labelled": "train.csv", "validation": "validation.csv", "test": "test.csv"}
    return DataSettings.model_validate({**parts, **more})


def texts(table: TextTable | None) -> list[str]:
    assert table is not None
    return table.texts()


def facts(report: DataReport) -> list[tuple[str, list[str]]]:
    """Return the part, and the numbers and quoted words, of each sentence."""
    told = (sentence.split(": ", 1) for sentence in report.sentences())
    return [(part, re.findall(r"\d+|'\w+'", text)) for part, text in told]


def test_leaks_are_dropped_and_counted() -> None:
    data, report = load_data(settings(), seed=1)
    assert texts(data.test) == ["seen", "other", "both"]
    assert texts(data.validation) == ["poor", "new"]
    assert texts(data.labelled) == ["good", "bad", "fine", "fine"]
    assert texts(data.unlabelled) == ["good", "a", "b", "a", "a"]
    assert data.labelled is not None
    assert data.labelled.digest == TextTable.from_lists(*zip(*_rows(TRAIN, 0, 1, 2, 5), strict=True), name="t").digest
    assert [(leak.part, leak.also_in, leak.rows, leak.examples, leak.dropped) for leak in report.leaks] == [
        ("validation", "test", 1, ("both",), True),
        ("labelled", "test", 1, ("seen",), True),
        ("labelled", "validation", 1, ("poor",), True),
        ("unlabelled", "test", 1, ("seen",), True),
        ("unlabelled", "validation", 1, ("new",), True),
    ]
    assert {name: (part.rows_read, part.rows_used, part.duplicates) for name, part in report.parts.items()} == {
        "unlabelled": (7, 5, 2),
        "labelled": (6, 4, 1),
        "validation": (3, 2, 0),
        "test": (3, 3, 0),
    }


def _rows(rows: list[tuple[str, str]], *numbers: int) -> list[tuple[str, str]]:
    return [rows[number] for number in numbers]


def test_leaks_are_only_told_when_they_shall_stay() -> None:
    data, report = load_data(settings(drop_leaks=False), seed=1)
    assert texts(data.labelled) == [text for text, _ in TRAIN]
    assert texts(data.validation) == [text for text, _ in VALIDATION]
    assert texts(data.unlabelled) == PILE
    assert [leak.rows for leak in report.leaks] == [1, 1, 1, 1, 1]
    assert not any(leak.dropped for leak in report.leaks)
    assert facts(report)[-1] == ("unlabelled", ["1", "'new'"])
    assert "was kept" in report.sentences()[-1]


def test_the_report_says_what_is_worth_saying() -> None:
    Path("pile.txt").write_text("a\n\na\nb\n  \nseen\nother\n")
    _, report = load_data(settings(validation=None, shots=1, empty_text="skip"), seed=1)
    assert facts(report) == [
        ("unlabelled", ["2"]),  # without text
        ("unlabelled", ["1", "5"]),  # duplicates
        ("labelled", ["1", "6"]),
        ("labelled", ["1", "'seen'"]),  # leaks
        ("unlabelled", ["2", "'seen'"]),
        ("labelled", ["1", "2", "2", "6"]),  # shots
    ]


def test_the_report_tells_uneven_labels() -> None:
    Path("train.csv").write_text("text,label\n" + "".join(f"t{i},a\n" for i in range(10)) + "u,b\n")
    _, report = load_data(DataSettings(labelled="train.csv"), seed=1)
    assert facts(report) == [("labelled", ["'a'", "10", "'b'", "1"])]


def test_nothing_is_said_where_all_is_well() -> None:
    Path("pile.txt").write_text("one\ntwo\n")
    Path("train.csv").write_text("text,label\na,x\nb,y\n")
    _, report = load_data(DataSettings(unlabelled="pile.txt", labelled="train.csv"), seed=1)
    assert report.sentences() == []


def test_the_report_is_json() -> None:
    data, report = load_data(settings(shots=1), seed=1)
    plain = json.loads(json.dumps(report.to_json()))
    assert plain["shots"] == 1
    assert data.labelled is not None
    assert plain["parts"]["labelled"] == {
        "source": "train.csv",
        "rows_read": 6,
        "rows_used": 2,
        "empty_skipped": 0,
        "duplicates": 1,
        "labels": {"neg": 1, "pos": 1},
        "digest": data.labelled.digest,
        "revisions": [],
        "empty_label": "refuse",
        "label_changes": {"stripped": 0, "renamed": {}, "empty": 0},
        "label_findings": [],
        "remarks": [],
        "rows_of_no_label": None,
    }
    assert plain["leaks"][0] == {
        "part": "validation",
        "also_in": "test",
        "rows": 1,
        "examples": ["both"],
        "dropped": True,
    }


def test_shots_follow_the_seed() -> None:
    drawn = {tuple(texts(load_data(settings(shots=1), seed=seed)[0].labelled)) for seed in range(12)}
    assert len(drawn) > 1
    assert texts(load_data(settings(shots=1), seed=3)[0].labelled) == texts(
        load_data(settings(shots=1), seed=3)[0].labelled
    )


def test_several_piles_are_read_one_after_the_other() -> None:
    chosen = DataSettings(unlabelled=["pile.txt", FileSource(file="train.csv"), "pile.txt"])
    data, report = load_data(chosen, seed=1)
    expected = [*PILE, *(text for text, _ in TRAIN), *PILE]
    assert texts(data.unlabelled) == expected
    assert data.unlabelled is not None
    assert data.unlabelled.digest == TextTable.from_lists(expected, name="t").digest
    assert report.parts["unlabelled"].source == "pile.txt, train.csv, pile.txt"


FAULTS: list[tuple[dict[str, Any], str]] = [
    (
        {"unlabelled": ["a.txt", {"file": "b.csv", "txt": "body"}]},
        "unlabelled.1.txt is not a setting. Did you mean 'text'? Known here: file, text, label, "
        "delimiter, quoting, encoding, header, sheet.",
    ),
    (
        {"test": 5},
        "test is not a source. Give the path of a file, or a block with `file: ...` or `hub: ...`.",
    ),
    (
        {"test": {"fiel": "a"}},
        "test is not a source. Give the path of a file, or a block with `file: ...` or `hub: ...`.",
    ),
    ({"test": {"hub": "owner/name"}}, "test.split is missing. It has no default, so it must be set."),
    (
        {"test": {"hub": "imdb", "split": "test"}},
        "test.hub: 'imdb' is not of the form OWNER/NAME or OWNER/NAME/CONFIG.",
    ),
    (
        {"unlabelled": {"file": "a.txt.gz", "text": "body"}},
        "unlabelled: a.txt.gz has no columns, since it is a .txt file. Remove the column name.",
    ),
]


@pytest.mark.parametrize(("raw", "sentence"), FAULTS)
def test_a_faulty_source_is_told_once(raw: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(DataSettings, raw, where="p.yaml: data")
    assert caught.value.faults == (f"p.yaml: data: {sentence}",)


def test_shots_without_labelled() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(DataSettings, {"shots": 8}, where="p.yaml: data")
    assert caught.value.faults == ("p.yaml: data: `shots: 8` needs labelled examples to draw from. Add `labelled:`.",)


@pytest.mark.parametrize(
    "build",
    [
        lambda: DataSettings(unlabelled="a.txt"),
        lambda: DataSettings(unlabelled=["a.txt", HubSource(hub="o/n", split="train")]),
        lambda: DataSettings(labelled=FileSource(file="a.csv", text="body"), shots=2, empty_text="skip"),
    ],
)
def test_settings_survive_plain_values(build: Callable[[], DataSettings]) -> None:
    chosen = build()
    assert DataSettings.model_validate(json.loads(json.dumps(chosen.model_dump()))) == chosen


@pytest.mark.parametrize("model", [DataSettings, FileSource, HubSource])
def test_every_setting_is_documented(model: type[DataSettings]) -> None:
    assert all(field.description for field in model.model_fields.values())


def test_source_rows_that_are_tested_are_dropped_like_labelled_ones() -> None:
    found, report = load_data(settings(labelled=None, source="train.csv"), seed=1)
    assert texts(found.source) == ["good", "bad", "fine", "fine"]
    assert found.labelled is None
    assert found.label_set.names == ("neg", "pos")
    assert [(leak.part, leak.also_in) for leak in report.leaks if leak.part == "source"] == [
        ("source", "test"), ("source", "validation"),
    ]  # fmt: skip
    assert report.parts["source"].rows_used == 4
    assert list(report.to_json()["parts"]) == ["unlabelled", "source", "validation", "test"]
    assert found.source is not None
    assert report.parts["source"].digest == found.source.digest


def test_both_domains_labels_stand_side_by_side() -> None:
    Path("other.csv").write_text("text,label\nfar,pos\naway,neg\n")
    found, report = load_data(settings(source="other.csv"), seed=1)
    assert texts(found.source) == ["far", "away"]
    assert list(report.parts) == ["unlabelled", "source", "labelled", "validation", "test"]


def test_rows_without_a_label_count_as_unlabelled() -> None:
    Path("train.csv").write_text("text,label\ngood,pos\nfree,\nbad,neg\nseen,\u00a0\na,\n")
    Path("test.csv").write_text("text,label\nseen,pos\nlost,\nother,neg\n")
    data, report = load_data(settings(validation=None, empty_label="unlabelled"), seed=1)
    assert texts(data.labelled) == ["good", "bad"]
    assert texts(data.test) == ["seen", "other"]
    assert texts(data.unlabelled) == ["good", "a", "b", "a", "a", "new", "free", "a"]  # "seen" is tested
    assert data.unlabelled is not None
    assert data.unlabelled.digest == TextTable.from_lists(data.unlabelled.texts(), name="t").digest
    assert report.parts["unlabelled"].source == "pile.txt, train.csv (rows without label)"
    assert report.parts["unlabelled"].duplicates == 4
    assert report.parts["labelled"].rows_read == 2
    assert "labelled: 3 rows without label count as unlabelled." in report.sentences()
    assert "test: 1 row without label was skipped." in report.sentences()


def test_rows_without_a_label_alone_make_a_pile() -> None:
    Path("train.csv").write_text("text,label\ngood,pos\nfree,\nbad,neg\n")
    chosen = DataSettings(labelled="train.csv", empty_label="unlabelled")
    data, report = load_data(chosen, seed=1)
    assert texts(data.unlabelled) == ["free"]
    assert report.parts["unlabelled"].labels is None
    skipping = DataSettings(labelled="train.csv", empty_label="skip")
    without, report = load_data(skipping, seed=1)
    assert without.unlabelled is None
    assert without.labelled == data.labelled
    assert report.sentences() == ["labelled: 1 row without label was skipped."]
    assert load_data(chosen, seed=1) == load_data(chosen, seed=1)


def test_all_faults_of_all_parts_are_told() -> None:
    Path("train.csv").write_text("text,label\n,pos\nfine,\n,neg\ngood,pos\n")
    Path("test.csv").write_text("text,label\nx,\nok,maybe\n")
    with pytest.raises(DataError) as caught:
        load_data(settings(unlabelled="nowhere/none.txt", validation=None), seed=1, where="p.yaml: data")
    empty = "Remove the row, fill in the text, or set `empty_text: skip` to leave out all such rows."
    label = (
        "the label is empty. Remove the row, fill in the label, or set `empty_label: skip` to leave out all such rows."
    )
    assert caught.value.faults == (
        "p.yaml: data.unlabelled: there is no file 'nowhere/none.txt'. Check the path.",
        f"train.csv:2: the text is empty. {empty} The same in 1 more place: train.csv:4.",
        f"train.csv:3: {label} The same in 1 more place: test.csv:2.",
    )
    assert str(caught.value) == "\n".join(caught.value.faults)


def test_all_unknown_labels_are_told() -> None:
    Path("test.csv").write_text("text,label\nseen,mixed\nother,neg\nboth,mixed\nlast,pso\n")
    Path("validation.csv").write_text("text,label\nx,odd\n")
    with pytest.raises(DataError) as caught:
        load_data(settings(unlabelled=None), seed=1)
    assert [fault.partition(";")[0] for fault in caught.value.faults] == [
        "validation.csv:2: train.csv has no label 'odd'",
        "test.csv:2: train.csv has no label 'mixed'",
        "test.csv:5: train.csv has no label 'pso'",
    ]


def test_many_faults_of_one_kind_are_counted() -> None:
    Path("train.csv").write_text("text,label\n" + ",pos\n" * 40)
    with pytest.raises(DataError) as caught:
        load_data(settings(), seed=1)
    places = ", ".join(f"train.csv:{line}" for line in range(3, 22))
    assert caught.value.faults[0].endswith(f"such rows. The same in 39 more places: {places} and 20 more.")


def test_paths_and_plain_values_are_sources_in_python() -> None:
    path = Path("train.csv")
    table = load_table("train.csv")
    assert load_table(path) == load_table(FileSource(file=path)) == table  # type: ignore[arg-type]
    chosen = DataSettings(labelled=path)  # type: ignore[arg-type]
    assert chosen == DataSettings(labelled="train.csv")
    assert load_data(chosen, seed=1) == load_data({"labelled": "train.csv"}, seed=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        load_table({"file": "train.csv"})  # type: ignore[arg-type]
    assert str(caught.value) == (
        "data: {'file': 'train.csv'} (dict) is not a source. Give the path of a file, a FileSource or a HubSource."
    )
