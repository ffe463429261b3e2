"""Columns of a run's own files: predict, evaluate and explain read a file that has them without being told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.interfaces.commands import Shell

TOLD = "Read as the run's own files: texts from Body"


@pytest.fixture
def stage(tmp_path: Path, small_classifier: Path) -> Path:
    """A stage's folder in a run whose files have the columns Body and Topic."""
    folder = tmp_path / "run" / "3-finetune"
    shutil.copytree(small_classifier, folder)
    (tmp_path / "run" / "pipeline.yaml").write_text("data: {text_column: Body, label_column: Topic}\n")
    return folder


def test_a_file_with_the_columns_of_the_run_needs_no_option(stage: Path, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("Body,text\ngood film,one\n")
    (tmp_path / "in.jsonl").write_text(json.dumps({"Body": "good film"}) + "\n")
    for name in ("in.csv", "in.jsonl"):
        code, out, err = shell("predict", stage, "--file", tmp_path / name)
        assert (code, out.splitlines()[1].split(",")[0]) == (0, "good film")
        assert f"{TOLD}. Name other columns with --text-column." in " ".join(err.split())
    assert shell("explain", stage, "--file", tmp_path / "in.csv", "--neighbours", "0")[0] == 0


def test_another_file_is_read_by_the_usual_columns_or_those_named(stage: Path, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "usual.csv").write_text("text\ngood film\n")
    (tmp_path / "both.csv").write_text("Body,text\ngood film,bad film\n")
    (tmp_path / "neither.csv").write_text("a,b\ngood film,bad film\n")
    code, out, err = shell("predict", stage, "--file", tmp_path / "usual.csv")
    assert (code, TOLD in err) == (0, False)
    code, out, err = shell("predict", stage, "--file", tmp_path / "both.csv", "--text-column", "text")
    assert (code, TOLD in err) == (0, False)
    assert out.splitlines()[1].startswith("bad film,")
    code, _, err = shell("predict", stage, "--file", tmp_path / "neither.csv")
    assert code == 2
    assert "no column 'text'" in " ".join(err.split())


def test_evaluate_reads_the_labels_from_the_column_of_the_run(stage: Path, shell: Shell, tmp_path: Path) -> None:
    labels = json.loads((stage / "classifier.json").read_text())["labels"]
    (tmp_path / "test.csv").write_text(f"Body,Topic\ngood film,{labels[0]}\nbad film,{labels[1]}\n")
    code, out, err = shell("evaluate", stage, "--test", tmp_path / "test.csv")
    assert code == 0
    assert "on 2 texts" in out
    assert f"{TOLD} and labels from Topic." in " ".join(err.split())


def test_a_run_whose_settings_are_damaged_is_read_as_one_without(stage: Path, shell: Shell, tmp_path: Path) -> None:
    (stage.parent / "pipeline.yaml").write_text("data: [")
    (tmp_path / "usual.csv").write_text("text\ngood film\n")
    assert shell("predict", stage, "--file", tmp_path / "usual.csv")[0] == 0
