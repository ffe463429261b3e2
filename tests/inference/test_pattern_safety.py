"""Patterns of tokenizers: those of real ones are accepted, those on which a text may backtrack for ever are not."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tokenizers import Regex, normalizers

from nlptl.inference.pattern_safety import may_explode
from nlptl.pretraining.word2vec.tokenizer import TextSettings, untrained_tokenizer

REAL = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)",
    "possessive": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]",
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re)?|\p{N}{1,3}|\s+",
    "bloom": r" ?[^(\s|[.,!?…。，、।۔،])]+",
    "clip": r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    "deepseek": r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*",
    "chinese": r"[一-龥぀-ゟ゠-ヿ]+",
    "unigram": " {2,}",
    "thousands": r"\d{1,3}(?=(?:\d{3})*\b)",
    "words": r"\w+(?:[-']\w+)*|[^\w\s]+",
    "punctuation": r"[(+)]+|\(a+\)+|(?:a|b)+",
    "case": r"(?i)abc|de?",
}


@pytest.mark.parametrize("pattern", list(REAL.values()), ids=list(REAL))
def test_patterns_of_real_tokenizers(pattern: str) -> None:
    assert not may_explode(pattern)


def regexes(found: Any) -> Iterator[str]:
    """Yield the patterns of a tokenizer's file."""
    if isinstance(found, dict):
        yield from [found["Regex"]] if "Regex" in found else []
    for one in found.values() if isinstance(found, dict) else found if isinstance(found, list) else []:
        yield from regexes(one)


@pytest.mark.parametrize(
    ("preset", "unicode", "stop_words"), [*itertools.product(["plain", "tweets"], ["NFKC", "none"], [True, False])]
)
def test_patterns_of_word_vectors(preset: Any, unicode: Any, stop_words: bool) -> None:
    tokenizer = untrained_tokenizer(TextSettings(preset=preset, unicode=unicode, stop_words=stop_words))
    patterns = list(regexes(json.loads(tokenizer.to_str())))
    assert len(patterns) > 3
    assert not any(map(may_explode, patterns))


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$", "(a*)*", "(?:x+y)*+z|(?:a+)*", "(.*a){25}", "((a+))+", "(?:a|aa)+(?=q|z)", "(?:aa?)+b", "(?:a[ab]*)+q",
        "(?:a|a)+q", "(?:[ab]|a)+q", "(a?){50}b", "a?" * 40 + "a" * 40, "(?:a|aa)" * 40 + "b", "a{1,9}" * 30, "a*" * 9 + "b",
        "(?:b|(?:a|aa))+", "(?:'a|'aa)+q", "(?>a|aa)+x", "(?:(a)|b|ab)*q", "(?<x>a|aa)+q", "(?:^a|aa)+q", "(?:a.?)+",
        "(?:a[^b]*)+q", "(?:K\u212a?)+q", r"(\p{L})(?:\1\1?)+x", "(?:a{1,2}+)b", "a{1,2}+b", "a**", "(?:|a)+", "()+",
    ],
)  # fmt: skip
def test_patterns_that_backtrack_for_ever(pattern: str) -> None:
    assert may_explode(pattern)


@pytest.mark.parametrize(
    "pattern", [r"(a)\g<1>", "(?~a)", "(?x:a |aa)", "(?:(?i)A|aa)", "(*FAIL)", "[]a]", "[a", "(a", "a)", "\\",
                "((a{1000}){1000}){9}"],
)  # fmt: skip
def test_patterns_that_are_not_understood(pattern: str) -> None:
    assert may_explode(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["(" * 10_000, "(?:a" * 5000 + ")+" * 5000, "[" * 20_000, "a|" * 10_000, "(?:'a)*" * 2800, "x{" * 10_000, "\\" * 19_999,
     "(?:'" + "b" * 19_000 + ")+", "(?:'" + "[ab]" * 4900 + "c*)+", "a" * 20_001],
    ids=list(range(10)),
)  # fmt: skip
def test_a_pattern_is_judged_at_once(pattern: str) -> None:
    begin = time.monotonic()
    may_explode(pattern)
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize("pattern", [r"\p{L}+(?:['’]\p{L}+)*x", r"(?:\.\d+|-\w)+x", r"(?:a|b)+x", r"(?:\d{3})*x"])
def test_what_is_accepted_takes_no_time(pattern: str) -> None:
    assert not may_explode(pattern)
    replace = normalizers.Replace(Regex(pattern), "")
    begin = time.monotonic()
    for text in ("a'" * 500, "a" * 1000, ".11" * 300, "1" * 1000, "-a.1" * 250):
        assert replace.normalize_str(text) == text
    assert time.monotonic() - begin < 2
