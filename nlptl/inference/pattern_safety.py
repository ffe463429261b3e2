"""Regular expressions of tokenizers from anybody: accepted where no text makes them backtrack for ever.

A repeated group is safe if its passes have one length, or if each begins with a character that stands nowhere else in it.
Real tokenizers repeat single characters and classes, seldom a group.
"""

from __future__ import annotations

import dataclasses
import functools
import re

from tokenizers import Regex, normalizers

MAX_PATTERN = 20_000  # characters, also written out: a{9} has nine
MAX_DEPTH = 20  # of groups in groups
MAX_ENDLESS = (
    4  # repetitions without bound in a row: a text of n characters takes up to n to that power, times n, steps
)
MAX_CHOICES = 10  # options and bounded repetitions in a row, which multiply
MANY = 10  # times from which a bound is none
MAX_OTHERS = 32  # atoms of a repeated group that are compared with its first characters

QUANTIFIER = re.compile(r"(?:[*+?]|\{(?P<least>[0-9]{0,9})(?P<comma>,?)(?P<most>[0-9]{0,9})\})(?P<manner>[?+]?)")
ESCAPE = re.compile(r"\\(?:[pP]\{\^?[\w =]{1,60}\}|x\{[0-9A-Fa-f]{1,8}\}|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|.)", re.DOTALL)
CODE = re.compile(r"\\(?:x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4}))")
OPENING = re.compile(r"\((?:\?(?P<kind>:|=|!|<=|<!|>|[im-]{1,3}:|<[A-Za-z_]\w*>))?")
UNKNOWN_ESCAPES = "gkQEKRXyYOC"  # calls, named references, and what matches more than one character
ANCHORS = ("\\b", "\\B", "\\A", "\\Z", "\\z", "\\G", "^", "$")
CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "a": "\a", "e": "\x1b"}


def may_explode(pattern: str) -> bool:
    """Return whether a pattern may take exponential time, such as (a|aa)+, or is not understood."""
    if len(pattern) > MAX_PATTERN:
        return True
    whole = re.sub(r"^\(\?[im]{1,2}\)", "", pattern)
    try:
        found, end = _alternatives(whole, 0, 0)
    except _NotAcceptedError:
        return True
    return end < len(whole) or found.endless > MAX_ENDLESS or found.choices > MAX_CHOICES


class _NotAcceptedError(Exception):
    """Pattern that may explode or is not understood."""


@dataclasses.dataclass
class _Part:
    """What stands in a row, or the alternatives of a group."""

    endless: int = 0  # repetitions without bound, of the worst alternative
    choices: int = 0  # options, alternatives and bounded repetitions, likewise
    fixed: bool = True  # whether each match has the same number of characters
    firsts: list[str] = dataclasses.field(default_factory=list)  # characters that begin each alternative; "" if unknown
    others: list[str] = dataclasses.field(default_factory=list)  # all other atoms, as patterns
    atoms: int = 0  # written out


def _alternatives(text: str, at: int, depth: int) -> tuple[_Part, int]:
    """Read alternatives from a place on, and return them with the place behind them."""
    if depth > MAX_DEPTH:
        raise _NotAcceptedError
    rows = []
    while True:
        row, at = _row(text, at, depth)
        rows.append(row)
        if text[at : at + 1] != "|":
            break
        at += 1
    if len(rows) == 1:
        return rows[0], at
    return _Part(
        max(row.endless for row in rows), 1 + max(row.choices for row in rows), False,
        [row.firsts[0] if row.firsts else "" for row in rows], [one for row in rows for one in row.others],
        sum(row.atoms for row in rows),
    ), at  # fmt: skip


def _row(text: str, at: int, depth: int) -> tuple[_Part, int]:
    """Read what stands in a row from a place on, up to an alternative or the end of a group."""
    row = _Part()
    while at < len(text) and text[at] not in "|)":
        begin = at
        if text[at] == "(":
            part, is_look, at = _group(text, at, depth)
        else:
            part, at = _atom(text, at)
            is_look = text[begin:at] in ANCHORS
        least, most, at = _times(text, at, is_top=depth == 0)
        if is_look:
            if (least, most) != (1, 1):
                raise _NotAcceptedError
            part = dataclasses.replace(part, fixed=True, firsts=[], others=[])
        elif (most is None or most > 1) and text[begin] == "(" and not _may_repeat(part):
            raise _NotAcceptedError
        _append(row, part, least, most)
    return row, at


def _append(row: _Part, part: _Part, least: int, most: int | None) -> None:
    """Add what follows to a row."""
    endless = most is None or (most >= MANY and most != least)
    row.endless += part.endless + endless
    row.choices += part.choices + (not endless and least != most)
    row.fixed = row.fixed and part.fixed and least == most
    is_first = not row.firsts and not row.others and row.atoms == 0
    if is_first and len(part.firsts) == 1 and part.firsts[0] and (least, most) == (1, 1):
        row.firsts = part.firsts
        row.others += part.others
    else:
        row.others += [*(f"[{re.escape(one)}]" if one else r"[\s\S]" for one in part.firsts), *part.others]
    row.atoms += part.atoms * max(1, most or least)
    if row.atoms > MAX_PATTERN:
        raise _NotAcceptedError


def _may_repeat(part: _Part) -> bool:
    """Return whether a group can be repeated: it is clear of each text where one pass ends and the next begins."""
    if part.fixed and part.atoms:
        return True
    firsts = "".join(part.firsts)
    if not all(part.firsts) or not firsts or len(part.others) > MAX_OTHERS:
        return False
    folded = [one for first in part.firsts for one in {*first.lower(), *first.upper()} | set(first)]
    alone = len(set(folded)) == sum(len({*first.lower(), *first.upper()} | set(first)) for first in part.firsts)
    return alone and not any(_matches(other, "".join(folded)) for other in part.others)


@functools.lru_cache(maxsize=1000)
def _matches(atom: str, characters: str) -> bool:
    """Return whether an atom matches one of some characters, as the tokenizers library itself matches."""
    try:
        return normalizers.Replace(Regex(f"(?im:{atom})"), "").normalize_str(characters) != characters
    except Exception:  # of the library, for what is no pattern alone
        return True


def _group(text: str, at: int, depth: int) -> tuple[_Part, bool, int]:
    """Read a group, and return it, whether it only looks around, and the place behind it."""
    opening = OPENING.match(text, at)
    if opening is None or text[opening.end() : opening.end() + 1] in ("?", "*"):
        raise _NotAcceptedError
    part, at = _alternatives(text, opening.end(), depth + 1)
    if text[at : at + 1] != ")":
        raise _NotAcceptedError
    return part, opening["kind"] in ("=", "!", "<=", "<!"), at + 1


def _atom(text: str, at: int) -> tuple[_Part, int]:
    """Read a character, an escape or a class."""
    if text[at] == "[":
        return _class(text, at)
    if text[at] in "*+?":
        raise _NotAcceptedError
    if text[at] != "\\":
        explicit = text[at] if text[at] not in ".^$" else ""
        return _single(text[at], explicit), at + 1
    escape = ESCAPE.match(text, at)
    if escape is None or text[at + 1] in UNKNOWN_ESCAPES:
        raise _NotAcceptedError
    atom = escape.group()
    if atom[1].isdigit():  # what a group matched, which has any length
        return dataclasses.replace(_single(r"[\s\S]", ""), fixed=False, choices=1), escape.end()
    return _single(atom, _character(atom)), escape.end()


def _character(escape: str) -> str:
    """Return the one character that an escape stands for; empty if it stands for several."""
    if code := CODE.fullmatch(escape):
        number = int(next(filter(None, code.groups())), 16)
        return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else ""
    if len(escape) == 2 and not escape[1].isalnum():
        return escape[1]
    return CONTROLS.get(escape[1:], "")


def _class(text: str, begin: int) -> tuple[_Part, int]:
    """Read a class in brackets, which may hold others."""
    depth, at = 0, begin
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "[":
            depth += 1
            if text[at + 1 :].startswith(("]", "^]")) if at + 1 < len(text) else True:
                raise _NotAcceptedError  # engines differ on it
        elif text[at] == "]":
            depth -= 1
            if depth == 0:
                inner = text[begin + 1 : at]
                plain = inner and len(inner) <= MAX_OTHERS and not re.search(r"[\\\[\]^&]|(?<!^)-(?!$)", inner)
                return _single(text[begin : at + 1], inner if plain else ""), at + 1
        at += 1
    raise _NotAcceptedError


def _single(atom: str, explicit: str) -> _Part:
    """Return a part of one atom. `explicit` has all characters that it matches, if they are known."""
    return _Part(firsts=[explicit], others=[], atoms=1) if explicit else _Part(others=[atom], atoms=1)


def _times(text: str, at: int, *, is_top: bool) -> tuple[int, int | None, int]:
    """Read how often something stands, least and most (None: without bound), and return the place behind it."""
    found = QUANTIFIER.match(text, at)
    if found is None or found.group() in ("{}", "{,}"):
        return 1, 1, at
    is_last = is_top and text[found.end() : found.end() + 1] in ("", "|")  # nothing follows that could fail
    twice = found["comma"] is not None and found["manner"] == "+" and not is_last
    if twice or QUANTIFIER.match(text, found.end()):
        raise _NotAcceptedError  # a repetition of a repetition
    if found["comma"] is None:
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[found.group()[0]]
        return least, most, found.end()
    least = int(found["least"] or 0)
    most = (int(found["most"]) if found["most"] else None) if found["comma"] else least
    if found["manner"] and most == least:  # in some engines the whole is an option then
        least = 0
    return least, most, found.end()
