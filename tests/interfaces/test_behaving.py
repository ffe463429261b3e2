"""The command `behave`: what it prints and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptl.errors import ConfigError
from nlptl.runs.behaviour.behaviour import behaviour
from tests.interfaces.commands import Shell
from tests.reported import PIPELINE, tiny_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tiny_run(tmp_path, pipeline=PIPELINE.replace("test: test.csv, ", ""))


def test_a_run_without_a_test_is_tried_on_its_examples_which_is_told(run: Path, tmp_path: Path, shell: Shell) -> None:
    code, out, err = shell("behave", run, "--texts", "8", "-q")
    assert (code, err) == (0, "")
    assert out.startswith("the examples of train.csv: 24 texts, 8 of them edited\n")
    assert "These texts were learnt, so that flips are rarer here than on new texts." in out
    assert len(out.splitlines()) <= 25
    assert shell("behave", run / "4-finetune", "--texts", "8", "-q") == (0, out, "")
    (tmp_path / "train.csv").unlink()
    with pytest.raises(ConfigError) as caught:
        behaviour(run)
    assert str(caught.value).startswith(f"{run}: has no labelled texts that can be read again; expected a test or")
    assert str(caught.value).endswith("Put the files back, or run a pipeline that has some.")


def test_columns_that_cannot_divide_the_texts_are_refused(run: Path, shell: Shell) -> None:
    told = "--slice: found 'lable'; the columns are 'text', 'label'. Did you mean 'label'? Name one of them, or drop "
    code, _, err = shell("behave", run, "--slice", "lable", "-q")
    assert (code, " ".join(err.split())) == (2, told + "the option.")
    for option, least in (("--texts", 1), ("--seed", 0)):
        code, _, err = shell("behave", run, f"{option}={least - 1}")
        assert (code, err) == (2, f"{option}: found {least - 1}; expected at least {least}. Give a higher number.\n")


def test_the_scores_of_asked_columns_are_printed(run: Path, shell: Shell) -> None:
    code, out, _ = shell("behave", run, "--texts", "2", "--slice", "label", "-q")
    assert code == 0
    assert "label negative: " in out
    assert "Made for English alone, and found nothing to change here: 'names', 'identity terms'" in " ".join(
        out.split()
    )
    assert len(out.splitlines()) <= 25
