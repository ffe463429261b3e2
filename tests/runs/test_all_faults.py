"""`check` tells the faults of stages, data, arms and tests all at once, each once."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptl.errors import ConfigError, DataError
from nlptl.runs.pipeline import Pipeline

STUDY = "compare:\n  seeds: 2\n  arms: {a: {}, b: {}}\n  tests: {all: test.csv}\n"


@pytest.fixture
def path(review_files: Path) -> Path:
    path = review_files / "small.yaml"
    path.write_text(path.read_text() + STUDY)
    return path


def faults(path: Path, *assignments: str) -> tuple[str, ...]:
    with pytest.raises((ConfigError, DataError)) as caught:
        Pipeline.from_yaml(path, assignments=assignments).check(where="p")
    found: tuple[str, ...] = getattr(caught.value, "faults", (str(caught.value),))
    assert str(caught.value) == "\n".join(found)
    return found


def test_faults_of_stages_data_and_tests_are_told_together(path: Path) -> None:
    found = faults(
        path, "stages.0={stage: skipgram, vectors: nowhere.txt}", "stages.1.pooling=mean", "data.test=nowhere.csv",
        "compare.tests={one: no.csv, two: none.csv}", "compare.redraw=gone.csv",
    )  # fmt: skip
    expected = [
        "p: stages.0.vectors: ",
        "p: data.test: ",
        "p: compare.tests.one: ",
        "p: compare.tests.two: ",
        "p: compare.redraw: ",
    ]
    assert [fault[: len(start)] for fault, start in zip(found, expected, strict=True)] == expected


def test_faults_of_several_stages_on_good_data_are_told_together(path: Path) -> None:
    (path.parent / "pile.txt").write_text("one\ntwo\n")
    scratch = ["stages.0={stage: bert, scratch: {}, include_labelled: false}", "stages.1.pooling=mean", "compare=null"]
    found = faults(path, *scratch, "stages.3.priors={positiv: 0.9}")
    assert len(found) == 2
    assert "pile.txt" in found[0]
    assert found[1].startswith("p: stages.3.priors: found the label 'positiv'")


def test_faults_of_several_arms_are_told_together(path: Path) -> None:
    arms = (
        "compare.arms={a: {stages.0.epoch: 1}, b: {data.test: x}, c: {stages.3.priors: {positiv: 0.9}}, "
        "d: {data.labelled: no.csv}}"
    )
    found = faults(path, arms)
    assert [fault.split(": ")[1] + ": " + fault.split(": ")[2].split(" ")[0] for fault in found] == [
        "compare.arms.a: stages.0.epoch", "compare.arms.b.data.test: both", "compare.arms.c: stages.3.priors",
        "compare.arms.d: data.labelled",
    ]  # fmt: skip


def test_a_fault_is_told_once(path: Path) -> None:
    """The chain's fault is not told again for each of its arms."""
    found = faults(path, "stages.0={stage: skipgram, vectors: nowhere.txt}", "stages.1.pooling=mean")
    assert len(found) == 1


def test_one_fault_of_the_data_stays_a_fault_of_the_data(path: Path) -> None:
    with pytest.raises(DataError):
        Pipeline.from_yaml(path, assignments=["data.test=nowhere.csv"]).check(where="p")
