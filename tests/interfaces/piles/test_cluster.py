"""Several processes: a local Ray cluster of two workers, where a worker is killed, and a command that is killed itself."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from nlptl.models.encoder import Encoder
from nlptl.results import read_result_lines
from nlptl.runs.engines.encoding import EngineEncoding
from nlptl.runs.engines.ray_cluster import RayEngine, ray_engine
from nlptl.runs.studies.comparison.comparison_rows import ComparisonRow
from tests.conftest import small_reviews
from tests.interfaces.commands import Shell
from tests.runs.engines.jobs import Square

pytestmark = pytest.mark.cluster
TEXTS, LABELS = small_reviews(400)
SAID: list[str] = []


@pytest.fixture(autouse=True)
def _localhost(localhost: None) -> None:
    """Let sockets reach 127.0.0.1, and nothing else."""


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """Return an engine of two workers on a cluster of this machine, which commands of this process use, too."""
    with ray_engine(address=None, workers=2, device="cpu", say=SAID.append) as found:
        yield found


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "text", "label"), *zip(range(400), TEXTS, LABELS, strict=True)])
    return path


def ended(condition: Callable[[], object], kill: Callable[[], object]) -> threading.Thread:
    """Return a thread that kills something as soon as a condition holds."""

    def run() -> None:
        while not condition():
            time.sleep(0.01)
        kill()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def kill_an_actor() -> None:
    """Kill one of this cluster's workers that is at work, by its process id."""
    while True:
        for path in Path("/proc").glob("[0-9]*"):
            try:
                name, status = (path / "cmdline").read_bytes(), (path / "status").read_text()
            except OSError:
                continue
            if name.startswith(b"ray::_Actor.run") and f"Uid:\t{os.getuid()}" in status and _is_ours(int(path.name)):
                os.kill(int(path.name), signal.SIGKILL)
                return
        time.sleep(0.01)


def _is_ours(process: int) -> bool:
    """Return whether a process descends from this one."""
    while process > 1:
        if process == os.getpid():
            return True
        stat = Path(f"/proc/{process}/stat").read_text()
        process = int(stat.rpartition(")")[2].split()[1])
    return False


def test_a_task_whose_actor_is_killed_runs_again(engine: RayEngine, tmp_path: Path) -> None:
    SAID.clear()
    job = Square(str(tmp_path), killed_at=2)
    assert dict(engine.map(job, range(5))) == {number: number**2 for number in range(5)}
    assert len(SAID) == 1
    assert SAID[0].startswith("number 2: its worker has ended (")
    assert SAID[0].endswith("); another one takes it.")


def test_a_cluster_predicts_what_one_process_does_although_an_actor_is_killed(
    engine: RayEngine, table: Path, small_classifier: Path, shell: Shell
) -> None:
    command = ("predict", small_classifier, "--file", table, "--keep", "--proba", "--out")
    assert shell(*command, table.with_name("here.csv"))[0] == 0
    parts = table.with_name(".there.csv.parts")
    killer = ended(lambda: len(list(parts.glob("part-*"))) >= 2, kill_an_actor)
    elsewhere = ("--shard-rows", "5", "--engine", "ray", "--workers", "2")
    code, _, err = shell(*command, table.with_name("there.csv"), *elsewhere)
    killer.join(10)
    assert code == 0
    assert "its worker has ended (" in " ".join(err.split())
    assert table.with_name("there.csv").read_bytes() == table.with_name("here.csv").read_bytes()


def test_a_cluster_encodes_what_one_process_does(
    engine: RayEngine, tmp_path: Path, small_classifier: Path, shell: Shell
) -> None:
    pile = tmp_path / "pile"
    pile.mkdir()
    frame = pd.DataFrame({"id": range(400), "text": TEXTS})
    frame[:250].to_parquet(pile / "a.parquet", index=False)
    frame[250:].to_parquet(pile / "b.parquet", index=False)
    command = ("encode", small_classifier, "--file", pile, "--keep", "--shard-rows", "100", "--out")
    assert shell(*command, tmp_path / "here")[0] == 0
    assert shell(*command, tmp_path / "there", "--engine", "ray", "--workers", "2", "-q") == (0, "", "")
    here, there = (pq.read_table(tmp_path / name) for name in ("here", "there"))
    assert there.schema == here.schema
    assert there["id"].to_pylist() == list(range(400))
    vectors = [np.stack(one["vector"].to_numpy()) for one in (here, there)]
    np.testing.assert_allclose(vectors[1], vectors[0], rtol=0, atol=1e-6)
    encoder = Encoder.load(small_classifier)
    audited = dict(EngineEncoding(engine)(encoder, [TEXTS[:30], TEXTS[30:80]]))
    np.testing.assert_allclose(np.concatenate([audited[0], audited[1]]), encoder.encode(TEXTS[:80]), rtol=0, atol=1e-6)


def test_a_comparison_goes_on_between_this_machine_and_a_cluster(
    engine: RayEngine, review_files: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(review_files)
    ridge = "stages.3.update={method: head, solver: ridge}"
    command = (
        "compare", "small.yaml", "--regimes", "most_frequent,word_vectors", "--seeds", "2", "--minutes", "60",
        "--set", "stages.0.epochs=2", "--set", ridge, "-q", "--out",
    )  # fmt: skip
    assert shell(*command, "here")[0] == 0
    lines = (review_files / "here" / "comparison.jsonl").read_text().splitlines(keepends=True)
    (review_files / "there").mkdir()
    (review_files / "there" / "comparison.jsonl").write_text("".join(lines[:2]))
    assert shell(*command, "there", "--engine", "ray", "--workers", "2")[0] == 0
    here, there = (
        read_result_lines(review_files / name / "comparison.jsonl", ComparisonRow)[0] for name in ("here", "there")
    )
    assert {row.key: row.predicted for row in there} == {row.key: row.predicted for row in here}
    assert len(there) == len(here) == 6
    again = shell(*command[:-2], "--out", "there")
    assert "comparison: kept, nothing that its 6 trials depend on has changed." in again[2]


def test_a_killed_command_goes_on_from_its_finished_shards(
    table: Path, small_classifier: Path, shell: Shell, root: Path
) -> None:
    out = table.with_name("labels")
    command = ["predict", str(small_classifier), "--file", str(table), "--out", str(out), "--shard-rows", "5"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    elsewhere = ["--engine", "processes", "--workers", "2"]
    child = subprocess.Popen(
        [sys.executable, "-m", "nlptl", *command, *elsewhere], env=environment, stderr=subprocess.PIPE
    )
    ended(lambda: len(list((out / "_receipts").glob("part-*"))) >= 3, child.kill).join(240)
    child.communicate()
    finished = {path: path.stat().st_mtime_ns for path in out.glob("part-*.parquet")}
    assert 3 <= len(finished) < 80
    code, _, err = shell(*command)
    assert code == 0
    assert " of 80 shards are finished and kept." in err
    found = pq.read_table(out)
    assert found["text"].to_pylist() == TEXTS
    assert shell(*command[:-3], str(table.with_name("whole.parquet")), "-q")[0] == 0
    assert pq.read_table(table.with_name("whole.parquet")).equals(found)
