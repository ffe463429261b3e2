"""Typos on a QWERTY keyboard; mentions, hashtags, links and words with digits do not change."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from nlptl.finetuning.augmentation.word_edits import count_of
from nlptl.models.words import is_mark, is_protected, placed_words

_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))  # letters and how far the row is shifted, in keys
_PLACES = {letter: (row, shift + i) for row, (keys, shift) in enumerate(_ROWS) for i, letter in enumerate(keys)}
KEYBOARD = {
    letter: "".join(other for other in sorted(_PLACES) if 0 < math.dist(place, _PLACES[other]) < 1.3)
    for letter, place in _PLACES.items()
}  # neighbouring keys of each letter
MIN_LETTERS_TO_DROP = 3  # of a word that may lose one


def mistype(text: str, generator: np.random.Generator, *, share: float) -> str:
    """Mistype a `share` of the letters a to z, at least one: a neighbouring key, swapped, dropped or doubled."""
    letters = dict(_letters(text))
    if not letters:
        return text
    chosen = generator.random(len(letters)) < share
    if not chosen.any():
        chosen[generator.choice(len(letters), size=count_of(share, len(letters)), replace=False)] = True
    pieces, done = list(text), -1
    for place in np.array(list(letters))[chosen].tolist():
        if place > done:
            done = _mistype_one(pieces, place, letters, generator)
    return "".join(pieces)


def _letters(text: str) -> Iterator[tuple[int, int]]:
    """Yield the place of each letter to mistype, and the number of such letters in its word."""
    for begin, word in placed_words(text):
        places = [
            begin + i
            for i, letter in enumerate(word)
            if letter.lower() in _PLACES and letter.isascii() and not (i + 1 < len(word) and is_mark(word[i + 1]))
        ]
        yield from ((place, len(places)) for place in places if not is_protected(word))


def _mistype_one(pieces: list[str], place: int, letters: dict[int, int], generator: np.random.Generator) -> int:
    """Mistype one letter; return the last place that is done."""
    letter = pieces[place]
    possible = ["neighbour", "double"]
    if place + 1 in letters and pieces[place + 1] != letter:
        possible.append("exchange")
    if letters[place] >= MIN_LETTERS_TO_DROP:
        possible.append("drop")
    fault = possible[int(generator.integers(len(possible)))]
    if fault == "exchange":
        pieces[place], pieces[place + 1] = pieces[place + 1], letter
        return place + 1
    if fault == "neighbour":
        keys = KEYBOARD[letter.lower()]
        key = keys[int(generator.integers(len(keys)))]
        pieces[place] = key.upper() if letter.isupper() else key
    else:
        pieces[place] = letter * 2 if fault == "double" else ""
    return place
