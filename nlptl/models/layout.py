"""Layouts of a batch in front of the layers: end to end, or padded with a mask.

Shapes: B texts, M segments, N packed tokens, T tokens of the longest segment, D dimension.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from nlptl.models.attention import PackedTexts
from nlptl.models.packing import Batch

Mask = Tensor | dict[str, Tensor | None] | None


@dataclasses.dataclass(frozen=True)
class Layout:
    """Place of each token: (1, N, D) end to end, or (M, T, D) padded. Attention stays within a segment."""

    position_ids: Tensor
    packed: PackedTexts | None
    mask: Mask
    places: tuple[Tensor, Tensor] | None
    """Padded: segment and position of each token."""
    order: Tensor | None = None
    """(N,) End to end: the token at each place, if segments were sorted by length."""

    @classmethod
    def end_to_end(cls, batch: Batch, first_position: int) -> Layout:
        """Lay a batch end to end. Segments are sorted by length, since neighbours of equal length share a kernel call."""
        device, segments = batch.input_ids.device, batch.by_segment()
        order = None
        if batch.segments is not None:
            by_length = torch.argsort(segments.lengths, stable=True)
            begins = segments.lengths.cumsum(0) - segments.lengths
            lengths = segments.lengths[by_length]
            shift = begins[by_length] - (lengths.cumsum(0) - lengths)
            order = (torch.repeat_interleave(shift, lengths) + torch.arange(len(batch.input_ids))).to(device)
            segments = Batch(batch.input_ids[order], lengths)
        packed = PackedTexts.of(segments.lengths.tolist(), device)
        return cls((segments.positions() + first_position)[None], packed, None, None, order)

    @classmethod
    def padded(cls, batch: Batch, first_position: int, mask_of: Callable[[Batch, int], Mask]) -> Layout:
        """Lay a batch into rows of equal length; `mask_of` makes the mask from segments and T."""
        segments = batch.by_segment()
        max_seqlen = int(segments.lengths.max()) if len(segments.lengths) else 0
        position_ids = torch.arange(max_seqlen, device=batch.input_ids.device) + first_position
        places = (segments.text_of_token(), segments.positions())
        return cls(position_ids.expand(len(segments.lengths), -1), None, mask_of(segments, max_seqlen), places)

    def lay_out(self, rows: Tensor) -> Tensor:
        """Bring (N, ...) into the layout: (1, N, ...) or (M, T, ...)."""
        if self.places is None:
            return (rows if self.order is None else rows[self.order])[None]
        shape = (*self.position_ids.shape, *rows.shape[1:])
        return rows.new_zeros(shape).index_put(self.places, rows)  # the mask hides the padding

    def take_out(self, hidden: Tensor) -> Tensor:
        """Bring (1, N, D) or (M, T, D) back to (N, D)."""
        if self.places is not None:
            return hidden[self.places]
        return hidden[0] if self.order is None else hidden[0][self.order.argsort()]
