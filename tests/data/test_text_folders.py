"""Folders of .txt files as sources: a text a file, and a folder a label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nlptl.data import DataSettings
from nlptl.data.load import LoadedData, load_parts
from nlptl.data.sources import open_source
from nlptl.errors import DataError


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLPTL_CACHE", str(tmp_path / "cache"))


def write(files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


def loaded(**settings: Any) -> LoadedData:
    return load_parts(DataSettings.model_validate(settings), seed=0)


def tickets() -> None:
    write(
        {f"tickets/{label}/{i}.txt": f"{label} {i}\nsecond line\r\n" for label in ("bill", "login") for i in range(3)}
    )


def test_a_folder_for_each_label() -> None:
    tickets()
    write({"tickets/bill/2024/9.txt": "deeper", "tickets/logo.png": b"\x89PNG", "tickets/.git/x.txt": "hidden"})
    found = loaded(labelled="tickets")
    assert found.data.labelled is not None
    assert found.data.labelled.label_counts() == {"bill": 4, "login": 3}
    assert found.data.labelled.texts()[0] == "bill 0\nsecond line"
    assert found.report.sentences() == [
        "labelled: tickets: 1 of its files is left out, such as tickets/logo.png, since only .txt files are read."
    ]
    assert [place.file for place in found.places("labelled", [0, 3, 4])] == [
        "tickets/bill/0.txt", "tickets/bill/2024/9.txt", "tickets/login/0.txt",
    ]  # fmt: skip


def test_texts_beside_the_folders_are_the_pile() -> None:
    tickets()
    write({"tickets/new.txt": "no label yet", "mails/a.txt": "a mail"})
    found = loaded(labelled="tickets", unlabelled="mails", empty_label="unlabelled")
    assert found.data.unlabelled is not None
    assert found.data.unlabelled.texts() == ["a mail", "no label yet"]
    assert [place.file for place in found.places("unlabelled", [1, 0])] == ["tickets/new.txt", "mails/a.txt"]


@pytest.mark.parametrize("name", ["unlabelled", "Unsorted", "unlabeled"])
def test_a_folder_of_texts_that_wait_for_a_label_is_the_pile(name: str) -> None:
    tickets()
    write({f"tickets/{name}/new.txt": "no label yet"})
    found = loaded(labelled="tickets", empty_label="unlabelled")
    assert found.data.labelled is not None
    assert set(found.data.labelled.label_counts()) == {"bill", "login"}
    assert found.data.unlabelled is not None
    assert found.data.unlabelled.texts() == ["no label yet"]


def test_texts_beside_the_folders_are_refused_by_default() -> None:
    tickets()
    write({"tickets/new.txt": "no label yet"})
    with pytest.raises(DataError) as caught:
        loaded(labelled="tickets")
    assert str(caught.value) == (
        "tickets/new.txt: the label is empty. Remove the row, fill in the label, or set `empty_label: skip` to leave out all such "
        "rows."
    )


def test_an_empty_file_is_told_by_its_name() -> None:
    tickets()
    write({"tickets/bill/1.txt": "\n"})
    with pytest.raises(DataError) as caught:
        loaded(labelled="tickets")
    assert str(caught.value) == (
        "tickets/bill/1.txt: the text is empty. Remove the row, fill in the text, or set `empty_text: skip` to leave out all "
        "such rows."
    )
    assert loaded(labelled="tickets", empty_text="skip").places("labelled", [1])[0].file == "tickets/bill/2.txt"


def test_encodings_are_told() -> None:
    write({"mails/a.txt": "schön".encode("cp1252"), "mails/b.txt": "schön", "mails/c.txt": "schön".encode("utf-16")})
    found = loaded(unlabelled="mails")
    assert found.data.unlabelled is not None
    assert found.data.unlabelled.texts() == ["schön"] * 3
    assert found.report.parts["unlabelled"].remarks == (
        "mails: 1 of its files is read as Windows-1252, such as mails/a.txt. Set `encoding:` to read all files otherwise.",
        "mails: 1 of its files is read as UTF-16, such as mails/c.txt. Set `encoding:` to read all files otherwise.",
    )


def test_a_text_that_is_too_long_is_told_by_its_file() -> None:
    for name, content, limit in (("mails/b.txt", "x" * 61, 60), ("mails/a.txt", "y" * 300, 60)):
        write({name: content})
        with pytest.raises(DataError) as caught:
            loaded(unlabelled="mails", max_text_length=limit)
        assert str(caught.value) == (
            f"{name}: the text has more than {limit} characters. Cut it into several texts, or set `max_text_length:` to more "
            "characters."
        )


def test_files_and_folders_join() -> None:
    tickets()
    write({"more.csv": "text,label\nmore,bill\nother,login\n", "packed/x.csv": "text,label\nthird,bill\n"})
    found = loaded(labelled=["tickets", "more.csv", "packed/x.csv"])
    assert found.data.labelled is not None
    assert found.data.labelled.label_counts() == {"bill": 5, "login": 4}
    places = [(place.file, place.number) for place in found.places("labelled", [8, 0, 7])]
    assert places == [("packed/x.csv", 2), ("tickets/bill/0.txt", None), ("more.csv", 3)]


def test_a_changed_file_changes_what_is_read_through_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 1)
    tickets()
    first = loaded(labelled="tickets").data.labelled
    assert first is not None
    assert first.mapped is not None
    write({"tickets/bill/0.txt": "changed"})
    second = loaded(labelled="tickets").data.labelled
    assert second is not None
    assert second.texts() == ["changed", *first.texts()[1:]]


def test_json_lines_may_lack_the_label() -> None:
    write({"rows.jsonl": '{"text": "one"}\n{"text": "two", "Label": "a"}\n{"text": "three", "label": "b"}\n'})
    found = loaded(labelled="rows.jsonl", empty_label="unlabelled")
    assert found.data.labelled is not None
    assert found.data.labelled.label_counts() == {"a": 1, "b": 1}
    assert [place.number for place in found.places("unlabelled", [0])] == [1]


def test_a_folder_keeps_the_names_of_its_files_where_all_values_are_wanted() -> None:
    write({"mails/b.txt": "second", "mails/a/x.txt": "first"})
    opened = open_source("mails", settings=DataSettings(), labelled=False, where="--file", whole=True)
    assert [row for raw in opened.rows() for row in raw.records or ()] == [
        {"file": "a/x.txt", "text": "first"}, {"file": "b.txt", "text": "second"},
    ]  # fmt: skip
