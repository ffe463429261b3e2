"""A pile of texts as token ids in memory: distinct texts, eight bytes a token, cut into lengths that the encoder takes.

Shapes: B texts, N tokens of all texts or of a batch together.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlptl.errors import DataError
from nlptl.models.packing import TEXTS_AT_ONCE, Batch
from nlptl.models.sentences import sentences
from nlptl.models.transformer import Transformer

if TYPE_CHECKING:
    from tokenizers import Encoding

    from nlptl.models.encoder import Encoder

LEAST_TEXTS = 10  # below which there is nothing to hold out and little to learn
MOST_HELD_OUT = 1_000
MOST_PIECES = 8  # of a word; scripts without spaces make one "word" of a sentence, which is no unit to hide
NO_WORD = -1


@dataclasses.dataclass(frozen=True)
class Draw:
    """Some texts of a pile, as one epoch's training sees them."""

    epoch: int
    """Counted from 1; what is random about a text depends on it, 0 and below stand for fixed measurements."""
    rows: Tensor
    """(B,) row numbers."""
    shared: bool = False
    """Whether other processes hold the other rows of it."""


@dataclasses.dataclass(frozen=True)
class TokenPile:
    """Token ids of texts, laid end to end."""

    ids: NDArray[np.int32]
    """(N,) token ids, special tokens included."""
    words: NDArray[np.int32]
    """(N,) number of the word in its text that the token is a piece of, or, in words of more than eight pieces, of the
    piece; -1 for special and unknown tokens."""
    lengths: Tensor
    """(B,) int64 tokens of each text."""
    begins: Tensor
    """(B,) int64 where each text begins in `ids`."""
    name: str = "the pile"
    """What messages call it: the file that it was read from."""

    def word_tokens(self) -> NDArray[np.int32]:
        """Return the token ids that belong to words, in order: no special and no unknown token."""
        return self.ids[self.words >= 0]

    def __len__(self) -> int:
        return len(self.lengths)

    def places(self, rows: Tensor) -> tuple[NDArray[np.int64], Tensor]:
        """Return where the tokens of `rows` (B,) lie in `ids` (N,), text after text, and their lengths (B,)."""
        lengths = self.lengths[rows]
        shift = torch.repeat_interleave(self.begins[rows] - (lengths.cumsum(0) - lengths), lengths)
        found: NDArray[np.int64] = (torch.arange(len(shift)) + shift).numpy()
        return found, lengths

    def batch(self, rows: Tensor) -> Batch:
        """Return the texts of `rows` (B,) as they are."""
        places, lengths = self.places(rows)
        return Batch(torch.from_numpy(self.ids[places].astype(np.int64)), lengths)

    def select(self, rows: Tensor) -> TokenPile:
        """Return a pile of the texts of `rows` (B,), in that order."""
        places, lengths = self.places(rows)
        return TokenPile(self.ids[places], self.words[places], lengths, lengths.cumsum(0) - lengths, self.name)

    def parted(self, share: float, generator: torch.Generator) -> tuple[TokenPile, TokenPile]:
        """Return the pile without a random `share` of its texts, at least one if any, and these."""
        count = min(MOST_HELD_OUT, max(1, round(share * len(self)))) if share > 0 else 0
        order = torch.randperm(len(self), generator=generator)
        return self.select(order[count:].sort().values), self.select(order[:count].sort().values)


def token_pile(encoder: Encoder, batches: Iterable[Sequence[str]], *, whole: bool, name: str) -> TokenPile:
    """Tokenise a pile, each distinct text once; with `whole` what is cut off a long text is a text of its own.

    Where the encoder reads sentence by sentence, each sentence is a text of its own.

    Raises DataError when fewer than ten distinct texts are left.
    """
    ids: list[NDArray[np.int32]] = []
    words: list[NDArray[np.int32]] = []
    lengths: list[int] = []
    seen: set[bytes] = set()
    for texts in batches:
        new = list(_distinct(_encodings(encoder, texts, whole), seen))
        lengths += [len(text) for text, _ in new]
        if new:
            ids.append(np.concatenate([text for text, _ in new]))
            words.append(np.concatenate([_words(encoding) for _, encoding in new]))
    check_size(len(lengths), name=name)
    flat, numbers, sizes = np.concatenate(ids), np.concatenate(words), torch.tensor(lengths)
    numbers[np.isin(flat, _wordless(encoder))] = NO_WORD
    return TokenPile(flat, numbers, sizes, sizes.cumsum(0) - sizes, name)


def check_size(texts: int, *, name: str) -> None:
    """Raise DataError for a pile that is too small to learn from."""
    if texts < LEAST_TEXTS:
        raise DataError(
            f"{name}: found {texts} distinct texts; expected at least {LEAST_TEXTS} to learn from. Give a larger pile."
        )


def check_words(pile: TokenPile) -> None:
    """Raise DataError for texts without any word, in which nothing can be guessed."""
    if not (pile.words != NO_WORD).any():
        raise DataError(
            f"{pile.name}: found no word that the tokenizer knows in the {len(pile)} texts to learn from; expected some to "
            "be guessed. Give other texts, or weights whose tokenizer knows their script."
        )


def _encodings(encoder: Encoder, texts: Sequence[str], whole: bool) -> Iterator[Encoding]:
    rule = encoder.token_model.rule
    if rule.sentence_start is not None:
        texts = [sentence for text in texts for sentence in sentences(text)]
    for begin in range(0, len(texts), TEXTS_AT_ONCE):
        some = list(texts[begin : begin + TEXTS_AT_ONCE])
        for encoding in encoder.tokenizer.encode_batch(some, add_special_tokens=rule.special_tokens):
            yield encoding
            yield from encoding.overflowing if whole else ()


def _distinct(encodings: Iterable[Encoding], seen: set[bytes]) -> Iterator[tuple[NDArray[np.int32], Encoding]]:
    """Yield the token ids of encodings that were not seen before, and note them."""
    for encoding in encodings:
        text = np.asarray(encoding.ids, dtype=np.int32)
        digest = hashlib.blake2b(text.tobytes(), digest_size=12).digest()
        if digest not in seen:
            seen.add(digest)
            yield text, encoding


def _words(encoding: Encoding) -> NDArray[np.int32]:
    found = [
        NO_WORD if special or number is None else number
        for number, special in zip(encoding.word_ids, encoding.special_tokens_mask, strict=True)
    ]
    numbers = np.asarray(found, dtype=np.int32)
    pieces = np.bincount(numbers - NO_WORD, minlength=1)[numbers - NO_WORD]
    own = numbers.max(initial=NO_WORD) + 1 + np.arange(len(numbers), dtype=np.int32)
    return np.where((numbers != NO_WORD) & (pieces > MOST_PIECES), own, numbers)


def _wordless(encoder: Encoder) -> list[int]:
    """Return the ids of unknown and special tokens; a text may have them written out, as in "question [SEP] answer"."""
    token_model = encoder.token_model
    names = token_model.special_tokens.values() if isinstance(token_model, Transformer) else ()
    ids = [token_model.rule.unknown, *(encoder.tokenizer.token_to_id(name) for name in names)]
    return [token for token in ids if token is not None]
