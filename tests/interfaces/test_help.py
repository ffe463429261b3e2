"""The help of each command: whole sentences, none cut off, with an example, on a terminal of 80 columns."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from nlptl.interfaces.cli import app


def commands(group: typer.Typer, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command and group, the whole first."""
    yield path
    for command in group.registered_commands:
        assert command.callback is not None
        yield (*path, command.name or command.callback.__name__)
    for sub in group.registered_groups:
        assert sub.typer_instance is not None
        assert sub.name is not None
        yield from commands(sub.typer_instance, *path, sub.name)


COMMANDS = list(commands(app))


def help_of(words: tuple[str, ...]) -> str:
    done = CliRunner().invoke(app, [*words, "--help"], prog_name="nlptl", env={"COLUMNS": "80"})
    assert done.exit_code == 0
    return done.output


def texts(shown: str) -> list[str]:
    """Return the paragraphs and the help of each argument, option and command."""
    body = shown.split("\n", 1)[1].split("  Example:", maxsplit=1)[0]
    found = re.sub(r"\n {7,}(?=\S)", " ", body)  # what is continued on the next line
    found = re.sub(r"(?<=\S)\n  (?=[A-Za-z])(?!\S+(?: \S+)?  )", " ", found)
    entries = [line for line in found.splitlines() if line.startswith("  ")]
    return [re.split(r"\s{2,}", entry.strip(), maxsplit=1)[-1] for entry in entries]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "nlptl")
def test_help_is_whole_sentences_and_an_example(words: tuple[str, ...]) -> None:
    shown = help_of(words)
    assert max(map(len, shown.splitlines())) <= 80
    assert "..." not in shown.replace("{FILE}...", "").replace("{RUN}...", "")  # which says that there may be several
    found = texts(shown)
    assert len(found) >= 2
    for text in found:
        said = re.sub(r"\s*\[(required|default: [^\]]*|x>=\d)\]", "", text)
        assert re.fullmatch(r"[A-Z].*\.", said), text
    examples = [line.strip() for line in shown.split("  Example:")[1].splitlines() if line.strip()]
    assert examples
    for example in examples:
        assert shlex.split(example)[: len(words) + 1] == ["nlptl", *words]


def test_every_command_is_walked() -> None:
    assert {
        ("run",),
        ("check",),
        ("predict",),
        ("evaluate",),
        ("neighbours",),
        ("show",),
        ("vectors", "export"),
    } <= set(COMMANDS)
