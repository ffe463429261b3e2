"""Words of a file of vectors: decoded, each once, and not run into their numbers.

Shapes: V words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError

COMPARED_WORDS = 10_000  # the first, by which a file is judged
MAX_LEFT_OUT = 0.01  # share of words that may be left out; of more, the file is refused
_NUMBER_BEHIND = re.compile(r".*\s[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.DOTALL)
_FRACTION = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?")
_EXPORT = "Fetch or export the file again"


def checked_words(path: Path, found: Sequence[bytes]) -> tuple[list[str], NDArray[np.int64], tuple[str, ...]]:
    """Return the words to take, their places in the file (V,), and sentences on words that were left out.

    A few words that are not UTF-8, are empty or stand a second time are left out: no text has them, or the first is
    meant. Raises DataError for many, and for words that are numbers or end in one.
    """
    if not found:
        raise DataError(f"{path}: holds no vectors; expected at least one. {_EXPORT}.")
    words = _unwrapped([_decoded(word) for word in found])
    _refuse_numbers(path, words[:COMPARED_WORDS])
    most = int(MAX_LEFT_OUT * len(words))
    taken: dict[str, int] = {}
    unread, empty, twice = [], [], []
    for place, word in enumerate(words):
        if word is None:
            unread.append(place)
        elif not word:
            empty.append(place)
        elif taken.setdefault(word, place) != place:
            twice.append(place)
    if len(unread) > most:
        raise DataError(
            f"{path}, vector {unread[0] + 1}: found the word {found[unread[0]]!r}; expected UTF-8. "
            "Remove the word or export the vectors again."
        )
    if len(empty) > most:
        raise DataError(f"{path}, vector {empty[0] + 1}: found no word before the numbers; expected one. {_EXPORT}.")
    if len(twice) > most:
        word = str(words[twice[0]])
        raise DataError(
            f"{path}: {word!r} is vector {taken[word] + 1} and again vector {twice[0] + 1}; every word must stand once. "
            "Remove one of them."
        )
    return list(taken), np.fromiter(taken.values(), np.int64, len(taken)), _notes(path, unread, empty, twice)


def _decoded(word: bytes) -> str | None:
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _unwrapped(words: list[str | None]) -> list[str | None]:
    """Remove quotes that stand around every word, and blanks of Unicode that stand around most."""
    if all(word is not None and len(word) > 1 and word[0] == word[-1] == '"' for word in words):
        words = [word and word[1:-1] for word in words]
    if 2 * sum(word is not None and word != word.strip() for word in words) > len(words):
        words = [word and word.strip() for word in words]
    return words


def _refuse_numbers(path: Path, words: Sequence[str | None]) -> None:
    """Refuse lines without words, and words that hold some of the numbers: no text would have one of them."""
    for pattern, fault in (
        (_FRACTION, "is a number; expected a word before the numbers of each line"),
        (_NUMBER_BEHIND, "ends in a number; expected as many numbers in each line as in the first"),
    ):
        places = [place for place, word in enumerate(words) if word is not None and pattern.fullmatch(word)]
        if 2 * len(places) >= len(words) and places:
            told = f"the word {words[places[0]]!r} {fault}"
            raise DataError(
                f"{path}, vector {places[0] + 1}: {told} ({len(places):,} of {len(words):,} are so). {_EXPORT}."
            )


def _notes(path: Path, unread: list[int], empty: list[int], twice: list[int]) -> tuple[str, ...]:
    reasons = ((unread, "not in UTF-8"), (empty, "without a character"), (twice, "that stood there before"))
    return tuple(
        f"{path}: {len(places):,} word{'s' if len(places) > 1 else ''} {reason} {'were' if len(places) > 1 else 'was'} left "
        f"out; the first is vector {places[0] + 1:,}."
        for places, reason in reasons
        if places
    )
