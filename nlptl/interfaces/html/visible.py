"""Text of users as a page shows it: characters that hide or reorder are written out, and long texts are cut."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from markupsafe import Markup, escape

from nlptl.interfaces.terminal import escaped

BLANKS = "\n\t"  # which a page shows as they are meant
EMPTY = "(empty)"


def visible(text: object, most: int | None = None) -> str:
    """Return a text in which every character shows: `\\u202e` for a reversal, `\\x1b` for an escape. Jinja escapes the rest.

    More than `most` characters are cut.
    """
    raw = str(text)
    cut = raw if most is None or len(raw) <= most else raw[: max(1, most - 1)].rstrip() + "…"
    lines = cut.replace("\r\n", "\n")
    if lines.isascii() and lines.isprintable():
        return lines
    return "".join(one if one in BLANKS else escaped(one) for one in lines)


def named(label: str, most: int = 40) -> str:
    """Return the name of a label; one that shows nothing is said to be empty."""
    return visible(label.replace("\n", " "), most) if label.strip() else EMPTY


def breakable(label: str, most: int = 40) -> Markup:
    """Return the name of a label that may be broken behind `_`, `/` and the like."""
    return Markup(re.sub("([_/.:|-]+)(?=.)", "\\1<wbr>", str(escape(named(label, most)))))  # escaped


def inline_json(content: Mapping[str, object]) -> Markup:
    """Return JSON that may stand in a script element: no character in it can end the element or begin a comment."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # made safe above
