"""What a tokenizer makes of a pile's words: unknown and over-fragmented ones, and new entries for the most useful."""

from __future__ import annotations

import dataclasses
import functools
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nlptl.errors import ConfigError
from nlptl.models.transformer import Transformer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from nlptl.models.encoder import Encoder

MANY = 4  # pieces from which a word counts as over-fragmented
LEAST_COUNT = 2  # occurrences below which a word is no candidate for the vocabulary
EXAMINED = 50_000  # most frequent words that are looked at
SHOWN = 8
SYMBOLS = ("So", "Sc", "Sm")  # Unicode categories that count as words: emoji, currencies, arrows and mathematics
_ASCII_WORD = re.compile(r"[^\W_]+")  # finds what the pattern of all scripts does, five times as fast


@dataclasses.dataclass(frozen=True)
class Word:
    """A word of the pile and what the tokenizer makes of it."""

    text: str
    count: int
    pieces: tuple[int, ...]
    """Token ids."""
    unknown: bool
    """Whether one of them stands for what the tokenizer does not know."""

    @property
    def saved(self) -> int:
        """Tokens that an entry of its own would save on the pile; an unknown piece counts as one more."""
        return self.count * (len(self.pieces) - 1 + self.unknown)


@dataclasses.dataclass(frozen=True)
class VocabularyReport:
    """How well a tokenizer fits a pile."""

    words: int
    """Running words."""
    unknown_share: float
    """Share of them with an unknown piece."""
    pieces_per_word: float
    fragmented: dict[str, int]
    """Frequent words to the pieces, four or more, that they fall into."""
    unknown: dict[str, int]
    """Frequent words with an unknown piece to how often they occur."""

    def sentence(self) -> str:
        """Tell the report."""
        parts = [
            f"Vocabulary: {self.unknown_share:.1%} of the pile's words hold unknown parts, a word falls into "
            f"{self.pieces_per_word:.2f} pieces on average"
        ]
        for what, shown in ((f"words of {MANY} pieces or more", self.fragmented), ("unknown words", self.unknown)):
            if shown:
                parts.append(f"frequent {what}: " + ", ".join(f"{word} ({number})" for word, number in shown.items()))
        return "; ".join(parts) + "."


def count_words(tokenizer: Tokenizer, batches: Iterable[Sequence[str]]) -> Counter[str]:
    """Count the words of a pile as the tokenizer's normaliser leaves them.

    A word is a run of letters, digits and their combining marks, or a symbol beyond ASCII such as an emoji.
    """
    counts: Counter[str] = Counter()
    normalizer = tokenizer.normalizer
    for texts in batches:
        for text in texts:
            normal = normalizer.normalize_str(text) if normalizer else text
            counts.update((_ASCII_WORD if normal.isascii() else _word_pattern()).findall(normal))
    return counts


def examined_words(encoder: Encoder, counts: Counter[str]) -> list[Word]:
    """Return the most frequent words with their pieces, frequent ones first, ties by alphabet."""
    found = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:EXAMINED]
    unknown = encoder.token_model.rule.unknown
    # The space lets tokenizers that see one take the word for the beginning of a word.
    encodings = encoder.tokenizer.encode_batch_fast([f" {word}" for word, _ in found], add_special_tokens=False)
    pieces = [tuple(encoding.ids) for encoding in encodings]
    return [Word(word, n, ids, unknown in ids) for (word, n), ids in zip(found, pieces, strict=True)]


def report_on(words: Sequence[Word]) -> VocabularyReport:
    """Return the report on a pile's words."""
    running = max(1, sum(word.count for word in words))
    frequent = [word for word in words if word.count >= LEAST_COUNT]
    return VocabularyReport(
        words=running,
        unknown_share=round(sum(word.count for word in words if word.unknown) / running, 6),
        pieces_per_word=round(sum(word.count * len(word.pieces) for word in words) / running, 4),
        fragmented={word.text: len(word.pieces) for word in [w for w in frequent if len(w.pieces) >= MANY][:SHOWN]},
        unknown={word.text: word.count for word in [w for w in frequent if w.unknown][:SHOWN]},
    )


def most_useful(words: Sequence[Word], count: int) -> list[str]:
    """Return the `count` words whose entries would save most tokens; ConfigError when there are not so many."""
    useful = sorted(
        (word for word in words if word.saved > 0 and word.count >= LEAST_COUNT), key=lambda word: -word.saved
    )
    if len(useful) < count:
        raise ConfigError(
            f"bert: extend_vocabulary: found {count}, but only {len(useful)} words that occur at least {LEAST_COUNT} "
            "times fall into several pieces or are unknown; expected at most as many. Lower it."
        )
    return [word.text for word in useful[:count]]


def extend_vocabulary(encoder: Encoder, words: Sequence[str]) -> None:
    """Give words an entry of their own, whose embedding and pooling weight are the means of their pieces' so far.

    Changes `encoder`. Texts without these words keep their tokens and so their vectors.
    """
    from tokenizers import AddedToken

    token_model = encoder.token_model
    assert isinstance(token_model, Transformer)
    pieces = [encoder.tokenizer.encode(f" {word}", add_special_tokens=False).ids for word in words]
    known = [encoder.tokenizer.token_to_id(word) is not None for word in words]  # as the inside of longer words
    # lstrip takes the space before the word along, which byte-level and unigram tokenizers would make a token of.
    encoder.tokenizer.add_tokens(
        [AddedToken(word, single_word=True, lstrip=True, normalized=True, special=False) for word in words]
    )
    vocabulary = encoder.tokenizer.get_vocab(with_added_tokens=True)
    ids = [vocabulary[word] for word in words]
    new_words = {index: parts for index, parts, kept in zip(ids, pieces, known, strict=True) if not kept}
    old = token_model.word_embeddings
    rows = max(old.num_embeddings, *(i + 1 for i in ids))
    weight = _with_means(old.weight.detach(), new_words, rows)
    new = nn.Embedding(rows, old.embedding_dim, old.padding_idx, _weight=weight)
    token_model.model.set_input_embeddings(new)
    token_model.model.config.vocab_size = rows
    pooling = encoder.pooling
    if len(pooling.token_weights):
        pooling.token_weights = _with_means(pooling.token_weights, new_words, max(rows, len(pooling.token_weights)))


def _with_means(table: Tensor, new_words: dict[int, list[int]], rows: int) -> Tensor:
    """Return `table` (V, ...) with `rows` rows, where those of new words are the means of their pieces' rows."""
    grown = torch.cat([table, table.new_zeros(rows - len(table), *table.shape[1:])])
    for index, pieces in new_words.items():
        grown[index] = table[pieces].mean(dim=0)
    return grown


@functools.cache
def _word_pattern() -> re.Pattern[str]:
    r"""Return what finds words; \w alone leaves out the combining marks that Hindi or Thai words are half made of."""
    categories = [unicodedata.category(chr(code)) for code in range(sys.maxunicode + 1)]
    marks = _letters_of({code for code, category in enumerate(categories) if category[0] == "M"})
    symbols = _letters_of({code for code, category in enumerate(categories) if category in SYMBOLS and code > 127})
    return re.compile(rf"(?:[^\W_]+[{marks}]*)+|[{symbols}][{marks}]*")


def _letters_of(codes: set[int]) -> str:
    """Return the inside of a character class; runs are written as ranges, which compile fast."""
    firsts = sorted(code for code in codes if code - 1 not in codes)
    lasts = sorted(code for code in codes if code + 1 not in codes)
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in zip(firsts, lasts, strict=True))
