"""A long text as its sentences: found by their marks, and tokenised each as a piece of its own.

Where exactly a sentence ends matters little, since the vectors of a text's sentences are averaged. Texts without any of the
marks, in Thai say, stay whole.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nlptl.errors import ConfigError
from nlptl.models.packing import TokenRule, tokenize

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SHORTEST = 30
"""Bytes of UTF-8 below which a sentence joins the next one, the last the one before: an exclamation says little alone."""
LEAST_TOKENS = 4  # of a sentence that the end of a cut text still holds: two and the special ones
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
ENDS = re.compile(r"(?<=[.!?…؟۔।])[\"'”’»)\]]*\s+|(?<=[。！？])[」』”’）]*|\n")
"""Between sentences: after a mark and a space, after a mark of a script without spaces, at a line's end."""


def sentences(text: str) -> list[str]:
    """Return the sentences of a text in order, at least one; nothing but line breaks and space around them is lost."""
    lines = BREAK.sub("\n", text)
    found: list[str] = []
    last = begin = size = 0  # where the last sentence and the open one begin, and the bytes of that so far
    for start, end in itertools.pairwise([0, *(mark.end() for mark in ENDS.finditer(lines)), len(lines)]):
        part = lines[start:end].strip()
        begin = begin if size else start
        size += len(part.encode())
        if size >= SHORTEST:
            found.append(lines[begin:end].strip())
            last, size = begin, 0
    if size:
        found[-1:] = [lines[last if found else begin :].strip()]
    return found or [text]


def sentence_start(tokenizer: Tokenizer) -> int | None:
    """Return the id of the token that a tokenizer puts before every text, by which sentences are told apart; None without."""
    with_special, without = (tokenizer.encode("a", add_special_tokens=special).ids for special in (True, False))
    return with_special[0] if with_special and with_special[:1] != without[:1] else None


def rule_for(rule: TokenRule, tokenizer: Tokenizer, *, by_sentence: bool, where: str) -> TokenRule:
    """Return the rule by which texts are read sentence by sentence, or whole; ConfigError where sentences have no start."""
    start = sentence_start(tokenizer)
    if by_sentence and start is None:
        raise ConfigError(
            f"{where}: found an encoder whose tokenizer puts no token before a text; expected one such as [CLS], by which "
            "sentences are told apart. Leave texts whole."
        )
    return dataclasses.replace(rule, sentence_start=start if by_sentence else None)


def tokenize_by_sentence(tokenizer: Tokenizer, texts: Sequence[str], rule: TokenRule) -> list[list[int]]:
    """Return each text's token ids: its sentences end to end, each with its special tokens, cut off at `rule.longest`.

    The special tokens count too, so that a text of many sentences is cut a little earlier than one that is read whole. The
    token that begins a sentence is dropped where a text has it written out.
    """
    parts = [sentences(text) for text in texts]
    pieces = iter(tokenize(tokenizer, list(itertools.chain.from_iterable(parts)), rule))
    return [_joined(list(itertools.islice(pieces, len(part))), rule) for part in parts]


def _joined(pieces: Sequence[list[int]], rule: TokenRule) -> list[int]:
    """Return pieces end to end, as many tokens as allowed; one that is cut keeps its last token."""
    ids: list[int] = []
    for piece in pieces:
        own = [*piece[:1], *(token for token in piece[1:] if token != rule.sentence_start)]
        room = len(own) if rule.longest is None else rule.longest - len(ids)
        if len(own) <= room:
            ids += own
            continue
        if room >= LEAST_TOKENS:
            ids += [*own[: room - 1], own[-1]]
        break
    return ids
