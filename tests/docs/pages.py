"""Pages of the documentation, read: their blocks of code, their commands and the outputs that they show, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
NOT_PAGES = ("docs/tutorials/", "docs/_build/", "CHANGELOG.md")
"""Tutorials are notebooks, which test_tutorials.py runs; the log of changes speaks of commands that are gone."""
PROGRAMS = frozenset(
    {"nlptl", "make", "pip", "python", "python3", "pytest", "torchrun", "accelerate", "ray", "curl", "docker", "openssl",
     "chmod", "systemd-analyze", "venv/bin/pip", "venv/bin/python"}
)  # fmt: skip
"""A span of code that begins with one of these and goes on is a command, also in a table or a sentence."""

_FENCE = re.compile(r"^\s*```(\S*)\s*$")
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")


@dataclass(frozen=True)
class Piece:
    """Block of code, command or output of a page."""

    kind: str
    """Language of a block; `command` for one line of a shell, `output` for an indented block, `prose` for text."""
    text: str
    line: int
    inline: bool = False
    """Whether it stands in a sentence or a table."""


def pages() -> list[str]:
    """Return the pages, by their paths from the checkout."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").rglob("*.md")]
    names = sorted(path.relative_to(ROOT).as_posix() for path in found)
    return [name for name in names if not name.startswith(NOT_PAGES)]


def read(page: str) -> str:
    """Return the text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def pieces(text: str) -> list[Piece]:
    """Return the pieces of a page in their order; a command of a shell's block is one piece."""
    found: list[Piece] = []
    for piece in _parts(text):
        if piece.kind in ("bash", "sh"):
            found += _commands(piece)
        elif piece.kind == "prose":
            found += _spans(piece)
        else:
            found.append(piece)
    return found


def _parts(text: str) -> Iterator[Piece]:
    """Yield fenced blocks, indented blocks and the text between them. Fences of MyST's directives hold text."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        begin = number
        fence = _FENCE.match(lines[number])
        if fence and fence[1] and not fence[1].startswith("{"):
            number += 1
            while number < len(lines) and not _FENCE.match(lines[number]):
                number += 1
            yield Piece(fence[1], "\n".join(lines[begin + 1 : number]) + "\n", begin + 2)
            number += 1
        elif lines[number].startswith("    ") and begin and not lines[begin - 1].strip():
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number].strip()):
                number += 1
            yield Piece("output", "\n".join(line[4:] for line in lines[begin:number]).rstrip() + "\n", begin + 1)
        else:
            yield Piece("prose", lines[number], begin + 1)
            number += 1


def _commands(block: Piece) -> Iterator[Piece]:
    """Yield a shell's commands; a backslash at the end of a line joins the next one."""
    whole, begin = "", block.line
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        whole, begin = (whole, begin) if whole else ("", number)
        whole += line.removesuffix("\\")
        if not line.endswith("\\"):
            if whole.strip() and not whole.lstrip().startswith("#"):
                yield Piece("command", whole.strip(), begin)
            whole = ""


def _spans(prose: Piece) -> Iterator[Piece]:
    for span in _SPAN.findall(prose.text):
        words = span.split()
        if len(words) > 1 and words[0] in PROGRAMS:
            yield Piece("command", span.replace(r"\|", "|"), prose.line, inline=True)
