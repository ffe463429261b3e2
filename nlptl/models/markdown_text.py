"""Any text inside a line or a table cell of markdown: shown as it is, and never taken for markup."""

from __future__ import annotations

import unicodedata

_MARKUP = set("\\`*_[]{}<>#|&~:@$^")  # ends a cell, begins markup, a link, a mention, a formula or an emoji's name
_JOINERS = ("\u200c", "\u200d")  # hold emoji and letters of some scripts together


def in_line(text: str) -> str:
    """Return text for one line of markdown: markup as character references, what cannot be seen as its number."""
    return "".join(map(_shown, text)).replace("  ", " &nbsp;").replace("  ", " &nbsp;")


def _shown(character: str) -> str:
    if character in _MARKUP:
        return f"&#{ord(character)};"
    is_hidden = unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
    return f"&#92;u{ord(character):04x}" if is_hidden and character not in _JOINERS else character
