"""Text as words and the gaps between them, in scripts with and without spaces."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nlptl.inference.segmenting import japanese_words

if TYPE_CHECKING:
    from nlptl.inference.segmenter import WordCutter

_HAN = "\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_VOICED = "\u3099\u309a"  # marks that follow kana of both kinds
_HIRAGANA = "\u3041-\u3096\u309d-\u309f"
_KATAKANA = "\u30a1-\u30ff\u31f0-\u31ff\uff65-\uff9f"
_VARIANT = "\ufe00-\ufe0f\U000e0100-\U000e01ef"  # selects a glyph of the character before it
_UNSPACED = f"{_HAN}{_HIRAGANA}{_KATAKANA}{_VOICED}"
_OPEN, _CLOSE = "「『（〈《【｢", "、。，．！？：；」』）〉》】…｡､｣"
_LINK = r"(?:https?://|www\.)[!-~]+"
# Runs of one script stand for the words of Japanese, two characters for those of Chinese: most are that long.
_RUN = f"(?:[{_HAN}][{_VARIANT}]?){{1,2}}|[{_HIRAGANA}{_VOICED}]+|[{_KATAKANA}{_VOICED}]+"
_WORD = re.compile(rf"{_LINK}|[{_OPEN}]*(?:{_RUN})[{_CLOSE}]*|(?:(?!https?://|www\.)[^\s{_UNSPACED}])+|\S")
_BETWEEN = re.compile(rf"{_LINK}|[{_OPEN}]+|[{_CLOSE}]+|[^\s{_OPEN}{_CLOSE}]+")
_PROTECTED = re.compile(rf"{_LINK}|[@#\d]|://")
_UNSPACED_TEXT = re.compile(f"[{_UNSPACED}{_VARIANT}]+")


@dataclasses.dataclass
class SplitText:
    """text = gaps[0] + words[0] + gaps[1] + ... + words[-1] + gaps[-1], edited in place."""

    words: list[str]
    gaps: list[str]  # one gap more than words; empty between scripts without spaces

    @classmethod
    def of(cls, text: str, cutter: WordCutter | None = None) -> SplitText:
        """Split a text. Punctuation belongs to its word.

        Japanese and Chinese are split where the script changes, or as `cutter` tells their words.
        """
        words, gaps, end = [], [], 0
        for begin, word in placed_words(text, cutter):
            words.append(word)
            gaps.append(text[end:begin])
            end = begin + len(word)
        return cls(words, [*gaps, text[end:]])

    def __str__(self) -> str:
        return "".join(gap + word for gap, word in zip(self.gaps, [*self.words, ""], strict=True))

    def remove(self, place: int) -> None:
        """Remove a word and the gap before it, or after the first word."""
        del self.words[place]
        del self.gaps[place if place else 1]

    def insert(self, place: int, word: str) -> None:
        """Insert a word at `place`, with a gap like those of its neighbours."""
        inner = self.gaps[1:-1]
        gap = "" if inner and not any(inner) else " "
        self.words.insert(place, word)
        if place < len(self.words) - 1:
            self.gaps.insert(place + 1, gap)
        else:
            self.gaps.insert(place, gap if place else "")


def placed_words(text: str, segmenter: WordCutter | None = None) -> Iterator[tuple[int, str]]:
    """Yield each word of a text, and where it begins. A segmenter tells the words of Japanese.

    Words that one character stands for, as ㍿ does, are one.
    """
    if segmenter is None:
        yield from ((found.start(), found.group()) for found in _WORD.finditer(text))
        return
    open_word = (0, 0)
    for begin, end in _segmented(text, segmenter):
        is_apart = begin >= open_word[1] and not _belong_together(text[slice(*open_word)], text[begin:end])
        if is_apart or begin > open_word[1]:
            yield from _written(text, open_word)
            open_word = (begin, begin)
        open_word = (open_word[0], end)
    yield from _written(text, open_word)


def _segmented(text: str, segmenter: WordCutter) -> Iterator[tuple[int, int]]:
    """Yield the places of Japanese words, and of words and punctuation between them."""
    begin = 0
    for first, end in [*(span for _, span in japanese_words(text, segmenter)), (len(text), len(text))]:
        yield from ((begin + found.start(), begin + found.end()) for found in _BETWEEN.finditer(text[begin:first]))
        if text[first:end].strip():  # SudachiPy takes blanks for words
            yield first, end
        begin = end


def _belong_together(word: str, following: str) -> bool:
    return following[:1] in _CLOSE or word[-1:] in _OPEN  # also an empty one


def _written(text: str, span: tuple[int, int]) -> Iterator[tuple[int, str]]:
    begin, end = span
    if begin < end:
        yield begin, text[begin:end]


def is_protected(word: str) -> bool:
    """Tell whether a word must keep its spelling: a mention, hashtag, link or number."""
    return _PROTECTED.search(word) is not None


def core(word: str) -> tuple[int, int]:
    """Return begin and end of a word without punctuation; equal if nothing is left."""
    letters = [place for place, character in enumerate(word) if character.isalnum()]
    if not letters:
        return 0, 0
    end = letters[-1] + 1
    while end < len(word) and is_mark(word[end]):
        end += 1
    return letters[0], end


def is_mark(character: str) -> bool:
    """Tell whether a character modifies the one before it, such as a combining mark."""
    return unicodedata.category(character).startswith("M")


def is_letters(text: str) -> bool:
    """Tell whether a text is made of letters and their marks."""
    return text[:1].isalpha() and all(character.isalpha() or is_mark(character) for character in text)


def is_unspaced(text: str) -> bool:
    """Tell whether a text is made of kanji, kana or hanzi alone."""
    return _UNSPACED_TEXT.fullmatch(text) is not None
