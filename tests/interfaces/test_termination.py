"""What a signal ends: nothing stays in TMPDIR and beside the run, and the parent sees the signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nlptl.interfaces import cli, termination
from tests.forked import FORKED


def _run(path: str, out: str, temporary: str, said: str) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever starts the tests may ignore it
    os.environ["TMPDIR"] = tempfile.tempdir = temporary
    os.environ["NLPTL_CACHE"] = f"{temporary}-cache"
    with open(said, "wb") as file:
        os.dup2(file.fileno(), 2)
    gensim = "stages.0={stage: skipgram, engine: gensim, dim: 16, min_count: 1, epochs: 10000}"  # its corpus is a file
    sys.argv = ["nlptl", "run", path, "--out", out, "--device", "cpu", "--quiet", "--set", gensim]
    cli.main()


def _waited_for(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminated_run_leaves_no_litter(number: signal.Signals, review_files: Path) -> None:
    temporary, out, said = review_files / "temporary", review_files / "out", review_files / "said"
    temporary.mkdir()
    child = FORKED.Process(target=_run, args=(str(review_files / "small.yaml"), str(out), str(temporary), str(said)))
    child.start()
    _waited_for(lambda: any(temporary.glob("nlptl.gensim.*/corpus.txt")))
    assert child.pid is not None
    os.kill(child.pid, number)
    child.join(60)
    assert child.exitcode == -number
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in out.iterdir()) == [".lock", "data.json", "pipeline.yaml"]
    assert said.read_text() == "Interrupted. Finished stages are kept; run the same command to go on.\n"


STUCK = """
import hashlib, time
from nlptl.interfaces import termination
termination.GRACE = 0.2
termination.raise_when_terminated()
print("ready", flush=True)
{work}
"""


@pytest.mark.parametrize(
    ("work", "code"),
    [
        ("hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)", 143),  # minutes of compiled code
        ("try:\n    time.sleep(60)\nexcept termination.Terminated as stop:\n    time.sleep(60)", 143),
        ("try:\n    time.sleep(60)\nexcept termination.Terminated as stop:\n    stop.end()", -signal.SIGTERM),
    ],
)  # fmt: skip
def test_a_process_that_cannot_clean_up_ends_all_the_same(work: str, code: int) -> None:
    command = [sys.executable, "-c", STUCK.format(work=work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.3)  # until its work has begun
        child.terminate()
        assert child.wait(30) == code


def test_importing_nlptl_and_a_signal_that_is_ignored_change_nothing() -> None:
    script = (
        "import signal, nlptl, nlptl.interfaces.cli as cli\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "cli.raise_when_terminated()\n"
        "assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n"
        "assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_only_process_0_of_several_takes_time_to_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    before = signal.getsignal(signal.SIGTERM)
    termination.raise_when_terminated()
    assert signal.getsignal(signal.SIGTERM) is before
