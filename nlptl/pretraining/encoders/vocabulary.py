"""Fit of a tokenizer to a pile: unknown and fragmented words, and new entries for the most useful."""

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
from nlptl.inference.segmenting import without_segmenter
from nlptl.inference.tokenizer_files import encoded

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from nlptl.models.encoder import Encoder

FRAGMENTED_WORD_PIECES = 4  # a word of so many word pieces is fragmented
MIN_WORD_COUNT = 2  # rarer words get no entry
MAX_EXAMINED_WORDS = 50_000  # most frequent first
MAX_SHOWN_WORDS = 8
SYMBOLS = ("So", "Sc", "Sm")  # Unicode categories of one-character words: emoji, currencies, arrows, mathematics
_ASCII_WORD = re.compile(r"[^\W_]+")  # five times as fast as the pattern for all scripts


@dataclasses.dataclass(frozen=True)
class Word:
    """Word of the pile with its word pieces."""

    text: str
    count: int
    word_pieces: tuple[int, ...]  # token ids
    unknown: bool  # whether one of them is the unknown token

    @property
    def saved(self) -> int:
        """Tokens that an entry of its own saves on the pile. An unknown word piece counts as one more."""
        return self.count * (len(self.word_pieces) - 1 + self.unknown)


@dataclasses.dataclass(frozen=True)
class VocabularyReport:
    """Statistics of a tokenizer on a pile."""

    words: int  # of the pile with repetitions
    unknown_share: float  # of them, with an unknown word piece
    pieces_per_word: float
    fragmented: dict[str, int]  # number of word pieces, four or more, of frequent words
    unknown: dict[str, int]  # count of frequent words with an unknown word piece

    def sentence(self) -> str:
        """Return the report as a sentence."""
        told = (
            f"Vocabulary: {self.unknown_share:.1%} of the pile's words have unknown parts; a word has "
            f"{self.pieces_per_word:.2f} word pieces on average"
        )
        fragmented = f"words of {FRAGMENTED_WORD_PIECES} word pieces or more"
        for what, shown in ((fragmented, self.fragmented), ("unknown words", self.unknown)):
            if shown:
                told += f"; frequent {what}: " + ", ".join(f"{word} ({number})" for word, number in shown.items())
        return f"{told}."


def count_words(tokenizer: Tokenizer, batches: Iterable[Sequence[str]]) -> Counter[str]:
    """Count the normalised words: runs of letters, digits and combining marks, and non-ASCII symbols such as emoji."""
    counts: Counter[str] = Counter()
    normalizer = tokenizer.normalizer
    for texts in batches:
        for text in texts:
            normal = normalizer.normalize_str(text) if normalizer else text
            counts.update((_ASCII_WORD if normal.isascii() else _word_pattern()).findall(normal))
    return counts


def examined_words(encoder: Encoder, counts: Counter[str]) -> list[Word]:
    """Return the most frequent words with their word pieces. Ties go by alphabet."""
    found = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_EXAMINED_WORDS]
    unknown = encoder.token_model.rule.unknown
    # Byte-level and unigram tokenizers need the space to see the start of a word.
    whole = without_segmenter(encoder.tokenizer)  # which cut the words out of their sentences
    encode = functools.partial(whole.encode_batch_fast, add_special_tokens=False)
    encodings = encoded(encode, [f" {word}" for word, _ in found])
    pairs = zip(found, encodings, strict=True)
    return [Word(word, count, tuple(made.ids), unknown in made.ids) for (word, count), made in pairs]


def report_on(words: Sequence[Word]) -> VocabularyReport:
    """Return the report on words."""
    running = max(1, sum(word.count for word in words))
    frequent = [word for word in words if word.count >= MIN_WORD_COUNT]
    fragmented = [word for word in frequent if len(word.word_pieces) >= FRAGMENTED_WORD_PIECES][:MAX_SHOWN_WORDS]
    return VocabularyReport(
        words=running,
        unknown_share=round(sum(word.count for word in words if word.unknown) / running, 6),
        pieces_per_word=round(sum(word.count * len(word.word_pieces) for word in words) / running, 4),
        fragmented={word.text: len(word.word_pieces) for word in fragmented},
        unknown={word.text: word.count for word in [w for w in frequent if w.unknown][:MAX_SHOWN_WORDS]},
    )


def most_useful(words: Sequence[Word], count: int) -> list[str]:
    """Return the `count` words whose entries save most tokens. Raises ConfigError if there are fewer."""
    useful = [word for word in words if word.saved > 0 and word.count >= MIN_WORD_COUNT]
    if not useful and count:
        raise ConfigError(
            f"bert: extend_vocabulary: found {count}; expected 0, since the encoder has an entry for every word of the pile that "
            f"occurs at least {MIN_WORD_COUNT} times. Remove it."
        )
    if len(useful) < count:
        raise ConfigError(
            f"bert: extend_vocabulary: found {count}; expected at most {len(useful)}, the words that occur at least "
            f"{MIN_WORD_COUNT} times and have several word pieces or are unknown. Lower it."
        )
    return [word.text for word in sorted(useful, key=lambda word: -word.saved)[:count]]


def extend_vocabulary(encoder: Encoder, words: Sequence[str]) -> None:
    """Add words to the vocabulary of `encoder`, in place.

    Their embeddings and pooling weights are means over their word pieces. Texts without them keep their vectors.
    """
    from tokenizers import AddedToken

    token_model = encoder.transformer
    word_pieces = {  # of words that are no entries yet, as part of longer words
        word: encoder.tokenizer.encode(f" {word}", add_special_tokens=False).ids
        for word in words
        if encoder.tokenizer.token_to_id(word) is None
    }
    # lstrip includes the space before the word, a token of its own in byte-level and unigram tokenizers.
    encoder.tokenizer.add_tokens(
        [AddedToken(word, single_word=True, lstrip=True, normalized=True, special=False) for word in words]
    )
    vocabulary = encoder.tokenizer.get_vocab(with_added_tokens=True)
    new_words = {vocabulary[word]: ids for word, ids in word_pieces.items()}
    old = token_model.word_embeddings
    rows = max(old.num_embeddings, *(vocabulary[word] + 1 for word in words))
    weight = _with_means(old.weight.detach(), new_words, rows)
    token_model.model.set_input_embeddings(nn.Embedding(rows, old.embedding_dim, old.padding_idx, _weight=weight))
    token_model.model.config.vocab_size = rows
    pooling = encoder.pooling
    if len(pooling.token_weights):
        pooling.token_weights = _with_means(pooling.token_weights, new_words, max(rows, len(pooling.token_weights)))


def _with_means(table: Tensor, new_words: dict[int, list[int]], rows: int) -> Tensor:
    """Return `table` (V, ...) grown to `rows` rows; those of new words are means over their word pieces."""
    grown = torch.cat([table, table.new_zeros(rows - len(table), *table.shape[1:])])
    for index, word_pieces in new_words.items():
        grown[index] = table[word_pieces].mean(dim=0)
    return grown


@functools.cache
def _word_pattern() -> re.Pattern[str]:
    r"""Return the pattern of words. \w alone leaves out the combining marks of Hindi or Thai."""
    categories = [unicodedata.category(chr(code)) for code in range(sys.maxunicode + 1)]
    marks = _character_ranges({code for code, category in enumerate(categories) if category[0] == "M"})
    symbols = _character_ranges({code for code, name in enumerate(categories) if name in SYMBOLS and code > 127})
    return re.compile(rf"(?:[^\W_]+[{marks}]*)+|[{symbols}][{marks}]*")


def _character_ranges(codes: set[int]) -> str:
    """Return the inside of a character class. Ranges compile fast."""
    firsts = sorted(code for code in codes if code - 1 not in codes)
    lasts = sorted(code for code in codes if code + 1 not in codes)
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in zip(firsts, lasts, strict=True))
