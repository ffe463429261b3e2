"""Terms of one text, each with the place of every occurrence.

Shapes: P occurrences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]  # first character, and the one after the last


@dataclass(frozen=True)
class PlacedTerms:
    """Occurrences of the terms of a text. A pair of words is two of them, one for each word."""

    terms: NDArray[np.int64]  # (P,) numbers of the terms
    spans: NDArray[np.int64]  # (P, 2) first character of each, and the one after its last
    shares: NDArray[np.float64]  # (P,) of its term; those of each term sum to 1

    @classmethod
    def of(cls, terms: Sequence[int], spans: Sequence[Span], parts: Sequence[int] | None = None) -> PlacedTerms:
        """Share each term equally among its occurrences, each of which may be one of several equal `parts`."""
        numbers = np.array(terms, np.int64)
        weights = 1 / np.array(parts if parts is not None else [1] * len(terms), np.float64)
        _, places = np.unique(numbers, return_inverse=True)
        total = np.bincount(places, weights=weights)[places] if len(numbers) else weights
        return cls(numbers, np.array(spans, np.int64).reshape(-1, 2), weights / total)

    @classmethod
    def joined(cls, found: Sequence[PlacedTerms]) -> PlacedTerms:
        """Return the occurrences of all. No term is in two of them."""
        return cls(
            np.concatenate([one.terms for one in found]),
            np.concatenate([one.spans for one in found]),
            np.concatenate([one.shares for one in found]),
        )

    def moved(self, place: Callable[[Span], Span]) -> PlacedTerms:
        """Return the same occurrences, each at another place."""
        spans = [place((first, end)) for first, end in self.spans.tolist()]
        return replace(self, spans=np.array(spans, np.int64).reshape(-1, 2))


def placed_word_ngrams(
    text: str, pattern: str, lengths: tuple[int, int], numbers: Mapping[str, int], *, first: int
) -> PlacedTerms:
    """Return the known n-grams of the words that `pattern` finds in lower case, as scikit-learn's analyzer "word" counts them.

    `numbers` are those of the n-grams, counted from `first`.
    """
    lowered, places = _lowered(text)
    words = [(found.group(), found.span()) for found in re.finditer(pattern, lowered)]
    terms, spans, parts = list[int](), list[Span](), list[int]()
    for size in range(lengths[0], lengths[1] + 1):
        for begin in range(len(words) - size + 1):
            number = numbers.get(" ".join(word for word, _ in words[begin : begin + size]))
            if number is not None:
                terms += [first + number] * size
                spans += [places(span) for _, span in words[begin : begin + size]]
                parts += [size] * size
    return PlacedTerms.of(terms, spans, parts)


def placed_character_ngrams(
    text: str, lengths: tuple[int, int], numbers: Mapping[str, int], *, first: int
) -> PlacedTerms:
    """Return the known n-grams of characters inside words, as scikit-learn's analyzer "char_wb" counts them.

    `numbers` are those of the n-grams, counted from `first`. A blank at the edge of a word belongs to the character beside it.
    """
    lowered, places = _lowered(text)
    terms, spans = list[int](), list[Span]()
    for found in re.finditer(r"\S+", lowered):
        padded, begin = f" {found.group()} ", found.start() - 1
        for offset, size in _windows(len(padded), lengths):
            number = numbers.get(padded[offset : offset + size])
            if number is not None:
                terms.append(first + number)
                left = min(max(begin + offset, found.start()), found.end() - 1)
                right = max(min(begin + offset + size, found.end()), left + 1)
                spans.append(places((left, right)))
    return PlacedTerms.of(terms, spans)


def _windows(length: int, lengths: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield first place and size of each window in `length` characters. A shorter word is one window, of the least size."""
    for size in range(lengths[0], lengths[1] + 1):
        yield from ((offset, size) for offset in range(max(1, length - size + 1)))
        if length <= size:
            return


class _Places:
    """Places in a text of characters of its lower case, which may be longer: İ becomes two characters."""

    def __init__(self, text: str) -> None:
        self._of = [place for place, one in enumerate(text) for _ in one.lower()]

    def __call__(self, span: Span) -> Span:
        return self._of[span[0]], self._of[span[1] - 1] + 1


def _lowered(text: str) -> tuple[str, _Places]:
    """Return a text in lower case, and what finds its characters in the text."""
    return text.lower(), _Places(text)
