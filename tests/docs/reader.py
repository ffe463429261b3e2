"""A reader who follows a page: every block and every command in its order, in one folder with data/ and pipelines/."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from nlptl.artifact import digest_of
from nlptl.config import parse
from nlptl.interfaces.server import running
from nlptl.interfaces.server.app import create_app
from nlptl.interfaces.server.loaded_model import load_model
from nlptl.runs.pipeline import Pipeline
from tests.docs.page_commands import EXIT_CODES, QUICK_RUN, RUNS, as_typed, why_not_run
from tests.docs.pages import ROOT, Piece, pieces, read
from tests.interfaces.commands import Shell

COMPLETE = ("nlptl init", "nlptl encoders", "nlptl schema")
"""Commands that need no argument; any other in a sentence without one is a name, whose --help is asked."""
SHARED = ("nlptl run pipelines/", "nlptl start data/")
"""Commands whose folder serves every page on which they stand."""
NEEDS_SHELL = re.compile(r"\|\||&&|[|<>$]")
FOLDER = re.compile(r"(?<!--out )\b((?:runs|exports)/[\w-]+)")
BY_HAND = [("humorous", "Monday again. My coffee needs a coffee."), ("neither", "The train leaves from platform four.")]
"""Labels that the reader gives to texts on the page that `serve` shows."""


class MadeRuns:
    """Folders that commands on pages have made: the same command on another page is not carried out again."""

    def __init__(self, folder: Path) -> None:
        """Several processes may keep their runs in the folder."""
        self._folder = folder

    def copied(self, command: str, path: Path) -> bool:
        """Copy the folder of a command to a path. Return whether it was made before and nothing stood there."""
        if is_new := self._kept(command).is_dir() and not path.exists():
            shutil.copytree(self._kept(command), path)
        return is_new

    def keep(self, command: str, path: Path) -> None:
        """Keep the folder that a command has made."""
        draft = self._folder / uuid.uuid4().hex
        if not self._kept(command).is_dir():
            shutil.copytree(path, draft)
            with contextlib.suppress(OSError):  # another process was first
                draft.rename(self._kept(command))

    def _kept(self, command: str) -> Path:
        return self._folder / digest_of(command)


def furnished(folder: Path) -> Path:
    """Return the folder with what a reader has: data/, pipelines/, and tables and pipelines of the reader's own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("data", "pipelines"):
        shutil.copytree(ROOT / name, folder / name)
    with (folder / "data" / "tweets" / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    (folder / "pile").mkdir()
    shutil.copyfile(folder / "pipelines" / "tweets-skipgram.yaml", folder / "pipelines" / "my-pipeline.yaml")
    write_table(folder / "tickets.csv", rows[:25])
    write_workbook(folder / "tickets.xlsx", rows[:25])
    write_workbook(folder / "mails.xlsx", [["Body", "Topic"], *rows[1:25]])
    goods = (folder / "data" / "products" / "unlabelled.txt").read_text(encoding="utf-8").splitlines()
    write_table(
        folder / "june.csv", [["text"], *([text] for text in goods)]
    )  # of another kind, so that there is an alarm
    write_workbook(folder / "june.xlsx", [["text"], *([text] for text in goods)])
    for number in (1, 2):
        write_table(folder / "pile" / f"{number}.csv", rows[:21])
    for name in ("new.csv", "mails.csv"):
        write_table(folder / name, [row[:1] for row in [rows[0], *rows[100:200]]])
    return folder


def write_table(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def write_workbook(path: Path, rows: list[list[str]]) -> None:
    from openpyxl import Workbook

    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)


class Reader:
    """Carries out the pieces of a page; what fails is told with its line, and the rest is read on."""

    def __init__(
        self, page: str, folder: Path, runs: MadeRuns, shell: Shell, monkeypatch: pytest.MonkeyPatch
    ) -> None:  # fmt: skip
        self._page, self._folder, self._runs, self._shell = page, folder, runs, shell
        self._names: dict[str, object] = {}
        self._shown = ""  # by the commands since the last output that the page shows
        self._done: set[str] = set()
        self._app: Any = None
        monkeypatch.chdir(furnished(folder))
        monkeypatch.setattr(running, "serve", self._serve)
        self._ways: Mapping[str, Callable[[str], None]] = {
            "command": self._command, "python": self._python, "yaml": self._yaml, "json": self._compare,
            "output": self._compare, "text": self._compare, "prose": lambda text: None,
        }  # fmt: skip

    def read(self) -> list[str]:
        """Carry out the page and return its faults."""
        faults = []
        for piece in pieces(read(self._page)):
            name = piece.text if piece.kind == "command" else f"```{piece.kind}"
            if why_not_run(self._page, name):
                continue
            try:
                self._carry_out(piece)
            except Exception as error:
                faults.append(f"{self._page}:{piece.line}: {piece.text}\n{type(error).__name__}: {error}")
        return faults

    def _carry_out(self, piece: Piece) -> None:
        assert piece.kind in self._ways, f"No way to carry out a block of {piece.kind}. Add it here or to NOT_RUN."
        if piece.kind == "command" and piece.inline and is_name(piece.text):
            self._ask_help(piece.text)
        elif piece.kind != "command" or piece.text not in self._done:
            self._ways[piece.kind](piece.text)
            self._done.add(piece.text)

    def _ask_help(self, text: str) -> None:
        _, *words = shlex.split(text.replace("|", " "))
        names = [word for word in words if not word.startswith("-")][: 2 if "vectors" in words else 1]
        code, usage, err = self._shell(*names, "--help")
        assert code == 0, err
        assert all(word in usage for word in words if word.startswith("--")), usage

    def _python(self, text: str) -> None:
        self._place(text)
        exec(compile(text, self._page, "exec"), self._names)

    def _yaml(self, text: str) -> None:
        text = as_typed(text)
        found = yaml.safe_load(text)
        if "stages" in found:
            named = re.match(r"# ([\w-]+\.yaml)", text)
            (self._folder / (named[1] if named else "my-pipeline.yaml")).write_text(text, encoding="utf-8")
            parse(Pipeline, found, where=self._page).check()

    def _command(self, text: str) -> None:
        self._fill_in(text)
        typed = as_typed(text)
        if typed in self._done:
            return
        self._done.add(typed)
        if (self._folder / "my-pipeline.yaml").is_file():  # the page has one of its own
            typed = typed.replace("pipelines/my-pipeline.yaml", "my-pipeline.yaml")
        self._place(typed)
        if NEEDS_SHELL.search(re.sub(r"'[^']*'|\"[^\"]*\"", "", typed)):
            self._by_bash(typed)
            return
        program, *words = shlex.split(typed, comments=True)
        if program == "curl":
            self._ask(words)
        elif program == "python" and "serve" in words:
            self._serve_apart([sys.executable, *words])
        elif program == "python":
            self._run_apart([sys.executable, *words])
        else:
            assert program == "nlptl", f"No way to run {program}. Add it to NOT_RUN, with the reason."
            self._nlptl(typed, words)
        if "--corrections" in words:
            self._correct(words[words.index("--corrections") + 1])

    def _nlptl(self, typed: str, words: list[str]) -> None:
        made, _, out = typed.partition(" --out ")
        path = self._folder / (out.split()[0] if out else f"runs/{Path(words[1]).stem if words[1:] else ''}")
        is_shared = typed.startswith(SHARED)
        if is_shared and self._runs.copied(made, path):
            return
        code, stdout, stderr = self._shell(*words)
        self._shown += stdout + stderr
        assert code in allowed(typed), stdout + stderr
        if is_shared:
            self._runs.keep(made, path)

    def _place(self, text: str) -> None:
        """Make the runs of which the text tells no more than the name."""
        for name in FOLDER.findall(text):
            if not (self._folder / name).exists():
                command = f"{RUNS.get(name, QUICK_RUN)} --out {name}"
                self._nlptl(command, shlex.split(command)[1:])

    def _fill_in(self, text: str) -> None:
        """Label, as the page asks its reader to, what the next command reads: a table of texts, or corrections."""
        if "--labelled corrections.jsonl" in text and not (path := self._folder / "corrections.jsonl").is_file():
            lines = [json.dumps({"text": text, "label": label}) for label, text in BY_HAND]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        for name in re.findall(r"\S+-to-label\.csv", text):
            path = self._folder / name
            rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines(keepends=True)))
            place = rows[0].index("label")
            labels = ["humorous", "neither", "offensive"]
            write_table(
                path, [rows[0], *([*row[:place], labels[n % 3], *row[place + 1 :]] for n, row in enumerate(rows[1:]))]
            )

    def _serve(self, plan: Any, bound: Any, *, when_ready: Callable[[], None], loads: object = None) -> None:
        """Stand for the server: the application is made as it makes it, and asked in this process."""
        models = {name: load_model(run, device=plan.device) for name, run in plan.runs.items()}
        self._app = create_app(models, plan.settings, runs=plan.runs, device=plan.device)
        when_ready()

    def _ask(self, words: list[str]) -> None:
        """Ask the application what `curl URL -d BODY` asks the server."""
        assert self._app is not None, "No server was started before."
        url = next(word for word in words if word.startswith("http"))
        body = words[words.index("-d") + 1] if "-d" in words else None
        self._shown += asked(self._app, "POST" if body else "GET", "/" + url.split("/", 3)[3], body)

    def _correct(self, name: str) -> None:
        """Correct labels, as the page of the server lets its reader do."""
        for label, text in BY_HAND:
            body = {"model": "tweets-head", "text": text, "label": label, "predicted": "offensive"}
            asked(self._app, "POST", "/corrections", json.dumps(body))
        assert len((self._folder / name).read_text(encoding="utf-8").splitlines()) == len(BY_HAND)

    def _by_bash(self, text: str) -> None:
        """Run a line with several commands by bash, where `mail` writes a file."""
        programs = self._folder / ".programs"
        programs.mkdir(exist_ok=True)
        for name, does in (("nlptl", f'exec {sys.executable} -m nlptl "$@"'), ("mail", f"cat > {self._folder}/mail")):
            (programs / name).write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
            (programs / name).chmod(0o755)
        self._run_apart(["bash", "-c", text], PATH=f"{programs}:{os.environ['PATH']}")

    def _run_apart(self, command: list[str], **more: str) -> None:
        done = subprocess.run(
            command, cwd=self._folder, env=environment(**more), capture_output=True, text=True, timeout=600, check=False
        )  # fmt: skip
        self._shown += done.stdout + done.stderr
        assert done.returncode == 0, done.stdout + done.stderr

    def _serve_apart(self, command: list[str]) -> None:
        """Run a server that the page starts by Python until it tells its address, then end it."""
        with subprocess.Popen(
            command, cwd=self._folder, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as server:  # fmt: skip
            assert server.stderr is not None
            end, line = time.monotonic() + 120, ""
            while "http://" not in line and time.monotonic() < end and server.poll() is None:
                line = server.stderr.readline()
            server.send_signal(signal.SIGTERM)
            assert "http://" in line, line
            assert server.wait(60) == 0

    def _compare(self, text: str) -> None:
        """Compare an output that the page shows with that of the commands before it, in shape: numbers count as one."""
        shown, self._shown = self._shown, ""
        found = [shape(line) for line in shown.splitlines()]
        for line in text.splitlines():
            wanted, cut, _ = line.partition("…")
            if wanted.strip():
                same = [one.startswith(shape(wanted)) if cut else one == shape(wanted) for one in found]
                assert any(same), f"{line}\nis not in\n{shown}"


def allowed(command: str) -> tuple[int, ...]:
    """Return the exit codes that are no failure of a command."""
    return EXIT_CODES.get(command) or EXIT_CODES.get(" ".join(command.split()[:2])) or (0,)


def is_name(command: str) -> bool:
    """Return whether a command in a sentence names a command without what it works on."""
    words = shlex.split(command)
    given = words[3 if words[1] == "vectors" else 2 :]
    return command not in COMPLETE and given != ["--help"] and (not given or given[0].startswith("-"))


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment, in which Python finds nlptl and no network is asked."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **more}


def asked(app: Any, method: str, path: str, body: str | None) -> str:
    """Return the body of an application's answer. Raises AssertionError for a refusal."""

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as client:
            headers = {"Content-Type": "application/json"}
            return await client.request(method, path, content=body, headers=headers if body else {})

    answer = asyncio.run(ask())
    assert answer.status_code < 300, answer.text
    return answer.text


def shape(line: str) -> str:
    """Return a line whose numbers are 0, whose digests are gone, and whose blanks and rules are one sign."""
    line = re.sub(r'"[0-9a-f]{12}"', '"0"', line)
    line = re.sub(r"[+−-]?\d+(,\d{3})*(\.\d+)?(e[+-]?\d+)?", "0", line)
    return re.sub(r"\s+", " ", re.sub(r"-{2,}", "-", line)).strip()
