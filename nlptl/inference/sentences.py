"""Sentences of a long text, found by their punctuation and tokenised each as a segment of its own.

Boundaries matter little, since the sentences' vectors are averaged. A text without such punctuation (Thai) stays whole.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence

from tokenizers import Tokenizer

from nlptl.errors import ConfigError
from nlptl.inference.tokenizing import TokenRule, tokenize

MIN_SENTENCE_BYTES = 30  # in UTF-8; a shorter sentence joins the next one, the last one the one before
MIN_CUT_TOKENS = 4  # of the sentence at the end of a cut text: two and the special ones
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_CLOSING = "」』”’）｣〉》】)"
_NEXT = "\u3041-\u30ff\u4e00-\u9fff「『（【"  # with which a sentence of Japanese or Chinese begins
ENDS = re.compile(
    r"(?<=[.!?…؟۔।])[\"'”’»)\]]*\s+|\n"
    rf"|(?<=[。！？｡])(?![。！？!?｡{_CLOSING}])|(?<=[。！？｡])[{_CLOSING}]++(?![とっ、，])"
    rf"|(?<=[!?])(?=[{_NEXT}])|(?<=[!?])[{_CLOSING}]++(?=[{_NEXT}])(?![とっ])"
)
"""A sentence ends at a mark and a space, at a mark of a script without spaces, or at a line's end. What is quoted, also
quotes in quotes, and followed by と or って goes on."""


def sentences(text: str) -> list[str]:
    """Return the sentences of a text in order, at least one. Only line breaks and the space around them are dropped."""
    return [BREAK.sub("\n", text[begin:end]) for begin, end in placed_sentences(text)] or [text]


def placed_sentences(text: str) -> list[tuple[int, int]]:
    """Return where the sentences of a text begin and end, none for a blank text."""
    lines = without_breaks(text)
    found: list[tuple[int, int]] = []
    last = begin = size = 0  # where the last sentence and the open one begin, and the bytes of the open one
    for start, end in itertools.pairwise([0, *(mark.end() for mark in ENDS.finditer(lines)), len(lines)]):
        part = lines[start:end].strip()
        begin = begin if size else start
        size += len(part.encode())
        if size >= MIN_SENTENCE_BYTES:
            found.append(_stripped(lines, begin, end))
            last, size = begin, 0
    if size:
        found[-1:] = [_stripped(lines, last if found else begin, len(lines))]
    return found


def without_breaks(text: str) -> str:
    """Return a text of the same length with a line's end and blanks in place of each line break of HTML."""
    return BREAK.sub(lambda mark: "\n".ljust(len(mark.group())), text)


def _stripped(text: str, begin: int, end: int) -> tuple[int, int]:
    part = text[begin:end]
    return begin + len(part) - len(part.lstrip()), begin + len(part.rstrip())


def sentence_start(tokenizer: Tokenizer) -> int | None:
    """Return the id of the token that a tokenizer puts before every text, which separates sentences, if any."""
    with_special, without = (tokenizer.encode("a", add_special_tokens=special).ids for special in (True, False))
    return with_special[0] if with_special and with_special[:1] != without[:1] else None


def rule_for(rule: TokenRule, tokenizer: Tokenizer, *, by_sentence: bool, where: str) -> TokenRule:
    """Return the rule that reads texts by sentence, or whole. Raises ConfigError if the tokenizer has no sentence start."""
    start = sentence_start(tokenizer)
    if by_sentence and start is None:
        raise ConfigError(
            f"{where}: found an encoder whose tokenizer puts no token before a text; expected one such as [CLS], which "
            "separates sentences. Leave texts whole."
        )
    return dataclasses.replace(rule, sentence_start=start if by_sentence else None)


def tokenize_by_sentence(tokenizer: Tokenizer, texts: Sequence[str], rule: TokenRule) -> list[list[int]]:
    """Return each text's token ids: its sentences end to end, each with its special tokens.

    A sentence is cut at `rule.max_length`, a text at `rule.max_text_length`. A sentence start written out in a text is dropped.
    """
    parts = [sentences(text) for text in texts]
    tokenized = iter(tokenize(tokenizer, list(itertools.chain.from_iterable(parts)), rule))
    joined = _joined_from_the_end if (tokenizer.truncation or {}).get("direction") == "left" else _joined
    return [joined(list(itertools.islice(tokenized, len(part))), rule) for part in parts]


def _joined_from_the_end(tokenized: Sequence[list[int]], rule: TokenRule) -> list[int]:
    """Return sentences end to end, cut at the text's maximum length on the left. A sentence that is cut keeps its first token."""
    ids: list[int] = []
    for sentence in reversed(tokenized):
        own = [*sentence[:1], *(token for token in sentence[1:] if token != rule.sentence_start)]
        left = len(own) if rule.max_text_length is None else rule.max_text_length - len(ids)
        if len(own) > left:
            return [own[0], *own[len(own) - left + 1 :], *ids] if left >= MIN_CUT_TOKENS else ids
        ids = [*own, *ids]
    return ids


def _joined(tokenized: Sequence[list[int]], rule: TokenRule) -> list[int]:
    """Return sentences end to end, cut at the text's maximum length. A sentence that is cut keeps its last token."""
    ids: list[int] = []
    for sentence in tokenized:
        own = [*sentence[:1], *(token for token in sentence[1:] if token != rule.sentence_start)]
        left = len(own) if rule.max_text_length is None else rule.max_text_length - len(ids)
        if len(own) > left:
            return [*ids, *own[: left - 1], own[-1]] if left >= MIN_CUT_TOKENS else ids
        ids += own
    return ids
