"""The bytes of artifacts depend on settings, data and seed alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_two_processes_write_equal_bytes_whatever_their_hash_seed(tmp_path: Path, root: Path) -> None:
    """The order of a set of words differs from process to process. Takes seconds: each process imports torch."""
    folders = [tmp_path / seed for seed in ("1", "2")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.models.written", str(folder)],
            cwd=root, env={**os.environ, "PYTHONHASHSEED": folder.name, "OMP_NUM_THREADS": "1"},
        )
        for folder in folders
    ]  # fmt: skip
    assert [process.wait(240) for process in processes] == [0, 0]
    first, second = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    )
    assert {"lora/adapter/adapter_config.json", "bottlenecks/bottlenecks.safetensors", "words/manifest.json"} <= set(
        first
    )
    assert set(first) == set(second)
    assert [name for name, content in first.items() if second[name] != content] == []
