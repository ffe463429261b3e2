"""A fork server that has imported torch and nlptl once, for all tests that need processes of their own."""

from __future__ import annotations

import multiprocessing.connection
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(
    [
        "torch._dynamo", "accelerate", "datasets", "gensim.models", "peft", "sklearn.feature_extraction.text",
        "sklearn.metrics", "sklearn.model_selection", "transformers.models.bert.modeling_bert",
        "nlptl.interfaces.cli", "nlptl.models.foreign_encoder", "nlptl.pretraining.encoders.continued",
        "nlptl.pretraining.encoders.scratch", "tests.processes", "tests.pretraining.test_resume",
        "tests.runs.test_pipeline", "nlptl.finetuning.gradient.cross_validation",
    ]
)  # fmt: skip


def in_two_processes(folder: Path, target: Callable[..., object], *arguments: str | Path) -> list[int | None]:
    """Call `target` in two connected processes and return their exit codes; they print into `stdout` and `stderr`.

    The environment is the one that torchrun sets, and one that fails ends the other, as under torchrun.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [FORKED.Process(target=_as_rank, args=(i, port, folder, target, arguments)) for i in range(2)]
    for child in children:
        child.start()
    while alive := [child for child in children if child.is_alive()]:
        in_time = multiprocessing.connection.wait([child.sentinel for child in alive], timeout=240)
        if not in_time or any(child.exitcode for child in children):  # torchrun, too, ends all where one fails
            for child in alive:
                child.terminate()
    return [child.exitcode for child in children]


def _as_rank(rank: int, port: int, folder: Path, target: Callable[..., object], arguments: tuple[str | Path]) -> None:
    index = str(rank)
    os.environ.update(RANK=index, LOCAL_RANK=index, WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", OMP_NUM_THREADS="1")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    for stream in (sys.stdout, sys.stderr):
        name = stream.name.strip("<>")
        with (folder / name).open("ab") as file:
            os.dup2(file.fileno(), stream.fileno())
    target(*arguments)
