"""Rows of invented exports, in three languages."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

Row = Sequence[object]

_ENGLISH = ("My {} arrived {} and I want my money back.", "The {} that I ordered {}, please call me.")
_ENGLISH_PARTS = (("parcel", "phone", "lamp", "chair", "book"), ("broken", "late", "without its cable", "twice"))
_GERMAN = (
    "Mein {} kam {} an, ich möchte mein Geld zurück.",
    "Der {}, den ich bestellt habe, ist {}; bitte rufen Sie an.",
)
_GERMAN_PARTS = (("Stuhl", "Schrank", "Fernseher", "Föhn", "Rucksack"), ("zu spät", "kaputt", "ohne Kabel", "doppelt"))
_JAPANESE = ("注文した{}が{}ので、返金してください。", "先週届いた{}は{}ようですが、どうすればよいですか。")
_JAPANESE_PARTS = (("荷物", "電話", "椅子", "本", "時計"), ("壊れていた", "遅れて届いた", "二つ届いた", "動かない"))


def english() -> list[str]:
    """Return 40 different English texts."""
    return _filled(_ENGLISH, _ENGLISH_PARTS)


def german() -> list[str]:
    """Return 40 different German texts."""
    return _filled(_GERMAN, _GERMAN_PARTS)


def japanese() -> list[str]:
    """Return 40 different Japanese texts."""
    return _filled(_JAPANESE, _JAPANESE_PARTS)


def cycled(*values: object, count: int = 40) -> list[object]:
    """Return `count` values, one after the other and from the beginning again."""
    return [*itertools.islice(itertools.cycle(values), count)]


def rows(*columns: Sequence[object]) -> list[Row]:
    """Return columns as rows."""
    return [*zip(*columns, strict=True)]


def _filled(forms: Sequence[str], parts: Sequence[Sequence[str]]) -> list[str]:
    return [form.format(*filled) for form in forms for filled in itertools.product(*parts)]
