"""Lines for a person or a pipe: escaped where a terminal would obey them, as wide as they look, and safe to print.

Unicode's bidirectional controls reorder what stands around them (Boucher & Anderson 2021), and escape sequences move the
cursor or change a title. A label or a file name may hold both.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import logging
import os
import sys
import textwrap
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TextIO, cast

from nlptl.training.distributed import is_main

WIDTH = 100  # columns that a printed line may take
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # categories: controls, formats, surrogates, line and paragraph separators
JOINERS = "\u200c\u200d"  # formats that emoji and Indic or Persian words are made of
TAGS = range(0xE0020, 0xE0080)  # formats that flags of regions are made of
LONGEST_WORD = 300  # columns of a word that is shown whole; paths are shorter
Colour = Literal["", "green", "red", "faint"]
CODES = {"green": "1;32", "red": "1;31", "faint": "2"}  # of colours, as ECMA-48 has them
WIDE, NARROW = ("W", "F"), ("Mn", "Me", "Cf")  # East Asian widths of two columns, categories of none


class OutputError(Exception):
    """Refusal of the stream of the results. `broken` says that its reader has gone."""

    def __init__(self, reason: str, *, broken: bool) -> None:
        super().__init__(reason)
        self.broken = broken


@dataclasses.dataclass(frozen=True)
class Coloured:
    """Part of a line with a colour, which says nothing that the text does not say too."""

    text: str
    colour: Colour = ""

    def shown(self, colourful: bool) -> str:
        """Return the text, escaped, in its colour."""
        text = escaped(self.text)
        return f"\x1b[{CODES[self.colour]}m{text}\x1b[0m" if colourful and self.colour and text.strip() else text


class ForgivingStream(io.TextIOBase):
    """Stream that goes on without what cannot be written: no progress line is worth a run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute there, which no subclass can set
        """Encoding of the stream below."""
        return self._stream.encoding or "utf-8"

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Return whether a person reads the stream."""
        with contextlib.suppress(OSError, ValueError):
            return self._stream.isatty()
        return False

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def open_streams() -> None:
    """Write UTF-8, and put something in the place of a stdout or stderr that the caller has closed.

    A file opened later would get the number of a closed stream, and then what is printed.
    """
    if sys.stdout is None:
        sys.stdout = _stand_in(
            1, os.O_RDONLY
        )  # each write to it is refused, so that the results do not vanish unnoticed
    if sys.stderr is None:
        sys.stderr = _stand_in(2, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if not isinstance(sys.stderr, ForgivingStream):
        sys.stderr = cast("TextIO", ForgivingStream(sys.stderr))


def give_up_stdout() -> None:
    """Drop what stdout still holds: Python would complain once more when it flushes at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_exactly(blocks: Iterable[str]) -> None:
    """Print results on stdout, to the letter; on a terminal with what it would obey escaped. Raises OutputError.

    Each block of whole lines is printed as soon as it is there.
    """
    clean = escaped_in_json if sys.stdout.isatty() else str
    for block in blocks:
        if is_main():
            _write(clean(block))


def tell(lines: Iterable[str], *, wrap: bool = True) -> None:
    """Print lines that a person reads on stdout. Raises OutputError."""
    for line in lines:
        if is_main():
            _write((wrapped(line) if wrap else escaped(line)) + "\n")


def tell_coloured(lines: Iterable[Sequence[Coloured]]) -> None:
    """Print lines in parts, each in its colour where stdout shows colours. Raises OutputError."""
    colourful = shows_colours()
    for line in lines:
        if is_main():
            _write("".join(part.shown(colourful) for part in line).rstrip() + "\n")


def shows_colours() -> bool:
    """Return whether stdout is a terminal with colours, and nobody has set NO_COLOR."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def remark(line: str, *, wrap: bool = True) -> None:
    """Print a line that a person reads on stderr. A stderr that is closed or full is no fault."""
    if is_main():
        print(wrapped(line) if wrap else escaped(line), file=sys.stderr, flush=True)


def complain(lines: Iterable[str]) -> None:
    """Print sentences on stderr, whichever process this is. Only a terminal gets them broken into lines."""
    for line in lines:
        print(wrapped(line) if sys.stderr.isatty() else escaped(line), file=sys.stderr, flush=True)


def hush(wanted: bool) -> bool:
    """Print no warning of a library, if it is `wanted`."""
    if wanted:
        warnings.showwarning = lambda *_, **__: None
        logging.disable(logging.WARNING)
    return wanted


def escaped(text: str) -> str:
    """Return a text in which a terminal finds nothing to obey: `\\x1b` for an escape, `\\u202e` for a reversal."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(repr(character)[1:-1] if _is_hidden(character) else character for character in text)


def escaped_in_json(text: str) -> str:
    """Return `escaped` in the form that JSON reads back. Line ends and tabs stay, since CSV quotes them."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        json_escape(character) if character not in "\n\t" and _is_hidden(character) else character for character in text
    )


def json_escape(character: str) -> str:
    """Return `\\u001b` for an escape; a character above U+FFFF takes two of these."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))


def columns(text: str) -> int:
    """Return the number of columns that a text takes: two for a Chinese or Japanese character, none for an accent."""
    if text.isascii():
        return len(text)
    return sum(2 if _is_wide(character) else unicodedata.category(character) not in NARROW for character in text)


def padded(text: str, width: int) -> str:
    """Return a text with blanks up to `width` columns."""
    return text + " " * (width - columns(text))


def wrapped(line: str) -> str:
    """Escape a line and break it at spaces into lines of at most `WIDTH` columns. A longer word, such as a path, stays whole."""
    line = " ".join(map(shortened, escaped(line).split(" ")))
    if columns(line) <= WIDTH:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return "\n".join(filled(line, WIDTH, indent=indent))


def filled(text: str, width: int, *, indent: str = "", cut: bool = False) -> Iterator[str]:
    """Yield the lines of a text, broken at spaces and between wide characters. `cut` breaks longer words too."""
    if columns(text) == len(text):
        yield from textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=cut, break_on_hyphens=cut)
        return
    line = ""
    for word in _words(text, width - columns(indent), cut=cut):
        joined = line + word
        if line.strip() and columns(joined.rstrip()) > width:
            yield line.rstrip()
            joined = indent + word.lstrip()
        line = joined
    if line.strip():
        yield line.rstrip()


def shortened(word: str) -> str:
    """Return a word that is too long to be read as its first characters and its length."""
    if columns(word) <= LONGEST_WORD or any(map(_is_wide, word)):  # wide characters are a sentence, broken into lines
        return word
    return f"{word[:60]}… ({len(word):,} characters)"


def _words(text: str, width: int, *, cut: bool) -> Iterator[str]:
    """Yield words with the blank before them. Long words in wide characters come in parts of half a line."""
    word, taken = "", 0
    for character in text:
        limit = width // 2 if _is_wide(character) else width if cut else len(text)
        if word and (character == " " or taken + columns(character) > limit):
            yield word
            word, taken = "", 0
        word, taken = word + character, taken + columns(character)
    if word:
        yield word


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in WIDE


def _is_hidden(character: str) -> bool:
    if unicodedata.category(character) not in HIDDEN:
        return False
    return character not in JOINERS and ord(character) not in TAGS


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        raise OutputError(
            "it is closed" if error.errno == errno.EBADF else error.strerror or str(error),
            broken=isinstance(error, BrokenPipeError),
        ) from None


def _stand_in(number: int, mode: int) -> TextIO:
    opened = os.open(os.devnull, mode)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    return open(number, "w", encoding="utf-8", closefd=False)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lay out a table in aligned columns. A first cell that is too long takes several lines."""
    clean = [[shortened(escaped(cell)) for cell in row] for row in [header, *rows]]
    widths = [max(columns(row[place]) for row in clean) for place in range(len(header))]
    widths[0] = max(10, min(widths[0], WIDTH - sum(width + 2 for width in widths[1:])))
    for row in [clean[0], ["-" * width for width in widths], *clean[1:]]:
        *above, last = [*filled(row[0], widths[0], cut=True)] or [""]
        yield from above
        yield "  ".join(padded(cell, width) for cell, width in zip([last, *row[1:]], widths, strict=True)).rstrip()
