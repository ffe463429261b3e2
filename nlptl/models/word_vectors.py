"""The static token model: one vector a word, whatever stands around it.

Shapes: V words, D dimension, N packed tokens.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from nlptl.artifact import read_tensors
from nlptl.batching import Batch

FILE = "word_vectors.safetensors"


class WordVectors(nn.Module):
    """token_vectors[n] = vectors[input_ids[n]]; row 0 is the unknown word and stays zero."""

    counts: Tensor

    def __init__(self, vectors: Tensor, counts: Tensor) -> None:
        """`vectors` (V, D) float32; `counts` (V,) int64, how often each word stood in the pile it was learnt from."""
        super().__init__()
        self.vectors = nn.Parameter(vectors)
        self.register_buffer("counts", counts)

    @property
    def dim(self) -> int:
        """Width D."""
        return int(self.vectors.shape[1])

    def forward(self, batch: Batch) -> Tensor:
        """Return token vectors (N, D)."""
        return nn.functional.embedding(batch.input_ids, self.vectors)

    def save(self, folder: Path) -> None:
        """Write vectors and counts into `folder`."""
        from safetensors.torch import save_file

        save_file({"vectors": self.vectors.detach().contiguous(), "counts": self.counts}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> WordVectors:
        """Read what `save` wrote."""
        tensors = read_tensors(folder / FILE)
        return cls(torch.as_tensor(tensors["vectors"]), torch.as_tensor(tensors["counts"]))
