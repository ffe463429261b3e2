"""Docstrings of nlptl as reStructuredText, which Sphinx reads: plain prose with `names` and indented code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

SPECIAL = re.compile(r"[\\*|`]|_(?!\w)")


def as_restructured(lines: Sequence[str]) -> list[str]:
    """Return the lines of a docstring, names as literals, the rest as plain text, and indented blocks as code."""
    return list(_restructured(lines))


def _restructured(lines: Sequence[str]) -> Iterator[str]:
    in_code, before = False, ""
    for line in lines:
        indented = line.startswith("    ")
        if indented and not in_code and not before.strip():
            in_code = True
            yield from ("::", "")
        elif line.strip() and not indented:
            in_code = False
        yield line if in_code else _plain(line)
        before = line


def _plain(line: str) -> str:
    """Return a line whose `names` are literals and whose other characters mean nothing special."""
    parts = line.split("`")
    if len(parts) % 2 == 0:
        return _escaped(line)
    return "".join(
        _literal(part, parts[place + 1]) if place % 2 else _escaped(part) for place, part in enumerate(parts)
    )


def _literal(name: str, after: str) -> str:
    return f"``{name}``" + ("\\ " if re.match(r"\w", after) else "")


def _escaped(text: str) -> str:
    return SPECIAL.sub(lambda found: "\\" + found[0], text)
