"""The static token model: one vector a word, whatever stands around it.

Shapes: V words, D dimension, N packed tokens.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from nlptl.artifact import read_tensors
from nlptl.batching import TOKEN_BUDGET, Batch, TokenRule
from nlptl.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE = "word_vectors.safetensors"


class WordVectors(nn.Module):
    """token_vectors[n] = vectors[input_ids[n]]; row 0 is the unknown word and stays zero."""

    kind: ClassVar[Literal["word_vectors"]] = "word_vectors"
    rule = TokenRule(drop=0, unknown=0)
    sorts = False
    token_budget = TOKEN_BUDGET

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

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.vectors.device

    def forward(self, batch: Batch) -> Tensor:
        """Return token vectors (N, D)."""
        return nn.functional.embedding(batch.input_ids, self.vectors)

    @contextlib.contextmanager
    def reading(self, layer: int | str | None) -> Iterator[None]:
        """Refuse a choice of layer; word vectors have none. ConfigError."""
        if layer is not None:
            raise ConfigError(f"layer: found {layer!r}; expected none, word vectors have no layers. Drop it.")
        yield

    def settings(self) -> dict[str, Any]:
        """Return nothing: the tables tell all."""
        return {}

    def save(self, folder: Path, tokenizer: Tokenizer) -> None:
        """Write vectors, counts and tokenizer into `folder`."""
        from safetensors.torch import save_file

        save_file({"vectors": self.vectors.detach().contiguous(), "counts": self.counts}, folder / FILE)
        (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> WordVectors:
        """Read what `save` wrote."""
        tensors = read_tensors(folder / FILE)
        return cls(torch.as_tensor(tensors["vectors"]), torch.as_tensor(tensors["counts"]))
