"""Texts to batches of token ids, packed end to end without padding.

Shapes: B texts of a batch, N packed tokens, M segments of a batch, n all texts, D dimension, R width of all views.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from nlptl.models.attention import PackedTexts

LayerChoice = int | Literal["mean"]


@dataclasses.dataclass(frozen=True)
class Batch:
    """Packed token ids of some texts. A text without known tokens has length 0."""

    input_ids: Tensor  # (N,) int64 ids, text after text
    lengths: Tensor  # (B,) int64 tokens per text, on the CPU; they sum to N
    segments: Tensor | None = None
    """(M,) int64 tokens per sentence, on the CPU, all positive. Attention does not cross segments. None: one segment per text."""
    views: Tensor | None = None  # (B, R) float32 vectors of the encoder's views, side by side; None if it has none

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its ids and views on `device`."""
        views = None if self.views is None else self.views.to(device)
        return dataclasses.replace(self, input_ids=self.input_ids.to(device), views=views)

    def by_segment(self) -> Batch:
        """Return the batch whose texts are the segments."""
        return self if self.segments is None else Batch(self.input_ids, self.segments)

    def without_first(self, tokens: int) -> tuple[Batch, Tensor]:
        """Return the batch without the first `tokens` of each segment that has more, and the places (N',) that are left."""
        segments = self.by_segment().lengths
        dropped = torch.where(segments > tokens, tokens, 0)
        positions = self.by_segment().positions()
        kept = positions >= torch.repeat_interleave(dropped, segments).to(positions.device)
        if self.segments is None:
            return Batch(self.input_ids[kept], segments - dropped), kept
        of_text = torch.zeros_like(self.lengths).index_add(0, self.text_of_segment().cpu(), dropped)
        return Batch(self.input_ids[kept], self.lengths - of_text, segments - dropped), kept

    def text_of_segment(self) -> Tensor:
        """Return the row number of each segment's text (M,), on the ids' device."""
        segments = self.by_segment().lengths
        begins = segments.cumsum(0) - segments
        return torch.searchsorted(self.lengths.cumsum(0), begins, right=True).to(self.input_ids.device)

    def text_of_token(self) -> Tensor:
        """Return the row number of each token's text (N,), on the ids' device."""
        return torch.repeat_interleave(torch.arange(len(self.lengths)), self.lengths).to(self.input_ids.device)

    def positions(self) -> Tensor:
        """Return each token's position in its text (N,), counted from 0, on the ids' device."""
        begins = torch.repeat_interleave(self.lengths.cumsum(0) - self.lengths, self.lengths)
        return (torch.arange(len(begins)) - begins).to(self.input_ids.device)


@dataclasses.dataclass(frozen=True)
class TokenizedTexts:
    """Token ids of many texts in one tensor, from which batches are picked without Python lists."""

    ids: Tensor  # (N,) int64 ids of all texts, end to end
    lengths: Tensor  # (n,) int64 tokens of each text
    begins: Tensor  # (n,) int64 position of each text's first token in `ids`
    sentence_start: int | None = None  # as in `TokenRule`
    views: Tensor | None = None  # (n, R) as in `Batch`

    @classmethod
    def of(
        cls, ids: Sequence[Sequence[int]], *, sentence_start: int | None = None, views: Tensor | None = None
    ) -> TokenizedTexts:
        """Lay token ids end to end. A segment begins at each token `sentence_start`."""
        batch = pack(ids)
        return cls(batch.input_ids, batch.lengths, batch.lengths.cumsum(0) - batch.lengths, sentence_start, views)

    def batch(self, rows: Tensor) -> Batch:
        """Return the texts with row numbers (B,), in that order."""
        ids, lengths = self.ids[self.places(rows)], self.lengths[rows]
        views = None if self.views is None else self.views[rows]
        return Batch(ids, lengths, _segments(ids, lengths, self.sentence_start), views)

    def segment_lengths(self) -> Tensor:
        """Return the tokens of each segment of all texts (M,)."""
        segments = _segments(self.ids, self.lengths, self.sentence_start)
        return self.lengths if segments is None else segments

    def places(self, rows: Tensor) -> Tensor:
        """Return the positions (N,) in `ids` of the tokens of the texts (B,)."""
        return _places(self.begins[rows], self.lengths[rows])


@dataclasses.dataclass(frozen=True)
class Layout:
    """Place of each token in front of the layers, (1, N, D) end to end. Attention stays within a segment."""

    position_ids: Tensor
    packed: PackedTexts
    order: Tensor | None  # (N,) the token at each place, if segments were sorted by length

    @classmethod
    def end_to_end(cls, batch: Batch, first_position: int) -> Layout:
        """Lay a batch end to end. Segments are sorted by length, since neighbours of equal length share a kernel call."""
        device, segments = batch.input_ids.device, batch.by_segment()
        order = None
        if batch.segments is not None:
            by_length = torch.argsort(segments.lengths, stable=True)
            begins = segments.lengths.cumsum(0) - segments.lengths
            order = _places(begins[by_length], segments.lengths[by_length]).to(device)
            segments = Batch(batch.input_ids[order], segments.lengths[by_length])
        packed = PackedTexts.of(segments.lengths.tolist(), device)
        return cls((segments.positions() + first_position)[None], packed, order)

    def lay_out(self, rows: Tensor) -> Tensor:
        """Bring (N, ...) into the layout, (1, N, ...)."""
        return (rows if self.order is None else rows[self.order])[None]

    def take_out(self, hidden: Tensor) -> Tensor:
        """Bring (1, N, D) back to (N, D)."""
        return hidden[0] if self.order is None else hidden[0][self.order.argsort()]


def pack(ids: Sequence[Sequence[int]], *, sentence_start: int | None = None, views: Tensor | None = None) -> Batch:
    """Lay token ids end to end. A segment begins at each token `sentence_start`. `views` are those of the batch."""
    lengths = torch.tensor([len(text) for text in ids], dtype=torch.int64)
    tokens = torch.tensor([token for text in ids for token in text], dtype=torch.int64)
    return Batch(tokens, lengths, _segments(tokens, lengths, sentence_start), views)


def _places(begins: Tensor, lengths: Tensor) -> Tensor:
    """Return the positions (N,) of the tokens of texts with these first positions and lengths (B,)."""
    shift = begins - (lengths.cumsum(0) - lengths)
    return torch.repeat_interleave(shift, lengths) + torch.arange(int(lengths.sum()))


def _segments(ids: Tensor, lengths: Tensor, sentence_start: int | None) -> Tensor | None:
    """Return the tokens of each segment (M,), which begins with its text or at the token `sentence_start`."""
    if sentence_start is None:
        return None
    begins = ids == sentence_start
    begins[(lengths.cumsum(0) - lengths)[lengths > 0]] = True
    return torch.diff(torch.nonzero(begins)[:, 0], append=torch.tensor([len(ids)]))
