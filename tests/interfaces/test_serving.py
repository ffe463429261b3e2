"""The command `serve`: names, keys, what it says, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from nlptl.errors import ConfigError
from nlptl.interfaces.server.running import THREADS, ServerPlan
from nlptl.interfaces.server.server_settings import ServerSettings
from nlptl.interfaces.serving import named_runs, ready_lines
from tests.interfaces.commands import Shell

KEY = "0123456789abcdef"


def test_names_are_those_of_folders_or_given(tmp_path: Path) -> None:
    for name in ("tickets", "mails", "a=b"):
        (tmp_path / name).mkdir()
    found = named_runs([f"{tmp_path}/tickets", f"m={tmp_path}/mails", f"{tmp_path}/a=b"])
    assert found == {"tickets": tmp_path / "tickets", "m": tmp_path / "mails", "a=b": tmp_path / "a=b"}


def test_a_name_that_no_answer_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as found:
        named_runs([f"caf\udce9={tmp_path}"])
    assert str(found.value) == "RUN: found the name 'caf\\udce9', which is no UTF-8. Give NAME=FOLDER."


def test_a_key_that_others_may_read_is_told(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREADS:
        monkeypatch.setenv(name, "1")
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o644)
    _, _, err = shell("serve", tmp_path, "--api-key-file", key, "--port", 0)
    warning = f"Warning: every user of this machine may read the key in {key}. Type: chmod o-r {key}"
    assert " ".join(err.split()).startswith(warning)
    key.chmod(0o640)
    assert "Warning" not in shell("serve", tmp_path, "--api-key-file", key, "--port", 0)[2]


def test_a_stage_is_served_by_the_name_of_its_run(tmp_path: Path) -> None:
    stage = tmp_path / "tickets" / "3-finetune"
    stage.mkdir(parents=True)
    (stage / "manifest.json").touch()
    (tmp_path / "tickets" / "pipeline.yaml").touch()
    assert named_runs([str(stage)]) == {"tickets": stage}


def test_what_is_refused_is_told(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NLPTL_API_KEY", raising=False)
    for name in THREADS:  # which the command sets for its process
        monkeypatch.setenv(name, "1")
    run, key = tmp_path / "run", tmp_path / "key"
    run.mkdir()
    key.write_text("short\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments, told in (
            (["nix"], "RUN: 'nix' is no folder; expected that of a run, a stage or an export. Check the path."),
            (
                [run, f"run={run}"],
                f"RUN: found the name 'run' twice, for {run} and {run}. Give NAME=FOLDER.",
            ),
            (
                [run, "--api-key-file", key],
                f"--api-key-file: {key} holds a key of 5 characters; expected 16 at least, of ASCII and without blanks. Make one "
                "with: openssl rand -hex 32",
            ),
            (
                [run, "--api-key-file", tmp_path / "nix"],
                f"--api-key-file: {tmp_path / 'nix'} cannot be read; expected a file that holds one key. Check the path.",
            ),
            (
                [run, "--port", port],
                f"--port: 127.0.0.1:{port} cannot be had (Address already in use). Give another port, or end what uses it.",
            ),
            (
                [run, "--port", 0],
                f"{run}: holds no manifest.json; expected a folder that nlptl published. Give a run or a stage's folder.",
            ),
        ):  # fmt: skip
            code, out, err = shell("serve", *arguments)
            assert (code, out, " ".join(err.split())) == (2, "", told)


def test_a_missing_library_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "fastapi" else find(name))
    assert shell("serve", "run") == (
        2, "", "serve: needs fastapi, which is not installed. Install it with `pip install 'nlptl[serve]'`.\n"
    )  # fmt: skip


def test_it_says_where_it_answers_and_who_may_ask() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        body = '{"text": "A clever film with a warm ending.", "probabilities": true'
        plan = ServerPlan({"reviews": Path()}, ServerSettings())
        assert [*ready_lines(plan, bound, "127.0.0.1")] == [
            f"Serving reviews at {address}.", f"Try: curl {address}/predict -d '{body}}}'"
        ]  # fmt: skip
        plan = ServerPlan({"a": Path(), "b": Path()}, ServerSettings(), workers=2)
        assert [*ready_lines(plan, bound, "0.0.0.0")] == [
            f"Serving a, b at {address} by 2 workers.",
            f"Warning: whoever reaches {address} may use it. Set NLPTL_API_KEY, or listen at 127.0.0.1.",
            f'Try: curl {address}/predict -d \'{body}, "model": "a"}}\'',
        ]
        plan = ServerPlan({"a": Path()}, ServerSettings(api_key=KEY))
        told = [*ready_lines(plan, bound, "0.0.0.0")]
        assert told[1:] == [f"Try: curl {address}/predict -H \"Authorization: Bearer $NLPTL_API_KEY\" -d '{body}}}'"]
        assert KEY not in "".join(told)


def asked(address: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(address + path, None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


@pytest.mark.slow  # several processes load torch
def test_a_killed_worker_is_replaced_and_the_others_answer(
    small_classifier: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "nlptl", "serve", f"m={small_classifier}", "--port", "0", "--workers", "2"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    monkeypatch.undo()  # sockets reach localhost
    assert process.stderr is not None
    address = process.stderr.readline().split(" at ")[1].split()[0]

    def workers() -> int:
        text = asked(address, "/metrics").decode()
        line = next(line for line in text.splitlines() if line.startswith("nlptl_model_workers{"))
        return int(float(line.split()[-1]))

    def until_two() -> None:
        ends = time.monotonic() + 120
        while workers() < 2:
            assert time.monotonic() < ends
            time.sleep(0.2)

    until_two()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    victims = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(victims) == 2
    os.kill(int(victims[0]), signal.SIGKILL)
    for _ in range(50):
        assert json.loads(asked(address, "/predict", {"text": "good"}))["predictions"] == [{"label": "positive"}]
    until_two()
    text = asked(address, "/metrics").decode()
    assert 'nlptl_texts_total{model="m"} 50.0' in text.splitlines(), "the sum of all workers, the killed one included"
    process.send_signal(signal.SIGTERM)
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
    assert "Worker 1 ended by signal 9; another one takes its place.\n" in told
    assert told.endswith("Ended. Requests in hand were answered.\n")
