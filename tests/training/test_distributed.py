"""Several processes train as one process does, write once, and end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from nlptl.context import RunContext
from nlptl.disk.locks import run_lock
from nlptl.errors import ConfigError, ProcessError
from nlptl.models.classifier import TextClassifier
from nlptl.pretraining.encoders.pile import Draw
from nlptl.pretraining.encoders.simcse import SimCSETraining
from nlptl.runs import folder as run_folder
from nlptl.runs.pipeline import Pipeline
from nlptl.training import distributed
from nlptl.training.distributed import Processes
from nlptl.training.loop import ParameterGroup, TrainingJob, train
from tests.conftest import small_reviews
from tests.forked import in_two_processes
from tests.models.tiny import tiny_encoder, tiny_folder
from tests.pretraining.piles import small_pile
from tests.processes import NO_DROPOUT, OBJECTIVES, UPDATES, curves, run, run_and_fail, train_and_run

NAMES = [settings.objective for settings in OBJECTIVES] + [str(update["method"]) for update in UPDATES]
LEAST = 1e-2  # rounding is no gradient, but AdamW makes a step of it: what it moves has no part in the loss


def write_pipeline(folder: Path) -> Path:
    """Write small.yaml with its data: a tiny transformer, trained further and fine-tuned, and validation texts."""
    tiny_folder(folder / "tiny", "bert", **NO_DROPOUT)
    (folder / "pile.txt").write_text("\n".join(small_reviews(30, start=100)[0]) + "\n", encoding="utf-8")
    for name, count, begin in (("train", 13, 0), ("validation", 8, 300), ("test", 20, 400)):
        rows = "".join(f'"{text}",{label}\n' for text, label in zip(*small_reviews(count, start=begin), strict=True))
        (folder / f"{name}.csv").write_text("text,label\n" + rows, encoding="utf-8")
    (folder / "small.yaml").write_text(
        f"""\
seed: 3
data: {{unlabelled: {folder}/pile.txt, labelled: {folder}/train.csv, validation: {folder}/validation.csv, test: {folder}/test.csv}}
stages:
  - {{stage: bert, weights: {folder}/tiny, precision: float32, continue: {{objective: tsdae, steps: 4, batch_size: 5}}}}
  - {{stage: sentence_vectors, pooling: mean}}
  - {{stage: classification_head}}
  - {{stage: finetune, update: {{method: partial, dropout: 0, precision: float32, patience: 1, l2: 0.1}}}}
""",
        encoding="utf-8",
    )
    return folder / "small.yaml"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which two processes have done `train_and_run`."""
    folder = tmp_path_factory.mktemp("two")
    write_pipeline(folder)
    codes = in_two_processes(folder, train_and_run, folder)
    assert codes == [0, 0], (folder / "stderr").read_text()
    return folder


@pytest.fixture(scope="module")
def one() -> dict[str, Tensor]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return curves()
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_train_as_one_does(name: str, two: Path, one: dict[str, Tensor]) -> None:
    first, second = (load_file(two / f"curve-{rank}.safetensors") for rank in (0, 1))
    torch.testing.assert_close(first[f"{name}.losses"], one[f"{name}.losses"], rtol=1e-4, atol=1e-4)
    assert len(set(one[f"{name}.losses"].tolist())) > 2
    weights = [key for key in one if key.startswith(f"{name}.weights")]
    assert weights
    for key in weights:
        torch.testing.assert_close(first[key], second[key], rtol=0, atol=0, msg=key)
        torch.testing.assert_close(first[key], one[key], rtol=1e-3, atol=LEAST if "key.bias" in key else 2e-4, msg=key)


def test_a_resume_of_two_processes_is_exact(two: Path) -> None:
    for rank in (0, 1):
        found = load_file(two / f"curve-{rank}.safetensors")
        torch.testing.assert_close(found["resumed.disturbed"], found["resumed.calm"], rtol=0, atol=0)


def test_a_run_of_two_processes_is_one_run(two: Path) -> None:
    folder = two / "two"
    assert sorted(path.name for path in folder.iterdir()) == [
        ".lock", "1-bert", "2-sentence_vectors", "3-classification_head", "4-finetune", "data.json", "evaluation.json",
        "finished.json", "pipeline.yaml",
    ]  # fmt: skip
    alone = Pipeline.from_yaml(two / "small.yaml").run(two / "one", context=RunContext(device="cpu"))
    assert alone.evaluation is not None
    accuracy = alone.evaluation.accuracy.value
    assert (two / "kept-0.txt").read_text() == f"[False, False, False, False] {accuracy}"
    assert (two / "kept-1.txt").read_text() == f"[False, True, True, False] {accuracy}"
    texts = small_reviews(20, start=400)[0]
    expected = TextClassifier.load(two / "one").predict_proba(texts)
    np.testing.assert_allclose(TextClassifier.load(folder).predict_proba(texts), expected, atol=1e-4)
    told = (two / "stderr").read_text()
    for stage in ("1-bert", "2-sentence_vectors", "3-classification_head", "4-finetune"):
        assert told.count(f"{stage}: kept, nothing it depends on has changed.") == 1, "the second run, told once"
    assert (two / "stdout").read_text().count("Test: accuracy ") == 1


def test_a_failure_of_process_0_ends_all_with_its_sentence(tmp_path: Path) -> None:
    path, out = write_pipeline(tmp_path), tmp_path / "out"
    with run_lock(out):
        codes = in_two_processes(tmp_path, run, path, out)
    assert codes in ([2, -signal.SIGTERM], [2, 1])
    assert (tmp_path / "stderr").read_text().count("another run (process ") == 1
    assert (tmp_path / "stdout").read_text() == ""


def test_a_failure_of_another_process_ends_all_and_is_told(tmp_path: Path) -> None:
    codes = in_two_processes(tmp_path, run_and_fail, write_pipeline(tmp_path), tmp_path / "out")
    told = (tmp_path / "stderr").read_text()
    assert codes == [1, -signal.SIGTERM]
    assert told.count("process 1 of 2: disk: gone.\n") == 1
    assert "\ndisk: gone." not in told, "it leaves the telling to process 0"


@pytest.mark.slow
def test_torchrun_starts_one_run_and_ends_it_where_one_process_fails(tmp_path: Path, root: Path) -> None:
    path, out = write_pipeline(tmp_path), tmp_path / "out"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "nlptl"]

    def start() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, "run", str(path), "--out", str(out), "--device", "cpu"], timeout=240,
            capture_output=True, text=True, check=False, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    with run_lock(out):
        failed = start()
    assert failed.returncode != 0
    assert failed.stderr.count("another run (process ") == 1
    assert failed.stdout == ""
    done = start()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Test: accuracy ") == 1


def pretend(monkeypatch: pytest.MonkeyPatch, *, index: int, count: int, main: float = 0.0) -> None:
    """Let this process be one of several; process 0 always says `main`."""
    for module in ("training.distributed", "training.loop", "runs.pipeline", "runs.runner", "context"):
        monkeypatch.setattr(f"nlptl.{module}.processes", lambda: Processes(index, count, index))
    monkeypatch.setattr("nlptl.training.loop.broadcast", lambda _: main)


def test_a_comparison_of_several_processes_is_refused(review_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, index=0, count=2)
    monkeypatch.setattr(distributed, "_gather_messages", lambda sentence: [sentence, ""])
    path, test = review_files / "small.yaml", review_files / "test.csv"
    path.write_text(
        path.read_text() + f"compare: {{arms: {{a: {{}}, b: {{stages.0.epochs: 0}}}}, tests: {{t: {test}}}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(path).run(review_files / "out", context=RunContext(device="cpu"), where="x")
    assert str(caught.value) == (
        "x: compare: found 2 processes; a comparison runs in one. Run it without torchrun or accelerate launch, or drop "
        "compare."
    )


def test_processes_that_see_other_checkpoints_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, index=1, count=2, main=40.0)
    model = torch.nn.Linear(1, 1)
    job = TrainingJob(
        model=model, groups=[ParameterGroup(list(model.parameters()), 0.1)], batches=lambda _: [], loss=model, epochs=1,
        seed=0,
    )  # fmt: skip
    with pytest.raises(ProcessError) as caught:
        train(job)
    assert str(caught.value) == (
        "process 1: found the checkpoint of step 0, process 0 that of step 40; expected both to see the same folder. Choose "
        "one with --out on a disk that all machines share."
    )


def test_a_folder_that_is_not_shared_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder.time, "sleep", lambda _: None)
    with pytest.raises(ConfigError) as caught:
        run_folder.await_main(tmp_path, "x")
    assert str(caught.value) == (
        f"{tmp_path / 'pipeline.yaml'}: found nothing here that process 0 has written; expected a folder that all processes "
        "share. Choose one with --out on a disk that all machines see."
    )


def test_more_processes_than_gpus_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, index=2, count=3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError) as caught:
        RunContext().torch_device()
    assert str(caught.value) == (
        "device: this is process 3 of this machine, which has 2 GPUs. Each process needs its own GPU: start 2 processes, or "
        "choose device cpu."
    )
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert RunContext().torch_device() == torch.device("cuda:2")


def test_a_broken_connection_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, index=0, count=2)
    with pytest.raises(ProcessError) as caught, distributed.connection_errors():
        raise RuntimeError("[/gloo/pair.cc:537] Connection closed by peer. This is typical.\nmore")
    assert str(caught.value) == (
        "process 0: lost the connection to the others (Connection closed by peer); expected all to work to the end. "
        "Look for the error of one of them, then run the same command to resume."
    )


def test_a_turn_tells_all_who_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, index=0, count=3)
    answers = iter([["", "", ""], ["", "", "no disk."]])
    monkeypatch.setattr(distributed, "_gather_messages", lambda _: next(answers))
    with pytest.raises(ProcessError, match=r"^process 2 of 3: no disk\.$"), distributed.main_process_first():
        pass


def test_a_draw_too_small_to_share_is_taken_whole() -> None:
    encoder = tiny_encoder("bert")
    training = SimCSETraining(encoder, small_pile(encoder), temperature=0.05, batch_size=4, seed=0)
    draw = Draw(1, torch.tensor([4, 5]))
    assert training.share(draw, 2, 3) == (draw, 1.0)
    part, weight = training.share(draw, 1, 2)
    assert (part.rows.tolist(), part.shared, weight) == ([5], True, 2.0)
