"""Encoder: text to sentence vector. Tokenizer + token model + pooling.

Shapes: B texts, D dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from nlptl.artifact import (
    FORMAT_VERSION,
    Manifest,
    library_versions,
    publish,
    read_json,
    read_manifest,
    read_tensors,
    verify,
)
from nlptl.batching import Batch, pack, token_budget_batches, tokenize
from nlptl.errors import ArtifactError
from nlptl.models.pooling import Pooling
from nlptl.models.word_vectors import WordVectors

SETTINGS = "encoder.json"
TOKENIZER = "tokenizer.json"
POOLING = "pooling.safetensors"
UNKNOWN_ID = 0


class Encoder(nn.Module):
    """sentence_vector(text) = pooling(token_model(tokenizer(text)))."""

    def __init__(self, tokenizer: Tokenizer, token_model: WordVectors, pooling: Pooling) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.token_model = token_model
        self.pooling = pooling

    @property
    def dim(self) -> int:
        """Width D of the sentence vectors."""
        return self.token_model.dim

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.token_model.vectors.device

    def words(self) -> list[str]:
        """Return the vocabulary by id."""
        vocabulary = self.tokenizer.get_vocab()
        return sorted(vocabulary, key=vocabulary.__getitem__)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's ids of known tokens."""
        return tokenize(self.tokenizer, texts, drop=UNKNOWN_ID)

    def forward(self, batch: Batch) -> Tensor:
        """Return sentence vectors (B, D)."""
        pooled: Tensor = self.pooling(self.token_model(batch), batch)
        return pooled

    def encode(
        self, texts: Sequence[str], *, normalize: bool = False, after_batch: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Return sentence vectors (B, D) of texts; `normalize` scales each to length 1 (a zero vector stays zero).

        `after_batch` is told how many texts each finished batch held.
        """
        if isinstance(texts, str):
            raise TypeError("encode expects a list of texts; put the one text into a list")
        ids = self.token_ids(texts)
        parts: list[Tensor] = []
        with torch.inference_mode():
            for rows in token_budget_batches([len(text) for text in ids]):
                parts.append(self(pack(ids[rows.start : rows.stop]).to(self.device)).cpu())
                if after_batch:
                    after_batch(len(rows))
        vectors = torch.cat(parts) if parts else torch.zeros(0, self.dim)
        vectors = nn.functional.normalize(vectors, dim=1) if normalize else vectors
        result: NDArray[np.float32] = vectors.numpy()
        return result

    def save(self, folder: Path | str) -> None:
        """Publish the encoder as a folder that `Encoder.load` reads: whole or not at all."""
        manifest = Manifest(kind="encoder", versions=library_versions(), total_parameters=count_parameters(self))
        publish(Path(folder), self.write_files, manifest)

    def write_files(self, folder: Path) -> None:
        """Write the encoder's files into an existing folder; `save` does it safely."""
        import json

        from safetensors.torch import save_file

        settings = {"format_version": FORMAT_VERSION, "token_model": "word_vectors", "pooling": self.pooling.mode}
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        (folder / TOKENIZER).write_text(self.tokenizer.to_str(pretty=False), encoding="utf-8")
        self.token_model.save(folder)
        save_file(dict(self.pooling.state_dict()), folder / POOLING)

    @classmethod
    def load(cls, folder: Path | str) -> Encoder:
        """Read an encoder from a folder of `save` or of a stage that gives one."""
        verify(Path(folder), read_manifest(Path(folder), kind="encoder"))
        return cls.read_files(Path(folder))

    @classmethod
    def read_files(cls, folder: Path) -> Encoder:
        """Read the files of `write_files`; ArtifactError when one is missing or damaged."""
        settings = read_json(folder / SETTINGS)
        if settings.get("token_model") != "word_vectors":
            raise ArtifactError(
                f"{folder / SETTINGS}: found token_model {settings.get('token_model')!r}; this nlptl reads "
                "'word_vectors'. Update nlptl."
            )
        try:
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception:  # tokenizers raises the bare class
            raise ArtifactError(
                f"{folder / TOKENIZER}: is missing or damaged; expected a tokenizers file. Run the stage again."
            ) from None
        state = read_tensors(folder / POOLING)
        pooling = Pooling(
            settings["pooling"], token_weights=state["token_weights"], common_component=state["common_component"]
        )
        return cls(tokenizer, WordVectors.load(folder), pooling).eval()


def count_parameters(module: nn.Module) -> int:
    """Return the number of scalars in a module's parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
