"""Text files for people that end with their own digest, so that one which a person has edited is told from nlptl's own."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

CARD = "README.md"  # of a published folder; not in its manifest, since people may edit it
MAX_BYTES = 4_000_000  # of a file that may be nlptl's own

_SEAL = "<!-- Written by nlptl, sha256 {digest}. nlptl replaces this file only while it stands as written. -->\n"
_PATTERN = re.compile(re.escape(_SEAL).replace(re.escape("{digest}"), "([0-9a-f]{64})"))


def sealed_text(text: str) -> str:
    """Return a markdown text with a last line that holds its digest and that no page shows."""
    return text + _SEAL.format(digest=_digest(text))


def is_sealed(path: Path) -> bool:
    """Return whether a file stands as `sealed_text` made it. Line ends do not count, since some tools convert them."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
            return False
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    before, _, last = text.removesuffix("\n").rpartition("\n")
    found = _PATTERN.fullmatch(f"{last}\n")
    return found is not None and found[1] == _digest(f"{before}\n")


def is_edited(path: Path) -> bool:
    """Return whether a person has written or edited a file, or put a link there."""
    return (path.is_symlink() or path.is_file()) and not is_sealed(path)


def carry_edited(old: Path, new: Path) -> None:
    """Copy the card of a folder, if a person has edited it, into the folder that takes its place."""
    if is_edited(old / CARD):
        (new / CARD).unlink(missing_ok=True)
        shutil.copy2(old / CARD, new / CARD, follow_symlinks=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
