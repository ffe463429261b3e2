"""A comparison by its files: any worker plans it again, and its rows are those of the command's own process."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nlptl.context import RunContext
from nlptl.errors import DataError
from nlptl.results import read_result_lines
from nlptl.runs.engines.engine import LocalEngine
from nlptl.runs.reading.planned_comparison import ComparisonFiles, EngineTrainer, TrialJob, TrialTask
from nlptl.runs.studies.comparison.comparison_rows import ComparisonRow

RIDGE = "stages.3.update={method: head, solver: ridge}"


def files_in(folder: Path) -> ComparisonFiles:
    settings = ("stages.0.epochs=2", RIDGE)
    return ComparisonFiles((folder / "small.yaml",), settings, ("most_frequent", "word_vectors"), minutes=60, seeds=2)


def rows_of(folder: Path) -> dict[tuple[str, int, str], object]:
    rows, _ = read_result_lines(folder / "comparison.jsonl", ComparisonRow)
    return {row.key: (row.arm, row.predicted, row.correct) for row in rows}


def test_trials_of_an_engine_write_the_rows_of_this_process_and_go_on_from_them(review_files: Path) -> None:
    files, context = files_in(review_files), RunContext(device="cpu")
    plan = files.plan(context)
    here, there = review_files / "here", review_files / "there"
    result = plan.run(here, context, minutes=60)
    lines = (here / "comparison.jsonl").read_text().splitlines(keepends=True)
    assert len(lines) == 6
    there.mkdir()
    (there / "comparison.jsonl").write_text(lines[0] + lines[3])
    again = plan.run(there, context, minutes=60, trainer=EngineTrainer(LocalEngine(), files, "cpu"))
    assert rows_of(there) == rows_of(here)
    assert again.results == result.results
    cost = {fact.name: fact.cost for fact in again.facts}["word vectors"]
    assert cost is not None
    assert cost.latency is not None


def test_an_arm_that_fails_elsewhere_is_left_out(review_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nlptl.stages.skipgram import SkipGram

    files, context = files_in(review_files), RunContext(device="cpu")
    plan = files.plan(context)

    def fails(*_: object, **__: object) -> None:
        raise DataError(["skipgram: nothing was learnt.", "More."])

    with monkeypatch.context() as patched:
        patched.setattr(SkipGram, "run", fails)
        with pytest.raises(DataError) as caught:
            plan.run(review_files / "out", context, minutes=60, trainer=EngineTrainer(LocalEngine(), files, "cpu"))
    assert "word vectors: it failed: skipgram: nothing was learnt.." in str(caught.value)


def test_a_worker_that_finds_other_data_says_so(review_files: Path) -> None:
    run = TrialJob(files_in(review_files), "cpu").open()
    with pytest.raises(DataError) as caught:
        run(TrialTask("word vectors", ("another identity", 3, 0), ("test",), measures=False))
    assert str(caught.value) == (
        f"word vectors, seed 3: {socket.gethostname()} finds other pipelines or data than the machine of the command; expected "
        "the same. Put them on a shared file system, and give every machine the same encoders."
    )
