"""The texts that a classifier has learnt from are recognised by their hashes, and cannot be read from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nlptl.data import TextData
from nlptl.data.leaks import occurs_in, text_hashes
from nlptl.data.learnt_texts import FILE, LearntTexts
from nlptl.data.table import TextTable
from nlptl.errors import ArtifactError

TEXTS = ["Good soup.", "Bad   soup.", "Good soup."]


def learnt(texts: list[str] = TEXTS, *, before: LearntTexts | None = None) -> LearntTexts:
    table = TextTable.from_lists(texts, ["good", "bad", "good"][: len(texts)], name="labelled")
    return LearntTexts.of([None, table], validation=None, before=before)


OTHERWISE = ["good  SOUP.\n", "bad soup.", "cafe\u0301", "good soup"]


def test_learnt_texts_are_those_that_count_as_leaks() -> None:
    texts = [*TEXTS[:2], "Caf\u00e9"]
    found = learnt(texts)
    assert found.labels == {"bad": 1, "good": 2}
    for test in ([*texts, "other"], OTHERWISE):
        data = TextData(labelled=(texts, ["good", "bad", "good"]))
        table = TextTable.from_lists(test, ["good"] * len(test), name="test")
        leaky = occurs_in(text_hashes(table), text_hashes(data.labelled))
        assert found.count(test) == leaky.sum()
    assert learnt().count(["Good soup."] * 3) == 3, "rows are counted, copies too"


def test_files_of_earlier_versions_count_up_to_case_blanks_and_accents(tmp_path: Path) -> None:
    raw = {
        "key": "2bb3a1adfc0e4b33d6b0a1e4e7ff6d6b", "hashes": "", "labels": {"good": 1},
    }  # fmt: skip
    (tmp_path / FILE).write_text(json.dumps(raw))
    before = LearntTexts.read(tmp_path)
    found = learnt([*TEXTS[:2], "Caf\u00e9"], before=before)
    assert found.count(OTHERWISE) == 3
    assert not found.exact


def test_validation_texts_count_and_labels_are_those_of_the_training_part() -> None:
    training, validation = (
        TextTable.from_lists([text], [label], name=label) for text, label in (("a", "x"), ("b", "y"))
    )
    found = LearntTexts.of([training], validation=validation, before=None)
    assert (found.count(["a", "b", "c"]), found.labels) == (2, {"x": 1})


def test_what_was_learnt_before_is_not_forgotten() -> None:
    first = learnt()
    both = learnt(["New one."], before=first)
    assert both.count([*TEXTS, "New one.", "other"]) == 4
    assert both.exact
    assert both.labels == {"bad": 1, "good": 3}


def test_the_file_holds_no_text_and_is_the_same_each_time(tmp_path: Path) -> None:
    learnt().write(tmp_path)
    written = (tmp_path / FILE).read_text()
    assert "soup" not in written.lower()
    learnt(list(TEXTS)).write(tmp_path)
    assert (tmp_path / FILE).read_text() == written
    assert LearntTexts.read(tmp_path) == learnt()
    other = learnt(["Good soup.", "Another."])
    assert not set(learnt()._all()) & other._all(), "equal texts have other hashes beside other texts"


def test_a_folder_of_an_earlier_version_has_none(tmp_path: Path) -> None:
    assert LearntTexts.read(tmp_path) is None


@pytest.mark.parametrize(
    "change", [{"key": "zz"}, {"hashes": "12"}, {"hashes": ["a"]}, {"labels": 3}, {"more": 1}, None]
)
def test_a_damaged_file_is_told(tmp_path: Path, change: dict[str, object] | None) -> None:
    raw = [] if change is None else {**learnt().model_dump(), **change}
    (tmp_path / FILE).write_text(json.dumps(raw))
    with pytest.raises(ArtifactError) as caught:
        LearntTexts.read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / FILE}: does not hold hashes of learnt texts; the folder is damaged. Run the stage again."
    )
