"""Questions to a person at the terminal: which column is meant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from nlptl.interfaces.terminal import remark

if TYPE_CHECKING:
    from nlptl.data.discovery import Choose, Question


def asker() -> Choose | None:
    """Return what asks a person which column is meant; None where nobody could answer."""
    return _ask if sys.stdin is not None and sys.stdin.isatty() else None


def _ask(question: Question) -> str:
    """Ask on the terminal until the answer is one of those that are listed, by name or number."""
    remark(question.sentence())
    answers = question.answers
    for number, answer in enumerate(answers, start=1):
        remark(f"  {number}  {answer}")
    while True:
        given = str(typer.prompt("Number or name", err=True)).strip()
        if given in answers:
            return given
        if given.isdigit() and 1 <= int(given) <= len(answers):
            return answers[int(given) - 1]
        remark(f"Found {given!r}; expected one of the names above, or its number.")
