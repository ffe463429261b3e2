"""A pile as token ids in memory: distinct texts, eight bytes a token, no longer than the encoder takes.

Shapes: B texts, N tokens of all texts or of a batch.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlptl.errors import DataError
from nlptl.inference.sentences import sentences
from nlptl.inference.tokenizer_files import encoded
from nlptl.inference.tokenizing import TEXTS_AT_ONCE
from nlptl.models.packing import Batch

if TYPE_CHECKING:
    from tokenizers import Encoding

    from nlptl.models.encoder import Encoder

MIN_TEXTS = 10  # fewer leave nothing to hold out
MAX_HELD_OUT_TEXTS = 1_000
MAX_WORD_PIECES = 8  # in scripts without spaces a whole sentence is one "word", too much to hide at once
NO_WORD = -1


@dataclasses.dataclass(frozen=True)
class Draw:
    """Batch of a pile in one epoch."""

    epoch: int  # from 1; random masks depend on it, and measurements use 0 and below
    rows: Tensor  # (B,) numbers of the texts
    shared: bool = False  # whether other processes hold other rows of the same batch


@dataclasses.dataclass(frozen=True)
class TokenPile:
    """Token ids of all texts, concatenated."""

    ids: NDArray[np.int32]  # (N,) with special tokens
    words: NDArray[np.int32]
    """(N,) number of the token's word in its text. In words of more than eight word pieces each piece counts as a word.
    -1 for special and unknown tokens."""
    lengths: Tensor  # (B,) int64 token counts
    begins: Tensor  # (B,) int64 start of each text in `ids`
    name: str = "the pile"  # source file, for error messages

    def word_tokens(self) -> NDArray[np.int32]:
        """Return all token ids without special and unknown tokens."""
        return self.ids[self.words >= 0]

    def __len__(self) -> int:
        return len(self.lengths)

    def places(self, rows: Tensor) -> tuple[NDArray[np.int64], Tensor]:
        """Return the positions in `ids` (N,) and the lengths (B,) of the texts `rows` (B,)."""
        lengths = self.lengths[rows]
        shift = torch.repeat_interleave(self.begins[rows] - (lengths.cumsum(0) - lengths), lengths)
        found: NDArray[np.int64] = (torch.arange(len(shift)) + shift).numpy()
        return found, lengths

    def batch(self, rows: Tensor) -> Batch:
        """Return the texts `rows` (B,)."""
        places, lengths = self.places(rows)
        return Batch(torch.from_numpy(self.ids[places].astype(np.int64)), lengths)

    def select(self, rows: Tensor) -> TokenPile:
        """Return a pile of the texts `rows` (B,), in that order."""
        places, lengths = self.places(rows)
        return TokenPile(self.ids[places], self.words[places], lengths, lengths.cumsum(0) - lengths, self.name)

    def split(self, share: float, generator: torch.Generator) -> tuple[TokenPile, TokenPile]:
        """Return the pile without a random `share` of its texts, and that share as a second pile."""
        count = min(MAX_HELD_OUT_TEXTS, max(1, round(share * len(self)))) if share > 0 else 0
        order = torch.randperm(len(self), generator=generator)
        return self.select(order[count:].sort().values), self.select(order[:count].sort().values)


def token_pile(encoder: Encoder, batches: Iterable[Sequence[str]], *, whole: bool, name: str) -> TokenPile:
    """Tokenise the distinct texts of a pile. With `whole`, the rest of a truncated text is another text.

    If the encoder reads sentence by sentence, each sentence is a text. Raises DataError for fewer than ten texts.
    """
    parts: list[list[NDArray[np.int32]]] = []
    sizes: list[int] = []
    seen: set[bytes] = set()
    for texts in batches:
        if new := list(_new_texts(encoder, texts, whole, seen)):
            sizes += [len(ids) for ids, _ in new]
            parts.append([np.concatenate(arrays) for arrays in zip(*new, strict=True)])
    check_size(len(sizes), name=name)
    ids, words = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    words[np.isin(ids, _wordless(encoder))] = NO_WORD
    lengths = torch.tensor(sizes)
    return TokenPile(ids, words, lengths, lengths.cumsum(0) - lengths, name)


def check_size(texts: int, *, name: str) -> None:
    """Raise DataError for too few texts."""
    if texts < MIN_TEXTS:
        raise DataError(
            f"{name}: found {texts} distinct texts; expected at least {MIN_TEXTS} to learn from. Give a larger pile."
        )


def check_words(pile: TokenPile) -> None:
    """Raise DataError if the tokenizer knows no word of the pile: there is nothing to predict."""
    if not (pile.words != NO_WORD).any():
        raise DataError(
            f"{pile.name}: the tokenizer knows no word of the {len(pile)} texts; expected some words to predict. "
            "Give other texts, or weights whose tokenizer knows their script."
        )


def _new_texts(
    encoder: Encoder, texts: Sequence[str], whole: bool, seen: set[bytes]
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Yield token ids and word numbers of texts whose digests are not in `seen`, and add these."""
    rule = encoder.token_model.rule
    if rule.sentence_start is not None:
        texts = [sentence for text in texts for sentence in sentences(text)]
    prompt = "" if whole else rule.prompt  # what predicts words would learn it by heart
    for begin in range(0, len(texts), TEXTS_AT_ONCE):
        some = [prompt + text for text in texts[begin : begin + TEXTS_AT_ONCE]]
        for first in encoded(partial(encoder.tokenizer.encode_batch, add_special_tokens=rule.special_tokens), some):
            for encoding in [first, *(first.overflowing if whole else ())]:
                text = np.asarray(encoding.ids, dtype=np.int32)
                digest = hashlib.blake2b(text.tobytes(), digest_size=12).digest()
                if digest not in seen:
                    seen.add(digest)
                    yield text, _words(encoding)


def _words(encoding: Encoding) -> NDArray[np.int32]:
    pairs = zip(encoding.word_ids, encoding.special_tokens_mask, strict=True)
    numbers = np.asarray([NO_WORD if special or word is None else word for word, special in pairs], dtype=np.int32)
    word_pieces = np.bincount(numbers - NO_WORD, minlength=1)[numbers - NO_WORD]
    own = numbers.max(initial=NO_WORD) + 1 + np.arange(len(numbers), dtype=np.int32)
    return np.where((numbers != NO_WORD) & (word_pieces > MAX_WORD_PIECES), own, numbers)


def _wordless(encoder: Encoder) -> list[int]:
    """Return the ids of unknown and special tokens. A text may spell them out, as in "question [SEP] answer"."""
    names = encoder.transformer.special_tokens.values()
    ids = [encoder.token_model.rule.unknown, *(encoder.tokenizer.token_to_id(name) for name in names)]
    return [token for token in ids if token is not None]
