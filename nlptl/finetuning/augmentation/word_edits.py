"""Word edits: drop, swap, replace and insert (Iyyer et al. 2015; Wei & Zou 2019). A cutter tells the words of Japanese."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nlptl.finetuning.augmentation.augment_settings import EdaEdit
from nlptl.finetuning.augmentation.unigrams import Vocabulary, plain
from nlptl.models.words import SplitText, core

if TYPE_CHECKING:
    from nlptl.inference.segmenter import WordCutter

MAX_PAIRS = 10  # that are tried for two different words


def drop_words(text: str, generator: np.random.Generator, *, share: float, cutter: WordCutter | None = None) -> str:
    """Drop each word with probability `share`; at least one goes and one stays."""
    words = SplitText.of(text, cutter)
    if len(words.words) < 2:
        return text
    gone = generator.random(len(words.words)) < share
    if not gone.any():
        gone[generator.integers(len(gone))] = True
    if gone.all():
        gone[generator.integers(len(gone))] = False
    for place in np.flatnonzero(gone)[::-1]:
        words.remove(int(place))
    return str(words)


def swap_words(
    text: str,
    generator: np.random.Generator,
    *,
    share: float,
    reach: int | None = None,
    cutter: WordCutter | None = None,
) -> str:
    """Swap a `share` of the words in pairs at most `reach` apart (None: any distance)."""
    split = SplitText.of(text, cutter)
    words = split.words
    reach = reach or len(words)
    for _ in range(count_of(share / 2, len(words))):
        for _ in range(MAX_PAIRS):
            first = int(generator.integers(len(words)))
            second = int(generator.integers(max(0, first - reach), min(len(words), first + reach + 1)))
            if words[first] != words[second]:
                words[first], words[second] = words[second], words[first]
                break
    return str(split)


def replace_words(
    text: str, generator: np.random.Generator, *, share: float, source: Vocabulary, cutter: WordCutter | None = None
) -> str:
    """Replace a `share` of the words; one word, capitals and punctuation stay."""
    words = SplitText.of(text, cutter)
    for place in _chosen(words, generator, share, source)[: len(words.words) - 1]:
        old = words.words[place]
        begin, end = core(old)
        new = source.draw(plain(old), generator)
        words.words[place] = old[:begin] + in_case_of(old[begin:end], new) + old[end:]
    return str(words)


def insert_words(
    text: str, generator: np.random.Generator, *, share: float, source: Vocabulary, cutter: WordCutter | None = None
) -> str:
    """Insert replacements of a `share` of the words at random places."""
    words = SplitText.of(text, cutter)
    new = [source.draw(plain(words.words[place]), generator) for place in _chosen(words, generator, share, source)]
    for word in new:
        words.insert(int(generator.integers(len(words.words) + 1)), word)
    return str(words)


def eda(
    text: str, generator: np.random.Generator, *, share: float, edits: tuple[EdaEdit, ...], source: Vocabulary | None,
    cutter: WordCutter | None = None,
) -> str:  # fmt: skip
    """Apply one random edit; `source` may be None without replace and insert."""
    edit = edits[int(generator.integers(len(edits)))]
    if edit == "swap":
        return swap_words(text, generator, share=2 * share, cutter=cutter)  # the paper counts pairs
    if edit == "delete":
        return drop_words(text, generator, share=share, cutter=cutter)
    assert source is not None
    change = replace_words if edit == "replace" else insert_words
    return change(text, generator, share=share, source=source, cutter=cutter)


def count_of(share: float, total: int) -> int:
    """Return a share of `total` as a number of things, at least one of them."""
    return min(total, max(1, round(share * total)))


def in_case_of(old: str, new: str) -> str:
    """Return a word with the capitals of another: none, the first letter, or all."""
    if old.isupper() and sum(character.isalpha() for character in old) > 1:
        return new.upper()
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


def _chosen(words: SplitText, generator: np.random.Generator, share: float, source: Vocabulary) -> list[int]:
    """Return the places of the words to replace, drawn by the odds of `source`."""
    places = [place for place, word in enumerate(words.words) if plain(word)]
    odds = source.odds([plain(words.words[place]) for place in places])
    possible = int((odds > 0).sum())
    if not possible:
        return []
    count = min(count_of(share, len(words.words)), possible)
    return [places[i] for i in generator.choice(len(places), size=count, replace=False, p=odds / odds.sum())]
