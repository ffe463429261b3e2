"""How a batch lies in front of the layers: end to end, or padded with a mask.

Shapes: B texts, M pieces, N packed tokens, T tokens of the longest piece, D dimension.
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
    """Where each token of a batch lies: (1, N, D) end to end, or (M, T, D) padded with a mask. Pieces see only themselves."""

    position_ids: Tensor
    packed: PackedTexts | None
    mask: Mask
    places: tuple[Tensor, Tensor] | None
    """Padded: piece and position of each token."""
    order: Tensor | None = None
    """(N,) End to end: the token that lies at each place, where pieces of equal length were brought together."""

    @classmethod
    def end_to_end(cls, batch: Batch, first_position: int) -> Layout:
        """Lay a batch end to end; pieces of texts by length, since equally long neighbours share a call of the kernel."""
        device, pieces = batch.input_ids.device, batch.by_piece()
        order = None
        if batch.pieces is not None:
            by_length = torch.argsort(pieces.lengths, stable=True)
            begins = pieces.lengths.cumsum(0) - pieces.lengths
            lengths = pieces.lengths[by_length]
            shift = begins[by_length] - (lengths.cumsum(0) - lengths)
            order = (torch.repeat_interleave(shift, lengths) + torch.arange(len(batch.input_ids))).to(device)
            pieces = Batch(batch.input_ids[order], lengths)
        packed = PackedTexts.of(pieces.lengths.tolist(), device)
        return cls((pieces.positions() + first_position)[None], packed, None, None, order)

    @classmethod
    def padded(cls, batch: Batch, first_position: int, mask_of: Callable[[Batch, int], Mask]) -> Layout:
        """Lay a batch into rows of equal length; `mask_of` gives the mask for pieces and the length of the rows."""
        pieces = batch.by_piece()
        longest = int(pieces.lengths.max()) if len(pieces.lengths) else 0
        position_ids = torch.arange(longest, device=batch.input_ids.device) + first_position
        places = (pieces.text_of_token(), pieces.positions())
        return cls(position_ids.expand(len(pieces.lengths), -1), None, mask_of(pieces, longest), places)

    def lay_out(self, rows: Tensor) -> Tensor:
        """Bring (N, ...) into the layout: (1, N, ...) or (M, T, ...)."""
        if self.places is None:
            return (rows if self.order is None else rows[self.order])[None]
        shape = (*self.position_ids.shape, *rows.shape[1:])
        return rows.new_zeros(shape).index_put(self.places, rows)  # the mask hides what fills the gaps

    def take_out(self, hidden: Tensor) -> Tensor:
        """Bring (1, N, D) or (M, T, D) back to (N, D)."""
        if self.places is not None:
            return hidden[self.places]
        return hidden[0] if self.order is None else hidden[0][self.order.argsort()]
