"""Texts to batches of token ids, laid end to end without padding.

Shapes: B texts of a batch, N tokens of a batch together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ROWS = 1_000  # texts tokenised at once


@dataclasses.dataclass(frozen=True)
class TokenRule:
    """How a token model wants its texts tokenised."""

    special_tokens: bool = False
    """Whether the tokenizer adds [CLS], [SEP] and the like."""
    drop: int | None = None
    """Id of tokens that are left out."""
    unknown: int | None = None
    """Id of tokens that the vocabulary does not know."""
    longest: int | None = None
    """Tokens after which a text is cut off, special ones included."""
    sentence_start: int | None = None
    """Id of the token that begins each sentence, where texts are read sentence by sentence; None where they are read whole."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Some texts as packed token ids; a text without known tokens has length 0."""

    input_ids: Tensor
    """(N,) int64 ids, text after text."""
    lengths: Tensor
    """(B,) int64 tokens of each text, on the CPU wherever the ids are; they sum to N."""
    pieces: Tensor | None = None
    """(M,) int64 tokens of each piece of the texts, on the CPU, none empty; attention never crosses pieces. None: each text is
    one."""

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its ids on `device`."""
        return dataclasses.replace(self, input_ids=self.input_ids.to(device))

    def by_piece(self) -> Batch:
        """Return the batch in which every piece is a text of its own."""
        return self if self.pieces is None else Batch(self.input_ids, self.pieces)

    def text_of_piece(self) -> Tensor:
        """Return the row number of each piece's text (M,), on the ids' device."""
        pieces = self.by_piece().lengths
        begins = pieces.cumsum(0) - pieces
        return torch.searchsorted(self.lengths.cumsum(0), begins, right=True).to(self.input_ids.device)

    def text_of_token(self) -> Tensor:
        """Return the row number of each token's text (N,), on the ids' device."""
        return torch.repeat_interleave(torch.arange(len(self.lengths)), self.lengths).to(self.input_ids.device)

    def positions(self) -> Tensor:
        """Return each token's place in its text (N,), counted from 0, on the ids' device."""
        begins = torch.repeat_interleave(self.lengths.cumsum(0) - self.lengths, self.lengths)
        return (torch.arange(len(begins)) - begins).to(self.input_ids.device)


@dataclasses.dataclass(frozen=True)
class TokenizedTexts:
    """Many texts as one row of token ids, from which batches are picked without touching Python lists again."""

    ids: Tensor
    """(N,) int64 ids of all texts, end to end."""
    lengths: Tensor
    """(n,) int64 tokens of each text."""
    begins: Tensor
    """(n,) int64 place of each text's first token."""
    sentence_start: int | None = None
    """As in the rule by which they were tokenised."""

    @classmethod
    def of(cls, ids: Sequence[Sequence[int]], *, sentence_start: int | None = None) -> TokenizedTexts:
        """Lay token ids end to end; with `sentence_start` a piece begins at each token of that id."""
        batch = pack(ids)
        return cls(batch.input_ids, batch.lengths, batch.lengths.cumsum(0) - batch.lengths, sentence_start)

    def batch(self, rows: Tensor) -> Batch:
        """Return the texts with row numbers (B,), in that order."""
        ids, lengths = self.ids[self.places(rows)], self.lengths[rows]
        return Batch(ids, lengths, _pieces(ids, lengths, self.sentence_start))

    def piece_lengths(self) -> Tensor:
        """Return the tokens of each piece of all texts (M,), those of each text where it is read whole."""
        pieces = _pieces(self.ids, self.lengths, self.sentence_start)
        return self.lengths if pieces is None else pieces

    def places(self, rows: Tensor) -> Tensor:
        """Return where the tokens of the texts (B,) lie among all (N,)."""
        lengths = self.lengths[rows]
        shift = self.begins[rows] - (lengths.cumsum(0) - lengths)
        return torch.repeat_interleave(shift, lengths) + torch.arange(int(lengths.sum()))


def tokenize(tokenizer: Tokenizer, texts: Sequence[str], rule: TokenRule) -> list[list[int]]:
    """Return each text's token ids, cut off as the tokenizer's own truncation says."""
    ids: list[list[int]] = []
    for begin in range(0, len(texts), ROWS):
        encodings = tokenizer.encode_batch_fast(
            list(texts[begin : begin + ROWS]), add_special_tokens=rule.special_tokens
        )
        if rule.drop is None:
            ids.extend(encoding.ids for encoding in encodings)
        else:
            ids.extend([i for i in encoding.ids if i != rule.drop] for encoding in encodings)
    return ids


def pack(ids: Sequence[Sequence[int]], *, sentence_start: int | None = None) -> Batch:
    """Lay token ids end to end; with `sentence_start` a piece begins at each token of that id."""
    lengths = torch.tensor([len(text) for text in ids], dtype=torch.int64)
    tokens = torch.tensor([token for text in ids for token in text], dtype=torch.int64)
    return Batch(tokens, lengths, _pieces(tokens, lengths, sentence_start))


def _pieces(ids: Tensor, lengths: Tensor, sentence_start: int | None) -> Tensor | None:
    """Return the tokens of each piece (M,), which begins with its text or at the token `sentence_start`."""
    if sentence_start is None:
        return None
    begins = ids == sentence_start
    begins[(lengths.cumsum(0) - lengths)[lengths > 0]] = True
    return torch.diff(torch.nonzero(begins)[:, 0], append=torch.tensor([len(ids)]))
