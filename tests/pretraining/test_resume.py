"""A killed training goes on where it was: same losses, same weights, bit by bit, as one that was left in peace."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.stages.bert import Bert
from tests.conftest import small_reviews
from tests.forked import FORKED
from tests.models.tiny import tiny_folder

STAGES = {
    "scratch": {
        "scratch": {"layers": 1, "dim": 16, "heads": 2, "vocabulary_size": 120, "steps": 36, "batch_size": 8},
    },
    "mlm with a fresh head": {
        "weights": "base",
        "continue": {"objective": "mlm", "head_warmup_steps": 18, "epochs": 2, "batch_size": 8},
        "extend_vocabulary": 3,
    },
    "simcse": {"weights": "base", "continue": {"objective": "simcse", "steps": 30, "batch_size": 8}},
    "tsdae": {"weights": "base", "continue": {"objective": "tsdae", "steps": 30, "batch_size": 8}},
}


class _Steps:
    """A progress that writes down each step, so that a test can kill at a certain one, and takes a breath there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def task(self, name: str, *, total: float | None, unit: str) -> _Steps:
        return self

    def __enter__(self) -> _Steps:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def advance(self, amount: float, note: str = "") -> None:
        if note.startswith("loss"):
            with self.path.open("a") as file:
                file.write("x")
            time.sleep(0.002)


def _in_child(stage: dict[str, object], out: str) -> None:
    torch.set_num_threads(1)
    place = Path(out)
    context = RunContext(
        seed=3,
        device="cpu",
        progress=_Steps(place / "steps"),
        checkpoint_folder=place / "keep",
        run_identity="i",
        checkpoint_every_steps=3,
    )
    encoder = Bert.model_validate(stage).run(data=TextData(unlabelled=small_reviews(60)[0]), context=context)
    encoder.write_files(place)
    told = {key: value for key, value in context.record.report.items() if key not in ("weights", "vocabulary")}
    for training in ("scratch", "continue"):
        for name in ("seconds", "tokens_per_second"):
            told.get(training, {}).pop(name, None)
    (place / "told.json").write_text(json.dumps([told, context.record.history], sort_keys=True))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("resume")
    tiny_folder(place / "base", "bert")
    return place


@pytest.mark.parametrize("name", STAGES)
def test_killed_runs_end_like_undisturbed_ones(name: str, folders: Path) -> None:
    stage = dict(STAGES[name])
    if "weights" in stage:
        stage["weights"] = str(folders / str(stage["weights"]))
    moments = random.Random(name)

    def start(out: Path) -> BaseProcess:
        out.mkdir(exist_ok=True)
        child = FORKED.Process(target=_in_child, args=(stage, str(out)))
        child.start()
        return child

    def steps(out: Path) -> int:
        return (out / "steps").stat().st_size if (out / "steps").exists() else 0

    calm = folders / f"{name} calm"
    child = start(calm)
    child.join()
    assert child.exitcode == 0
    whole = steps(calm)
    out = folders / f"{name} killed"
    for _ in range(2):
        child = start(out)
        wanted = steps(out) + moments.randrange(5, whole // 3)
        while child.is_alive() and steps(out) < wanted:
            time.sleep(0.001)
        assert child.pid is not None
        assert child.is_alive(), "it was killed before its end"
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert not (out / "told.json").exists()
    child = start(out)
    child.join()
    assert child.exitcode == 0
    assert whole <= steps(out) <= whole + 2 * (3 + 1), "no more was done twice than lay between two checkpoints"
    assert (out / "told.json").read_text() == (calm / "told.json").read_text()
    expected, found = (load_file(place / "model.safetensors") for place in (calm, out))
    assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())
    assert (out / "tokenizer.json").read_bytes() == (calm / "tokenizer.json").read_bytes()


def test_a_finished_training_is_not_done_again(folders: Path) -> None:
    out = folders / "finished"
    out.mkdir()
    stage = {**STAGES["mlm with a fresh head"], "weights": str(folders / "base")}
    threads = torch.get_num_threads()
    _in_child(stage, str(out))
    done = (out / "steps").stat().st_size
    first = (out / "told.json").read_text()
    assert sorted(path.name for path in (out / "keep").iterdir()) == ["continue", "head_warmup"]
    _in_child(stage, str(out))
    torch.set_num_threads(threads)
    assert (out / "steps").stat().st_size == done
    assert (out / "told.json").read_text() == first
