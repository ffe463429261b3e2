"""Sentence vectors over frozen layers, whose output for each text is computed once.

Shapes: B texts of a batch, N tokens of all texts, W width of the output, U tokens of the texts' vocabulary, D dimension.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nlptl.models.at_rest import not_training
from nlptl.models.encoder import Encoder
from nlptl.models.packing import Batch, TokenizedTexts
from nlptl.models.transformer import Transformer
from nlptl.training.batches import length_sorted_batches

MAX_MEMORY_BYTES = 2 << 30  # larger caches go into a memory-mapped file
MAX_DISK_BYTES = 64 << 30  # above, the frozen layers run again for every batch


class FrozenLayers:
    """token vectors = transformer.upper(frozen_layers.of(rows), batch, layers), as if nothing had been cached.

    The frozen layers run in evaluation mode: what does not learn needs no dropout.
    """

    def __init__(
        self,
        token_model: Transformer,
        texts: TokenizedTexts,
        layers: int,
        *,
        vocabulary: Tensor | None = None,
        after_batch: Callable[[int], None] | None = None,
    ) -> None:
        """Run embeddings and the first `layers` layers of `token_model` over `texts`; 0 runs and keeps nothing.

        `vocabulary` (U,) holds the sorted ids of the tokens to which the embeddings of the encoders that read here are cut.
        `after_batch` is told how many texts each batch held.
        """
        self._token_model, self._texts, self.layers, self._vocabulary = token_model, texts, layers, vocabulary
        self.bytes = 4 * len(texts.ids) * token_model.frozen_width  # as float32
        self.place = "memory" if self.bytes <= MAX_MEMORY_BYTES else "file"
        if not layers or self.bytes > MAX_DISK_BYTES:
            self.place = "nowhere"
        self._rows = self._storage()
        if self._rows is None:
            return
        for rows in length_sorted_batches(texts.lengths, budget=token_model.token_budget):
            self._rows[texts.places(rows)] = self._run(texts.batch(rows)).to(self._rows.device)
            if after_batch is not None:
                after_batch(len(rows))

    def of(self, rows: Tensor) -> Tensor:
        """Return the output of the frozen layers for the texts (B,), token after token, on the model's device."""
        if self._rows is None:
            return self._run(self._texts.batch(rows))
        return self._rows[self._texts.places(rows).to(self._rows.device)].to(self._token_model.device)

    def vectors(self, encoder: Encoder, rows: Tensor) -> Tensor:
        """Return sentence vectors (B, D) of the texts (B,) by the layers of `encoder` above the frozen ones.

        Without frozen layers, all of `encoder` runs.
        """
        token_model, batch = encoder.transformer, self._texts.batch(rows)
        named = batch.to(encoder.device)  # poolings weigh tokens by their real ids
        if self._vocabulary is not None:
            batch = dataclasses.replace(batch, input_ids=torch.searchsorted(self._vocabulary, batch.input_ids))
        batch = batch.to(encoder.device)
        below = self.of(rows) if self.layers else token_model.lower(batch, 0)
        tokens = token_model.upper(below, batch, self.layers)
        with torch.autocast(encoder.device.type, enabled=False):  # sums over tokens need all bits
            return encoder.pooled(tokens.float(), named)

    def all_vectors(self, encoder: Encoder, rows: Tensor | None = None) -> Tensor:
        """Return the vectors (B, D) of the texts (B,), or of all, as predictions see them, on the CPU."""
        rows = torch.arange(len(self._texts.lengths)) if rows is None else rows
        vectors = torch.empty(len(rows), encoder.dim)
        with torch.inference_mode(), not_training(encoder):
            for part in length_sorted_batches(self._texts.lengths[rows], budget=encoder.transformer.token_budget):
                vectors[part] = self.vectors(encoder, rows[part]).float().cpu()
        return vectors.clone()

    def _run(self, batch: Batch) -> Tensor:
        with torch.no_grad(), not_training(self._token_model):
            return self._token_model.lower(batch.to(self._token_model.device), self.layers).float()

    def _storage(self) -> Tensor | None:
        shape = (len(self._texts.ids), self._token_model.frozen_width)
        if self.place == "nowhere":
            return None
        if self.place == "memory":
            return torch.empty(shape, device=self._token_model.device)
        with tempfile.TemporaryFile() as file:  # it has no name, so that even a kill leaves nothing behind
            try:
                os.posix_fallocate(file.fileno(), 0, self.bytes)  # else a full disk would kill the process later
            except OSError:
                self.place = "nowhere"
                return None
            return torch.from_numpy(np.memmap(file, np.float32, "w+", shape=shape))
