"""How a text file is written: packing, encoding and line ends, found by one pass over the file."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nlptl.data.compressed_files import Packing, check_is_text, packing_of, read_bytes
from nlptl.data.limits import MAX_TEXT_LENGTH, max_line_length
from nlptl.errors import DataError

_MARKS = {  # byte-order marks; that of UTF-32 begins with that of UTF-16
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\x00\x00\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
    b"\xef\xbb\xbf": "utf-8",
}
_JAPANESE = ("cp932", "euc_jp")
_MIN_HIRAGANA = 0.15  # of the characters beyond ASCII in a Japanese text; other bytes read so hardly give any
_JAPANESE_PAIR = re.compile(rb"[\x81-\x9f][\x40-\x7e\x80-\xfc]")  # kana and frequent kanji of cp932
_WESTERN = "cp1252"  # Windows' code page of western Europe; it contains the letters of Latin-1
_MAX_WESTERN_RATIO = 0.5  # of letters beyond ASCII to ASCII letters; in other scripts nearly all are beyond
_MIN_HIGH_NULS = 0.9  # of the two high bytes of a UTF-32 file's characters
_MIN_NUL_RATIO = 0.02  # of NULs at one parity of a UTF-16 file's bytes; other files have none, or at both


ENCODING_NAMES = {
    "cp1252": "Windows-1252", "cp932": "Shift-JIS", "euc_jp": "EUC-JP", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16",
    "utf-32-le": "UTF-32", "utf-32-be": "UTF-32",
}  # fmt: skip
"""What people call the encodings that are found."""


@dataclass(frozen=True)
class TextFormat:
    """Format of a text file."""

    encoding: str = "utf-8"
    mark: int = 0  # bytes of the byte-order mark
    packing: Packing | None = None
    line_end: str = "\n"  # "\r" where no line ends otherwise
    has_quotes: bool = True  # whether the character " occurs
    max_line: int = max_line_length(MAX_TEXT_LENGTH)  # in characters


@dataclass(frozen=True)
class Survey:
    """What one pass over a text file has found."""

    format: TextFormat
    remarks: tuple[str, ...]  # what is not the plain default
    lone_return: int = 0  # line that holds a CR although lines end in LF; 0 if there is none


def survey(path: Path, *, encoding: str | None = None, max_text_length: int = MAX_TEXT_LENGTH) -> Survey:
    """Read `path` once, and return how it is written. `encoding` is taken as given. Raises DataError for bytes that do not fit."""
    packing, is_hidden = packing_of(path)
    check_is_text(path, packing)
    remarks = [f"it is unpacked as {packing}, since its first bytes say so"] if is_hidden else []
    head = next(read_bytes(path, packing, size=4096), b"")
    marked = next(((name, len(mark)) for mark, name in _MARKS.items() if head.startswith(mark)), None)
    if marked is not None and (encoding is None or encoding.startswith(marked[0][:5])):
        found, mark = marked
    else:
        found, mark = encoding or _wide_encoding(head) or "utf-8", 0
    form = TextFormat(found, mark, packing)
    try:
        facts = _facts(path, form)
    except _NotDecodedError as error:
        if encoding is None and found == "utf-8" and b"\0" in head:
            raise DataError(
                f"{path}: the file is not text, since it holds NUL bytes and is not UTF-8. Give a file of texts, or set "
                "`encoding:` to its encoding."
            ) from None
        if encoding is not None or found != "utf-8" or mark or error.likely is None:
            raise error.told(path, is_guess=encoding is None) from None
        name = ENCODING_NAMES[error.likely]
        remarks.append(
            f"it is read as {name}, since line {error.line} is not UTF-8. Set `encoding:` to read it otherwise"
        )
        form = TextFormat(error.likely, 0, packing)
        try:
            facts = _facts(path, form)
        except _NotDecodedError:
            raise error.told(path, is_guess=True) from None
    if form.encoding.startswith(("utf-16", "utf-32")) and encoding is None:
        remarks.append(f"it is read as {form.encoding[:6].upper()}")
    has_line_feeds = facts.line_feeds > 0
    if facts.has_returns and not has_line_feeds:
        remarks.append("its lines end in CR, as on an old Macintosh")
    remarks += facts.remarks()
    line_end = "\r" if facts.has_returns and not has_line_feeds else "\n"
    form = replace(form, line_end=line_end, has_quotes=facts.has_quotes, max_line=max_line_length(max_text_length))
    return Survey(form, tuple(remarks), facts.lone_return if has_line_feeds else 0)


def decoded(path: Path, form: TextFormat) -> Iterator[str]:
    """Yield the content of a text file as it was decoded, without byte-order mark. Raises DataError."""
    try:
        for text in _decoded(path, form):
            yield text.replace("\r", "\n") if form.line_end == "\r" else text
    except _NotDecodedError as error:
        raise error.told(path, is_guess=False) from None


@dataclass
class _Facts:
    line_feeds: int = 0
    has_returns: bool = False
    has_quotes: bool = False
    nul_line: int = 0  # 0 if there is none
    mark_line: int = 0
    lone_return: int = 0

    def add(self, text: str, last: str) -> None:
        """Look at the next part of the text; `last` is the character before."""
        if not self.nul_line and "\0" in text:
            self.nul_line = self.line_feeds + text.count("\n", 0, text.index("\0")) + 1
        if not self.mark_line and "\ufeff" in text and (found := re.search("(?<=\n)\ufeff", last + text)):
            self.mark_line = self.line_feeds + text.count("\n", 0, found.start() - len(last)) + 1
        if not self.lone_return and "\r" in last + text and (found := re.search("\r(?!\n|$)", last + text)):
            self.lone_return = self.line_feeds + text.count("\n", 0, max(0, found.start() - len(last))) + 1
        self.has_quotes = self.has_quotes or '"' in text
        self.has_returns = self.has_returns or "\r" in text
        self.line_feeds += text.count("\n")

    def remarks(self) -> list[str]:
        told = []
        if self.nul_line:
            told.append(f"line {self.nul_line} holds a NUL character, which stays in the text")
        if self.mark_line:
            told.append(f"line {self.mark_line} begins with a byte-order mark, as where two files were joined")
        return told


def _facts(path: Path, form: TextFormat) -> _Facts:
    facts, last = _Facts(), ""
    for text in _decoded(path, form):
        facts.add(text, last)
        last = text[-1:]
    return facts


class _NotDecodedError(Exception):
    """Bytes that are not in the encoding."""

    def __init__(
        self, form: TextFormat, error: UnicodeDecodeError, *, line: int, offset: int, likely: str | None
    ) -> None:
        super().__init__(str(error))
        self.encoding, self.line = form.encoding, line + error.object.count(b"\n", 0, error.start)
        self.byte, self.offset = error.object[error.start], offset + error.start
        self.likely = likely  # encoding that it may have instead
        self.hint = ", such as cp932 for Japanese," if _looks_japanese(error.object) else ","

    def told(self, path: Path, *, is_guess: bool) -> DataError:
        """Return the error that a user reads."""
        at = f"{path}:{self.line}: byte 0x{self.byte:02x} at offset {self.offset}"
        if self.encoding == "utf-8" and is_guess:
            return DataError(
                f"{at} is not UTF-8. Save the file as UTF-8, set `encoding:` to its encoding{self.hint} or correct this line."
            )
        if self.encoding == "utf-8":
            return DataError(
                f"{at} is not UTF-8. Remove `encoding:`, set it to the file's encoding, or correct this line."
            )
        return DataError(
            f"{at} is not {self.encoding}. Correct or remove `encoding:`, or correct this line."
            if not is_guess
            else f"{at} is not {self.encoding.upper()}. Save the file as UTF-8, or set `encoding:` to its encoding."
        )


def _decoded(path: Path, form: TextFormat) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(form.encoding)()
    line, offset, was_ascii, skip = 1, 0, True, form.mark
    pending, recent = 0, b""  # bytes that the decoder keeps of the chunk before; that chunk
    for chunk in _with_end(read_bytes(path, form.packing)):
        source = chunk[skip:] if chunk is not None else b""
        offset, skip = offset + (skip if chunk is not None else 0), 0
        try:
            text = decoder.decode(source, chunk is None)
        except UnicodeDecodeError as error:
            likely = _likely_encoding(source or recent) if was_ascii else None
            raise _NotDecodedError(form, error, line=line, offset=offset - pending, likely=likely) from None
        was_ascii, recent = was_ascii and text.isascii(), source
        line, offset = line + text.count("\n"), offset + len(source)
        pending = len(decoder.getstate()[0])
        if text:
            yield text


def _with_end(chunks: Iterator[bytes]) -> Iterator[bytes | None]:
    yield from chunks
    yield None


def _likely_encoding(block: bytes) -> str | None:
    """Return the encoding of another time that bytes seem to have; None if none is likely."""
    for encoding in _JAPANESE:
        found = [letter for letter in block.decode(encoding, errors="ignore") if letter > "\x7f"]
        if sum("\u3041" <= letter <= "\u3096" for letter in found) >= _MIN_HIRAGANA * max(1, len(found)):
            return encoding
    return _WESTERN if _looks_western(block) else None


def _looks_japanese(block: bytes) -> bool:
    """Return whether bytes that are not UTF-8 may be Japanese as Windows writes it, although kana are too few to say so."""
    try:
        codecs.getincrementaldecoder("cp932")().decode(block)
    except UnicodeDecodeError:
        return False
    beyond = len(block.translate(None, bytes(range(128))))
    return 2 * len(_JAPANESE_PAIR.findall(block)) >= beyond


def _looks_western(block: bytes) -> bool:
    """Return whether bytes that are not UTF-8 seem to be Latin letters with some accents and typographic quotes."""
    beyond = len(block.translate(None, bytes(range(128))))
    valid = block.decode("utf-8", errors="ignore").encode()
    in_utf8 = len(valid.translate(None, bytes(range(128))))
    letters = len(re.findall(rb"[A-Za-z]", block))
    return in_utf8 * 10 <= beyond - in_utf8 and beyond <= _MAX_WESTERN_RATIO * letters


def _wide_encoding(head: bytes) -> str | None:
    """Return UTF-16 or UTF-32, if the NULs among the first bytes say so, although there is no byte-order mark."""
    nuls = [head[at::4].count(0) / max(1, len(head) // 4) for at in range(4)]
    if nuls[0] == 0 and min(nuls[2:]) > _MIN_HIGH_NULS and _decodes(head, "utf-32-le"):
        return "utf-32-le"
    if nuls[3] == 0 and min(nuls[:2]) > _MIN_HIGH_NULS and _decodes(head, "utf-32-be"):
        return "utf-32-be"
    if nuls[0] == nuls[2] == 0 and nuls[1] + nuls[3] >= _MIN_NUL_RATIO:
        return "utf-16-le" if _decodes(head, "utf-16-le") and _ends_lines(head, low_byte=0) else None
    if nuls[1] == nuls[3] == 0 and nuls[0] + nuls[2] >= _MIN_NUL_RATIO:
        return "utf-16-be" if _decodes(head, "utf-16-be") and _ends_lines(head, low_byte=1) else None
    return None


def _ends_lines(head: bytes, *, low_byte: int) -> bool:
    """Return whether the first line feed is a whole UTF-16 character, and none stands right behind a CR, as in other encodings."""
    at = head.find(b"\n")
    other = head[at + 1 - 2 * low_byte : at + 2 - 2 * low_byte]
    return at >= 0 and at % 2 == low_byte and other == b"\0" and b"\r\n" not in head


def _decodes(head: bytes, encoding: str) -> bool:
    """Return whether the head is text in `encoding` that holds no NUL."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return "\0" not in text
