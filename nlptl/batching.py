"""Texts to batches of token ids, laid end to end without padding.

Shapes: B texts of a batch, N tokens of a batch together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKEN_BUDGET = 1 << 16  # tokens a batch for word vectors: 65,536 rows of 100 floats are 26 MB
ROWS = 1_000  # texts tokenised at once


@dataclasses.dataclass(frozen=True)
class Batch:
    """Some texts as packed token ids; a text without known tokens has length 0."""

    input_ids: Tensor
    """(N,) int64 ids, text after text."""
    lengths: Tensor
    """(B,) int64 tokens of each text; they sum to N."""

    def to(self, device: torch.device) -> Batch:
        """Return the batch on `device`."""
        return Batch(self.input_ids.to(device), self.lengths.to(device))


def tokenize(tokenizer: Tokenizer, texts: Sequence[str], *, drop: int | None = None) -> list[list[int]]:
    """Return each text's token ids; tokens with the id `drop` (the unknown word) are left out."""
    ids: list[list[int]] = []
    for begin in range(0, len(texts), ROWS):
        encodings = tokenizer.encode_batch_fast(list(texts[begin : begin + ROWS]), add_special_tokens=False)
        ids.extend([i for i in encoding.ids if i != drop] for encoding in encodings)
    return ids


def pack(ids: Sequence[Sequence[int]]) -> Batch:
    """Lay token ids end to end."""
    lengths = torch.tensor([len(text) for text in ids], dtype=torch.int64)
    return Batch(torch.tensor([token for text in ids for token in text], dtype=torch.int64), lengths)


def token_budget_batches(lengths: Sequence[int], *, budget: int = TOKEN_BUDGET) -> Iterator[range]:
    """Cut rows, in order, into runs of at most `budget` tokens and `budget` rows; a longer text stands alone."""
    begin, tokens = 0, 0
    for row, length in enumerate(lengths):
        if row > begin and (tokens + length > budget or row - begin >= budget):
            yield range(begin, row)
            begin, tokens = row, 0
        tokens += length
    if begin < len(lengths):
        yield range(begin, len(lengths))
