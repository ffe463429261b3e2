"""docs/ship.md is true: its commands run one after the other, from a run to a bundle and back to an old version."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CORRECT = """
import json, sys, time, urllib.error, urllib.request
rows = [("humorous", "Monday again. My coffee needs a coffee."), ("neither", "Train to Lyon leaves from platform four at 18:20")]
for text in rows:
    body = {"model": "tweets-head", "text": text[1], "label": text[0], "predicted": "offensive"}
    request = urllib.request.Request(sys.argv[1] + "/corrections", json.dumps(body).encode(), {"Content-Type": "application/json"})
    for _ in range(600):
        try:
            urllib.request.urlopen(request, timeout=20)
            break
        except urllib.error.HTTPError:
            raise
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
"""
RUNNABLE = ("nlptl", "venv/bin/python")
ALARM = 3  # exit code of `nlptl monitor`


@pytest.mark.slow
def test_the_commands_run_in_their_order(root: Path, tmp_path: Path) -> None:
    for name in ("data", "pipelines"):
        shutil.copytree(root / name, tmp_path / name)
    lines = re.findall(
        r"^```(?:bash|sh)\n(.*?)^```", (root / "docs" / "ship.md").read_text(), flags=re.DOTALL | re.MULTILINE
    )
    commands = [shlex.split(line) for line in "".join(lines).splitlines() if line.split()[0] in RUNNABLE]
    assert len(commands) == 13
    environment = {**os.environ, "PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1"}
    for program, *arguments in commands:
        command = [sys.executable, *(["-m", "nlptl"] if program == "nlptl" else []), *arguments]
        if "serve" in arguments:
            served(command, tmp_path, environment)
            continue
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        expected = ALARM if arguments[0] == "monitor" else 0
        assert done.returncode == expected, (arguments, done.stdout, done.stderr)
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 41


def served(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Serve, and collect corrections where the command asks for them."""
    with subprocess.Popen(
        [*command, "--port", "0"],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as server:
        try:
            assert server.stderr is not None
            end = time.monotonic() + 120
            address = None
            while address is None and time.monotonic() < end:
                address = re.search(r"http://[\d.:]+\d", server.stderr.readline())
            assert address is not None
            if "--corrections" in command:
                subprocess.run([sys.executable, "-c", CORRECT, address.group()], check=True, timeout=120)
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
