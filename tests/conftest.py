"""What all tests share: no network, a cache folder of their own, small data."""

from __future__ import annotations

import importlib
import socket
from pathlib import Path
from typing import Any

import pytest

from nlptl.context import RunContext
from nlptl.data import TextData

POSITIVE = ["good", "great", "lovely", "funny", "warm"]
NEGATIVE = ["bad", "awful", "dull", "boring", "cold"]
THINGS = ["film", "story", "plot", "cast", "music", "ending", "script", "scene"]


def small_reviews(count: int, *, start: int = 0) -> tuple[list[str], list[str]]:
    """Return texts and labels that any working classifier tells apart."""
    texts, labels = [], []
    for number in range(start, start + count):
        words, label = (POSITIVE, "positive") if number % 2 else (NEGATIVE, "negative")
        first, second = words[number % 5], words[(number // 2) % 5]
        texts.append(
            f"The {THINGS[number % 8]} is {first} and the {THINGS[(number // 3) % 8]} was {second}, number {number}"
        )
        labels.append(label)
    return texts, labels


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Compute on one thread: on tiny tensors two that wait for each other take ten times as long on a busy machine."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: str) -> None:
        if self.family != socket.AF_UNIX:
            raise OSError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("NLPTL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def localhost(_no_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets reach 127.0.0.1, and nothing else."""
    refuse = socket.socket.connect
    connect = super(socket.socket, socket.socket).connect  # of the C class, below what is patched

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family == socket.AF_INET and address[0] == "127.0.0.1":
            connect(self, address)
        else:
            refuse(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture(scope="session")
def reviews() -> TextData:
    """Return 120 unlabelled, 24 labelled, 16 validation and 40 test texts."""
    return TextData(
        unlabelled=small_reviews(120, start=100)[0],
        labelled=small_reviews(24),
        validation=small_reviews(16, start=300),
        test=small_reviews(40, start=400),
    )


@pytest.fixture
def context() -> RunContext:
    """Return a context on the CPU, watched by nobody."""
    return RunContext(seed=7, device="cpu")


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the checkout."""
    return Path(__file__).parent.parent


@pytest.fixture
def review_files(tmp_path: Path) -> Path:
    """Return a folder with small.yaml and its data files."""
    texts, _ = small_reviews(60, start=100)
    (tmp_path / "pile.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    for name, count, start in (("train", 12, 0), ("test", 20, 400)):
        rows = "".join(f'"{text}",{label}\n' for text, label in zip(*small_reviews(count, start=start), strict=True))
        (tmp_path / f"{name}.csv").write_text("text,label\n" + rows, encoding="utf-8")
    (tmp_path / "small.yaml").write_text(
        f"""\
# A chain that takes a second.
seed: 3
data: {{unlabelled: {tmp_path}/pile.txt, labelled: {tmp_path}/train.csv, test: {tmp_path}/test.csv}}
stages:
  - {{stage: skipgram, dim: 16, min_count: 1, epochs: 20, window: 10}}
  - {{stage: sentence_vectors, pooling: sif}}
  - {{stage: classification_head}}
  - {{stage: finetune, update: {{method: head}}}}
""",
        encoding="utf-8",
    )
    return tmp_path


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path) -> Any:
    """Return what imports a benchmark that writes below tmp_path, its environment put back afterwards."""
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    for name, value in quiet.items():  # as the benchmarks set them; huggingface_hub may be loaded before
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    arms, results, tables = (importlib.import_module(name) for name in ("arms", "results", "tables"))
    monkeypatch.setattr(arms, "SCRATCH", tmp_path / "scratch")
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "scratch")
    return importlib.import_module
