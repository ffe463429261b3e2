"""Labels of a teacher outside: files of labels and of probabilities, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptl.data.teacher_labels import LabelledPile, TeacherLabels, read_teacher_labels
from nlptl.errors import ConfigError, DataError

PILE = ["good film", "bad film", "so so", "never labelled", "good film"]


def read(path: Path, *, multi_label: bool = False, separator: str | None = None, **settings: Any) -> LabelledPile:
    return read_teacher_labels(
        TeacherLabels(file=str(path), **settings), PILE, ("negative", "positive"), separator=separator,
        multi_label=multi_label, where="distil.teacher",
    )  # fmt: skip


def written(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_labels_of_a_column(tmp_path: Path) -> None:
    rows = "text,llm\ngood film,positive\nelsewhere,negative\nso so,negative\nso so,positive\nbad film,negative\nno label,\n"
    found = read(written(tmp_path / "llm.csv", rows), label="llm")
    assert found.texts == ["good film", "bad film", "so so"]
    assert found.probabilities.tolist() == [[0, 1], [1, 0], [0.5, 0.5]]
    assert found.outside == 1


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_probabilities_of_columns(tmp_path: Path, suffix: str) -> None:
    names = {"positive": "p pos", "negative": "n"}
    values = [("so so", 0.2, 0.2), ("good film", 0.9, 0.1), ("", 1, 1)]
    lines = {
        "csv": ["n,text,p pos", *(f"{n},{text},{p}" for text, p, n in values)],
        "jsonl": [json.dumps({"text": text, "p pos": p, "n": n}) for text, p, n in values],
    }[suffix]
    found = read(written(tmp_path / f"llm.{suffix}", "\n".join(lines) + "\n"), probabilities=names)
    assert found.texts == ["good film", "so so"]
    np.testing.assert_allclose(found.probabilities, [[0.1, 0.9], [0.5, 0.5]])
    several = read(tmp_path / f"llm.{suffix}", probabilities=names, multi_label=True)
    np.testing.assert_allclose(several.probabilities, [[0.1, 0.9], [0.2, 0.2]])


def test_several_labels_of_a_text(tmp_path: Path) -> None:
    path = written(tmp_path / "llm.csv", "text,label\ngood film,positive|negative\nbad film,negative\n")
    found = read(path, multi_label=True, separator="|")
    assert found.probabilities.tolist() == [[1, 1], [1, 0]]


@pytest.mark.parametrize(
    ("content", "settings", "told"),
    [
        (
            "text,label\nno label,\ngood film,great\n",
            {},
            "distil.teacher: FILE:3: labels: 'great' is none of the labels 'negative', 'positive'. Correct the label.",
        ),
        (
            "text,label\nother,positive\n",
            {},
            "distil.teacher: none of the 1 texts of FILE stands in data.unlabelled; expected labels of the pile. Give the same "
            "file as data.unlabelled, too.",
        ),
        (
            "text,p,n\ngood film,much,0\n",
            {"probabilities": {"positive": "p", "negative": "n"}},
            "FILE:2: the column 'p' holds 'much'; expected a probability from 0 to 1. Correct it.",
        ),
        (
            "text,p,n\ngood film,0,0\n",
            {"probabilities": {"positive": "p", "negative": "n"}},
            "FILE:2: the probabilities of all labels are 0; expected numbers that sum to 1. Correct the row, or remove it.",
        ),
        (
            "text,p,n\nbad film,0.1,0.91\ngood film,0.9,0.9\n",
            {"probabilities": {"positive": "p", "negative": "n"}},
            "FILE:3: the probabilities sum to 1.8; expected numbers that sum to 1. Correct the row, or remove it.",
        ),
        (
            "text,pp,n\ngood film,1,0\n",
            {"probabilities": {"positive": "p", "negative": "n"}},
            "FILE: there is no column 'p' with probabilities; the columns are 'text', 'pp', 'n'. Did you mean 'pp'? Correct it.",
        ),
        (
            "text,p\ngood film,1\n",
            {"probabilities": {"positive": "p", "other": "p"}},
            "distil.teacher.probabilities: found the labels 'other', 'positive'; expected those of the classifier, 'negative', "
            "'positive'. Name the column of each of them.",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str, settings: dict[str, Any], told: str) -> None:
    path = written(tmp_path / "llm.csv", content)
    with pytest.raises(DataError) as caught:
        read(path, **settings)
    assert str(caught.value) == told.replace("FILE", str(path))


def test_a_text_file_has_no_probabilities(tmp_path: Path) -> None:
    path = written(tmp_path / "llm.txt", "good film\n")
    with pytest.raises(DataError) as caught:
        read(path, probabilities={"positive": "p", "negative": "n"})
    assert str(caught.value) == f"{path}: the file has no columns, so no probabilities. Give a .csv or .jsonl file."


def test_a_record_without_the_column(tmp_path: Path) -> None:
    path = written(tmp_path / "llm.jsonl", '{"text": "good film", "pp": 1, "n": 0}\n')
    with pytest.raises(DataError) as caught:
        read(path, probabilities={"positive": "p", "negative": "n"})
    assert str(caught.value) == (
        f"{path}:1: there is no column 'p' with probabilities; the columns are 'text', 'pp', 'n'. Did you mean 'pp'? Correct it."
    )


def test_texts_that_the_teacher_left_out(tmp_path: Path) -> None:
    names = {"positive": "p", "negative": "n"}
    found = read(written(tmp_path / "llm.csv", "text,p,n\ngood film,,\nbad film,0.1,0.9\n"), probabilities=names)
    assert found.texts == ["bad film"]
    records = '{"text": "good film", "p": null, "n": null}\n{"text": "bad film", "p": 0.1, "n": 0.9}\n'
    assert read(written(tmp_path / "llm.jsonl", records), probabilities=names).texts == ["bad film"]
    with pytest.raises(DataError, match="none of the 0 texts of"):
        read(written(tmp_path / "none.csv", "text,p,n\ngood film,,\n"), probabilities=names)
    with pytest.raises(DataError, match="the column 'p' holds ''; expected a probability"):
        read(written(tmp_path / "one.csv", "text,p,n\ngood film,,0.5\n"), probabilities=names)


def test_labels_or_probabilities() -> None:
    with pytest.raises(ConfigError, match="found label and probabilities; expected one of them"):
        TeacherLabels(file="llm.csv", label="l", probabilities={"a": "x", "b": "y"})
