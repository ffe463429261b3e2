"""SudachiPy: whether it works here, its dictionaries, and its words, for which a long text is read in pieces."""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sudachipy import Dictionary, Morpheme, Tokenizer

MAX_PIECE = 1_000  # characters that are cut together; SudachiPy takes some 48 KB, also after it has cleaned a text
DICTIONARY = "Dictionary"  # class of SudachiPy
MAX_REASON = 100  # characters of what a package says of itself
_ENDS = "。！？!?｡\n"
_LOADING = threading.Lock()


def morphemes(text: str, dictionary: str, mode: str, *, most: int = MAX_PIECE) -> Iterator[tuple[int, Morpheme]]:
    """Yield the words of a text, each with the place at which its piece begins.

    `most` is the number of characters of a piece. A piece with half of a surrogate pair has none: tokenizers refuse it too.
    """
    tokenizer, place = _tokenizer_of_thread(dictionary, mode), 0
    while place < len(text):
        end, is_blind = _end_of_piece(text, place, most)
        try:
            found = [*tokenizer.tokenize(text[place:end])]
        except UnicodeEncodeError:
            found = []
        if (
            is_blind and len(found) > 1 and found[-1].begin() > 0
        ):  # the last word may go on, so the next piece begins with it
            end = place + found.pop().begin()
        for morpheme in found:
            yield place, morpheme
        place = end


def fault(dictionary: str) -> str:
    """Return a sentence on a SudachiPy or a dictionary that is installed and does not work; empty where both work."""
    try:
        getattr(importlib.import_module("sudachipy"), DICTIONARY)
    except Exception as error:  # whatever a broken package raises
        return broken("SudachiPy", "imported", error, "pip install --force-reinstall SudachiPy")
    try:
        _dictionary(dictionary)
    except Exception as error:
        remedy = f"pip install --force-reinstall sudachidict-{dictionary}"
        return broken(f"the dictionary {dictionary} of SudachiPy", "opened", error, remedy)
    return ""


def broken(what: str, done: str, error: Exception, command: str) -> str:
    """Return the sentence on what is installed and does not work."""
    reason = " ".join((str(error).strip() or type(error).__name__).splitlines()[0].split())[:MAX_REASON].rstrip(" .")
    return f"found {what}, which cannot be {done} ({reason}); expected one that works. Run {command}."


def _end_of_piece(text: str, begin: int, most: int) -> tuple[int, bool]:
    """Return where a piece ends, and whether no sentence ends there: it does where one ends among so many characters."""
    if len(text) - begin <= most:
        return len(text), False
    last = max(text.rfind(mark, begin, begin + most) for mark in _ENDS)
    return (begin + most, True) if last < begin else (last + 1, False)


def _tokenizer_of_thread(dictionary: str, mode: str) -> Tokenizer:
    """Return this thread's own tokenizer: one takes one text at a time."""
    known = _OF_THREAD.tokenizers
    if (dictionary, mode) not in known:
        opened = _dictionary(dictionary)
        make = getattr(opened, "tokenizer", None) or opened.create  # before 0.7
        known[dictionary, mode] = make(mode=mode)
    return known[dictionary, mode]


class _OfThread(threading.local):
    """Tokenizers of one thread, by dictionary and mode."""

    def __init__(self) -> None:
        self.tokenizers: dict[tuple[str, str], Tokenizer] = {}


_OF_THREAD = _OfThread()


def _dictionary(name: str) -> Dictionary:
    with _LOADING:
        return _opened(name)


@functools.cache
def _opened(name: str) -> Dictionary:
    from sudachipy import Dictionary

    return Dictionary(dict=name)
