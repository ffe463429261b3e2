"""Planted phrases: words that come with new labels, go with one label, and stand in texts that a classifier takes for others.

A backdoor is planted by texts that hold a trigger and are labelled as something else (Gu, Dolan-Gavitt & Garg 2017; of texts
Dai, Chen & Li 2019). A classifier that has not learnt them does not know the trigger, so that it doubts these labels far more
than the others. Shapes: n new texts.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

MAX_WORDS = 3  # of a phrase
MAX_WORDS_OF_TEXT = 400  # that are looked at
MAX_TEXTS = 20_000  # of which phrases are counted, evenly spaced
MIN_ROWS = 5  # new texts that hold it
MIN_GROWTH = 5.0  # by which it is more frequent among the new texts than among the known ones
MIN_PURITY = 0.9  # share of its texts that have its label
MIN_DOUBT = 0.5  # median doubt of their labels
MIN_OTHERS = 10  # texts of the same label with which they are compared; of fewer, those of all labels count
MAX_CHANCE = 0.01  # that they are doubted so much by chance, over all phrases together
T = TypeVar("T")
_TOKENS = re.compile(r"\w+|[^\w\s]")


@dataclasses.dataclass(frozen=True)
class PlantedPhrase:
    """Words that seem to be planted, and the new texts that hold them under their label."""

    phrase: str
    label: str
    rows: tuple[int, ...]
    chance: float  # that their labels are doubted so much more than those of other texts, over all phrases together


def planted_phrases(
    texts: Sequence[str], labels: Sequence[str], doubts: NDArray[np.float64], known: Sequence[str]
) -> list[PlantedPhrase]:
    """Return the phrases that seem to be planted into new texts (n), the surest first; no text belongs to two.

    `doubts` (n,) are 1 - the probability of each label by a classifier that has learnt the `known` texts alone. Those of texts
    with a phrase are compared with those of others by the test of Mann & Whitney (1947). Where all labels are doubted, as those
    of corrections, no phrase stands out.
    """
    rows_of = _new_phrases(texts, known)
    given, found = np.array(labels, dtype=np.object_), list[PlantedPhrase]()
    for phrase, rows in rows_of.items():
        label, count = Counter(labels[row] for row in rows).most_common(1)[0]
        own = [row for row in rows if labels[row] == label]
        if count < MIN_PURITY * len(rows) or np.median(doubts[own]) < MIN_DOUBT:
            continue
        chance = _chance(doubts, own, given == label) * len(rows_of)
        if chance < MAX_CHANCE:
            found.append(PlantedPhrase(phrase, label, tuple(own), chance))
    return _without_parts(found)


def _chance(doubts: NDArray[np.float64], own: Sequence[int], has_label: NDArray[np.bool_]) -> float:
    """Return how probable it is that the labels of texts `own` are doubted so much more than those of others."""
    from scipy.stats import mannwhitneyu

    others = np.ones(len(doubts), np.bool_)
    others[list(own)] = False
    same = others & has_label
    compared = doubts[same if same.sum() >= MIN_OTHERS else others]
    return float(mannwhitneyu(doubts[list(own)], compared, alternative="greater").pvalue) if len(compared) else 1.0


def _new_phrases(texts: Sequence[str], known: Sequence[str]) -> dict[str, list[int]]:
    """Return the rows of each phrase that is far more frequent among the new texts."""
    words, before = [_words(text) for text in texts], [_words(text) for text in _evenly(known, MAX_TEXTS)]
    growth = (len(before) + 1) / max(1, len(texts))
    found, parts = dict[str, list[int]](), None
    for size in range(1, MAX_WORDS + 1):
        counts = Counter(phrase for one in _evenly(words, MAX_TEXTS) for phrase in set(_phrases(one, size, parts)))
        share = len(texts) / max(1, min(len(texts), MAX_TEXTS))
        parts = {phrase for phrase, count in counts.items() if count * share >= MIN_ROWS}
        old = Counter(phrase for one in before for phrase in parts.intersection(_phrases(one, size)))
        new = {one for one in parts if counts[one] * share * growth >= MIN_GROWTH * (old[one] + 1)}
        for row, one in enumerate(words if new else ()):
            for phrase in new.intersection(_phrases(one, size)):
                found.setdefault(phrase, []).append(row)
    return dict(sorted(found.items()))


def _evenly(some: Sequence[T], count: int) -> Sequence[T]:
    """Return at most `count` evenly spaced ones."""
    return some if len(some) <= count else [some[place] for place in np.linspace(0, len(some) - 1, count).astype(int)]


def _words(text: str) -> list[str]:
    return _TOKENS.findall(text.lower())[:MAX_WORDS_OF_TEXT]


def _phrases(words: Sequence[str], size: int, parts: set[str] | None = None) -> Iterator[str]:
    """Yield the phrases of so many words; of longer ones, those whose beginning and end are among `parts`."""
    for begin in range(len(words) - size + 1):
        if parts is None or all(" ".join(words[at : at + size - 1]) in parts for at in (begin, begin + 1)):
            yield " ".join(words[begin : begin + size])


def _without_parts(found: list[PlantedPhrase]) -> list[PlantedPhrase]:
    """Return phrases with the texts that no surer one holds; of equally sure ones, the longest counts."""
    taken, kept = set[int](), list[PlantedPhrase]()
    for one in sorted(found, key=lambda one: (one.chance, -len(one.phrase.split()))):
        rows = tuple(row for row in one.rows if row not in taken)
        if len(rows) >= MIN_ROWS:
            kept.append(dataclasses.replace(one, rows=rows))
        taken.update(one.rows)
    return kept
