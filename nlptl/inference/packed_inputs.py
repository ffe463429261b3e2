"""Inputs of a graph over packed texts: where each token stands, for products without padding.

Shapes: N packed tokens, M segments, T tokens of the longest segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

INPUTS: dict[str, list[str | int]] = {
    "input_ids": ["tokens"], "positions": ["tokens"], "places": ["segments", "longest"],
    "mask": ["segments", 1, 1, "longest"], "taken": ["tokens"],
}  # fmt: skip
OUTPUT = "token_vectors"
PADDING = -1e9  # added to the attention to a place without a token

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class PackedInputs:
    """Token ids of some segments end to end, and the way to a table of one row a segment and back."""

    input_ids: Ids  # (N,)
    positions: Ids  # (N,) in the table of positions
    places: Ids  # (M, T) the packed token at each place; a place without one repeats the first
    mask: NDArray[np.float32]  # (M, 1, 1, T) added to the attention to a place
    taken: Ids  # (N,) the place of each packed token in the flattened table

    @classmethod
    def of(cls, input_ids: Ids, lengths: Ids, *, first_position: int) -> PackedInputs:
        """Lay segments of `lengths` (M,), all positive, side by side."""
        begins = np.cumsum(lengths) - lengths
        inside = np.arange(len(input_ids)) - np.repeat(begins, lengths)
        longest = int(lengths.max())
        column = np.arange(longest)
        is_token = column < lengths[:, None]
        places = np.where(is_token, begins[:, None] + column, begins[:, None])
        mask = np.where(is_token, 0, PADDING).astype(np.float32)[:, None, None]
        taken = np.repeat(np.arange(len(lengths)) * longest, lengths) + inside
        return cls(input_ids, inside + first_position, places, mask, taken)

    def feeds(self) -> dict[str, NDArray[Any]]:
        """Return the inputs by their names."""
        return {name: getattr(self, name) for name in INPUTS}
