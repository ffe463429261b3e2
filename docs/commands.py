"""Write docs/commands.md: every command of the shell with its help, from the commands themselves.

    python docs/commands.py [--check]

With --check nothing is written and a difference is an error.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from nlptl.interfaces.cli import app

PAGE = Path(__file__).parent / "commands.md"
HEADER = """# Commands

Every command of the shell with its arguments and options, as `--help` tells them. `python docs/commands.py` writes this page
from the commands themselves. The [guide](guide.md) says what they are for. Examples stand as a reader types them in a checkout;
most need a run, for example that of `make quickstart`.
"""
EXAMPLE = re.compile(r"\x08?\s*Example:\n")


def main(check: bool) -> int:
    new = commands_page()
    if not check:
        PAGE.write_text(new, encoding="utf-8")
        return 0
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != new:
        print("docs/commands.md: it differs from the commands. Run make tables.", file=sys.stderr)
        return 1
    return 0


def commands_page() -> str:
    """Return the page: one section a command, in the order of `nlptl --help`."""
    whole = typer.main.get_command(app)
    return HEADER + "".join(section(context) for context in contexts(whole.context_class(whole, info_name="nlptl")))


def contexts(context: Any) -> Iterator[Any]:
    """Yield the context of each command that does something; of groups those inside."""
    inside = getattr(context.command, "commands", None)
    if inside is None:
        yield context
        return
    for name, command in inside.items():
        yield from contexts(command.context_class(command, info_name=name, parent=context))


def section(context: Any) -> str:
    """Return the section of one command: what it does, a row an argument and option, examples."""
    command = context.command
    paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
    records = [record for one in command.params if (record := one.get_help_record(context))]
    rows = [f"| {cell(code(left))} | {cell(plain(right))} |\n" for left, right in records]
    examples = "\n".join(line.strip() for line in EXAMPLE.sub("", command.epilog or "").splitlines())
    return (
        f"\n## `{context.command_path}`\n\n"
        + "\n\n".join(plain(paragraph) for paragraph in paragraphs)
        + "\n\n| argument or option | what it does |\n| --- | --- |\n"
        + "".join(rows)
        + f"\n```sh\n{examples.strip()}\n```\n"
    )


def code(text: str) -> str:
    return f"`{' '.join(text.split())}`"


def plain(text: str) -> str:
    """Return a sentence of the help as Markdown: options and file names as code, the rest as it is."""
    text = html.escape(" ".join(text.split()), quote=False)
    text = re.sub(r"(?<![\w`-])(--[a-z][\w-]*)", r"`\1`", text)
    return re.sub(r"([*_])", r"\\\1", text) if "`" not in text else re.sub(r"([*])", r"\\\1", text)


def cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
