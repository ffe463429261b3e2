"""Words of a text by place, and numbers of other parts of the text spread over them.

Shapes: P parts, W words, K labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.inference.sentences import BREAK
from nlptl.models.words import placed_words

if TYPE_CHECKING:
    from nlptl.inference.segmenter import WordCutter

Floats = NDArray[np.float64]
Span = tuple[int, int]  # first character, and the one after the last


def word_spans(text: str, segmenter: WordCutter | None = None) -> list[Span]:
    """Return the places of all words (W) in their order. Together they hold every character that is no blank.

    A line break of HTML is a word of its own. A segmenter tells the words of Japanese.
    """
    found, end = list[Span](), 0
    for mark in [*BREAK.finditer(text), re.search(r"\Z", text)]:
        assert mark is not None  # a text has an end
        part = text[end : mark.start()]
        found += [(end + place, end + place + len(word)) for place, word in placed_words(part, segmenter)]
        if mark.end() > mark.start():
            found.append(mark.span())
        end = mark.end()
    return found


def spread(spans: NDArray[np.int64], values: Floats, words: Sequence[Span]) -> Floats:
    """Return the sum (W, K) of the `values` (P, K) of parts at `spans` (P, 2), each shared by characters among its words.

    A part that touches no word goes to the nearest. Without any word nothing is returned, and the values must be zero.
    """
    found = np.zeros((len(words), values.shape[1]))
    if not len(words):
        return found
    begins, ends = np.array(words).T
    first = np.searchsorted(ends, spans[:, 0], side="right").clip(max=len(words) - 1)
    last = (np.searchsorted(begins, spans[:, 1], side="left") - 1).clip(min=first)
    alone = first == last
    np.add.at(found, first[alone], values[alone])
    for part in np.flatnonzero(~alone):
        among = slice(first[part], last[part] + 1)
        common = np.minimum(ends[among], spans[part, 1]) - np.maximum(begins[among], spans[part, 0])
        found[among] += np.outer(common / common.sum(), values[part])
    return found
