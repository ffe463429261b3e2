"""Words of a command line as bash hands them to a completion, and completions as bash inserts them.

Bash takes a word with `=` apart, replaces the part behind the last one alone, and inserts what it is given unquoted.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator

from nlptl.interfaces.terminal import print_exactly

_WORDS, _NUMBER = "COMP_WORDS", "COMP_CWORD"  # one word a line, and the place of the one at the cursor
_SPECIAL = re.compile(r"[^\w@%+=:,./~-]")  # for a shell, outside quotes


@contextlib.contextmanager
def as_bash_has_them() -> Iterator[None]:
    """Join the words that bash asks to complete, and print the completions that the block prints as it inserts them."""
    words, number = os.environ.get(_WORDS, "").split("\n"), os.environ.get(_NUMBER, "")
    if os.environ.get("_NLPTL_COMPLETE") != "complete_bash" or not number.isdecimal() or int(number) >= len(words):
        yield
        return
    joined = _joined(words[: int(number) + 1])
    os.environ.update({_WORDS: "\n".join(joined), _NUMBER: str(len(joined) - 1)})
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            yield
    finally:
        print_exactly([_inserted(line, joined[-1]) + "\n" for line in printed.getvalue().splitlines() if line])


def _joined(words: list[str]) -> list[str]:
    found: list[str] = []
    for word in words:
        follows = bool(word) and bool(found) and found[-1].endswith("=")
        if len(found) > 1 and (word == "=" or follows):
            found[-1] += word
        else:
            found.append(word)
    return found


def _inserted(completion: str, word: str) -> str:
    """Return what replaces the part of the word that bash replaces; it is quoted unless the word begins with a quote."""
    before = word[: word.rfind("=") + 1]
    for standing in (before, before.partition("=")[2]):  # with the option, as in --set=stages.0.weights=, and without
        if standing and completion.startswith(standing):
            completion = completion.removeprefix(standing)
            break
    return completion if word.startswith(("'", '"')) else _SPECIAL.sub(r"\\\g<0>", completion)
