"""Edits of texts that a reader would hardly mind, or that turn what a text says; no model makes them.

They follow the behavioural tests of CheckList (Ribeiro et al. 2020): most must not change a label, negation may.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nlptl.finetuning.augmentation.typos import mistype
from nlptl.models.words import is_unspaced, placed_words

if TYPE_CHECKING:
    from nlptl.inference.segmenter import WordCutter

TYPO_SHARE = 0.05  # of the letters a to z
MIN_WORDS_TO_SHORTEN = 8
KEPT_SHARE = 0.6  # of the words of a shortened text, from its beginning
MIN_CHARACTERS_TO_SHORTEN = 24  # of a text without spaces

_NAMES = (
    "Aisha Alice Ahmed Anna Carlos Chen David Emily Emma Fatima George Hiroshi Ivan James Jamal Jane John Jose Juan Julia Kenji "
    "Laura Lakisha Li Maria Mark Mary Mehmet Michael Mohammed Nadia Olga Omar Paul Pedro Peter Priya Rachel Raj Robert Sarah "
    "Sofia Susan Thomas Tyrone Wei Yuki"
)
NAMES = tuple(_NAMES.split())
GROUPS = (
    "Christian Muslim Jewish Hindu Buddhist atheist",
    "Christians Muslims Jews Hindus Buddhists atheists",
    "American Brazilian Chinese French German Indian Japanese Mexican Nigerian Polish Russian Turkish",
    "Americans Brazilians Germans Indians Mexicans Nigerians Russians",
    "gay lesbian bisexual heterosexual",
)
GENDERS = (
    "he she", "him her", "himself herself", "man woman", "men women", "boy girl", "boys girls", "husband wife", "father mother",
    "dad mum", "son daughter", "brother sister", "uncle aunt", "king queen", "actor actress", "mr mrs", "sir madam", "guy lady",
)  # fmt: skip
_AUXILIARIES = "is are was were can could will would should must has have had does do did"
_TAKING_NOT = "is|are|was|were|could|will|would|should|must"

Change = Callable[[str, np.random.Generator], str]


@dataclass(frozen=True)
class Edit:
    """One way to change texts."""

    name: str
    what: str  # what it does, after "texts with"
    may_change_label: bool  # whether it turns what a text says, so that another label may be right
    change: Change  # returns the text as it is where there is nothing to change
    english: bool = False  # whether it knows English words alone


def _typos(text: str, generator: np.random.Generator) -> str:
    return mistype(text, generator, share=TYPO_SHARE)


def _lower(text: str, generator: np.random.Generator) -> str:
    return text.lower()


def _upper(text: str, generator: np.random.Generator) -> str:
    return text.upper()


def _without_punctuation(text: str, generator: np.random.Generator) -> str:
    return re.sub(r"[.,;:!?…\"()]+(?=\s|$)|[。、！？「」『』（）｡､｢｣]+", "", text)


def _shortened(text: str, generator: np.random.Generator, *, cutter: WordCutter | None = None) -> str:
    ends = [match.end() for match in re.finditer(r"\S+", text)]
    if cutter is not None:
        ends = [begin + len(word) for begin, word in placed_words(text, cutter)]
    if len(ends) >= MIN_WORDS_TO_SHORTEN:
        return text[: ends[round(KEPT_SHARE * len(ends)) - 1]]
    if len(ends) == 1 and len(text) >= MIN_CHARACTERS_TO_SHORTEN:
        return text[: round(KEPT_SHARE * len(text))]
    return text


def _numbers(text: str, generator: np.random.Generator) -> str:
    """Replace the digits of each number by others; years and the like stay as long as they are."""

    def other(match: re.Match[str]) -> str:
        number = match.group()
        if number[0] in "@#" or not _stands_alone(text, match.span()):
            return number
        zeros = [ord("０" if digit >= "０" else "0") for digit in number]
        first = int(generator.integers(0 if number[0] in "0０" else 1, 10))
        values = [first, *(int(generator.integers(10)) for _ in number[1:])]
        return "".join(chr(zero + value) for zero, value in zip(zeros, values, strict=True))

    return re.sub(r"[@#]\w+|[0-9０-９]+", other, text)


def _stands_alone(text: str, span: tuple[int, int]) -> bool:
    """Tell whether a number is no part of a word, mention, hashtag or link; kanji and kana may touch it."""
    before, after = text[: span[0]][-1:], text[span[1] :][:1]
    return all(
        is_unspaced(near) or not (near.isalnum() or near in marks)
        for near, marks in ((before, "_@#/"), (after, "_@/"))
        if near
    )


def _names(text: str, generator: np.random.Generator) -> str:
    """Replace first names, the same by the same."""
    chosen: dict[str, str] = {}

    def other(match: re.Match[str]) -> str:
        name = match.group()
        if name not in chosen:
            others = [one for one in NAMES if one != name]
            chosen[name] = others[int(generator.integers(len(others)))]
        return chosen[name]

    return re.sub(rf"\b(?:{'|'.join(NAMES)})\b", other, text)


def _identities(text: str, generator: np.random.Generator) -> str:
    """Replace words for a religion, a nation, an orientation or a gender by others of their kind."""
    drawn: dict[str, str] = {}

    def other(match: re.Match[str]) -> str:
        word = match.group()
        key = word.casefold()
        if key not in drawn:
            if key == "his":
                drawn[key] = "her"
            elif key == "her":  # whose or whom is told by what follows
                drawn[key] = "his" if re.match(r"\s+[a-z]", text[match.end() :]) else "him"
            else:
                others = [one for one in _KINDS[key] if one.casefold() != key]
                drawn[key] = others[int(generator.integers(len(others)))]
        return _in_case_of(word, drawn[key])

    return _IDENTITY.sub(other, text)


def _in_case_of(word: str, other: str) -> str:
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other[0].upper() + other[1:] if word[0].isupper() else other


def _negated(text: str, generator: np.random.Generator) -> str:
    """Turn the first statement with an auxiliary verb: "is not" to "is", "is" to "is not"."""
    for pattern, put in (
        (r"\bcan(?:'|’)t\b|\bcannot\b", "can"),
        (r"\bwon(?:'|’)t\b", "will"),
        (rf"\b({_AUXILIARIES.replace(' ', '|')})n(?:'|’)t\b", r"\1"),
        (rf"\b({_AUXILIARIES.replace(' ', '|')}) not\b", r"\1"),
        (rf"\b({_TAKING_NOT})\b", r"\1 not"),
    ):
        found, count = re.subn(pattern, put, text, count=1, flags=re.IGNORECASE)
        if count:
            return found
    return text


def _kinds() -> Mapping[str, tuple[str, ...]]:
    groups = [tuple(group.split()) for group in (*GROUPS, *GENDERS)]
    return {word.casefold(): group for group in groups for word in group}


_KINDS = _kinds()
_IDENTITY = re.compile(rf"\b(?:his|{'|'.join(sorted(_KINDS, key=len, reverse=True))})\b", re.IGNORECASE)

EDITS = (
    Edit("typos", "one letter in twenty mistyped", False, _typos),
    Edit("lower case", "all letters small", False, _lower),
    Edit("upper case", "all letters capital", False, _upper),
    Edit("punctuation", "the marks at the ends of words left out", False, _without_punctuation),
    Edit("shortening", "the first six tenths of their words alone", False, _shortened),
    Edit("names", "other first names", False, _names, english=True),
    Edit("numbers", "other digits in their numbers", False, _numbers),
    Edit("identity terms", "another religion, nation, orientation or gender", False, _identities, english=True),
    Edit("negation", "a statement negated, or its negation removed", True, _negated, english=True),
)


def edits_by(cutter: WordCutter | None) -> tuple[Edit, ...]:
    """Return the edits; where a cutter tells the words of Japanese, none of these is cut through."""
    if cutter is None:
        return EDITS
    shortened = functools.partial(_shortened, cutter=cutter)
    return tuple(replace(one, change=shortened) if one.change is _shortened else one for one in EDITS)
