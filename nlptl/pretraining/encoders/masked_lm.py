"""Masked language modelling (Devlin et al. 2019).

Shapes: M tokens to predict, V vocabulary.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from nlptl.models.packing import Batch
from nlptl.models.transformer import Transformer
from nlptl.pretraining.encoders.pile import NO_WORD, Draw, TokenPile
from nlptl.pretraining.encoders.training import weighted_share
from nlptl.randomness import keyed_uniform
from nlptl.training.batches import length_sorted_batches
from nlptl.training.loop import ParameterGroup

if TYPE_CHECKING:
    from nlptl.models.encoder import Encoder
    from nlptl.models.masked_lm_head import MaskedLMHead

MEASURED_TEXTS = 200  # fewer held-out texts are measured under several masks
MEASURE_TOKENS = 4096  # tokens of a batch when measuring
_CHOSEN, _FATE, _NOISE = range(3)  # purposes of a random number


@dataclasses.dataclass(frozen=True)
class MaskedBatch:
    """Batch with hidden tokens."""

    batch: Batch
    places: Tensor
    """(M,) positions in `batch.input_ids` to predict."""
    targets: Tensor
    """(M,) true token ids."""


@dataclasses.dataclass(frozen=True)
class Masking:
    """Function that hides words (or tokens) with `probability`: 80 % by the mask, 10 % by a random token, 10 % stay.

    It depends on seed, epoch and row alone. Special and unknown tokens are never predicted.
    """

    probability: float
    whole_word: bool
    mask_id: int
    vocabulary: int
    """V, the range of random tokens."""
    seed: int

    def __call__(self, pile: TokenPile, draw: Draw) -> MaskedBatch:
        """Hide tokens of a draw."""
        places, lengths = pile.places(draw.rows)
        ids, words = pile.ids[places].astype(np.int64), pile.words[places]
        rows = np.repeat(draw.rows.numpy(), lengths.numpy())
        position = places - pile.begins.numpy()[rows]
        unit = words if self.whole_word else position
        chosen = keyed_uniform(self.seed, draw.epoch, rows, _CHOSEN, unit) < self.probability
        chosen &= words != NO_WORD
        fate = keyed_uniform(self.seed, draw.epoch, rows, _FATE, position)
        noise = keyed_uniform(self.seed, draw.epoch, rows, _NOISE, position) * self.vocabulary
        seen = np.where(chosen & (fate < 0.8), self.mask_id, ids)
        seen = np.where(chosen & (fate >= 0.9), noise.astype(np.int64), seen)
        asked = np.flatnonzero(chosen)
        return MaskedBatch(
            Batch(torch.from_numpy(seen), lengths), torch.from_numpy(asked), torch.from_numpy(ids[asked])
        )


class MaskedLMTraining:
    """Training of encoder and head, or with `frozen` of the head alone."""

    def __init__(
        self, encoder: Encoder, head: MaskedLMHead, pile: TokenPile, masking: Masking, *, frozen: bool = False
    ) -> None:
        self.encoder, self.head, self.pile, self.masking, self.frozen = encoder, head, pile, masking, frozen
        self.module: nn.Module = head if frozen else nn.ModuleDict({"encoder": encoder, "head": head})
        self.tokens = 0

    def groups(self, learning_rate: float) -> list[ParameterGroup]:
        """Return the parameters to train."""
        return [ParameterGroup(list(self.module.parameters()), learning_rate)]

    def loss(self, draw: Draw) -> Tensor:
        """Return the mean cross-entropy () of the hidden tokens."""
        masked = self.masking(self.pile, draw)
        self.tokens += len(masked.batch.input_ids)
        return self._loss_sum(masked) / max(1, len(masked.places))

    def share(self, draw: Draw, process: int, processes: int) -> tuple[Draw, float]:
        """Return the texts of one process, weighted by their hidden tokens."""
        return weighted_share(draw, process, processes, lambda part: len(self.masking(self.pile, part).places))

    @torch.inference_mode()
    def measure(self, pile: TokenPile) -> float | None:
        """Return the mean loss under fixed masks, None if there is nothing to predict. Its exponential is the perplexity."""
        total, asked = 0.0, 0
        self.encoder.eval(), self.head.eval()
        for again in range(min(50, -(-MEASURED_TEXTS // len(pile)))):
            for rows in length_sorted_batches(pile.lengths, budget=MEASURE_TOKENS):
                masked = self.masking(pile, Draw(-again, rows))
                total += float(self._loss_sum(masked))
                asked += len(masked.places)
        return total / asked if asked else None

    def _loss_sum(self, masked: MaskedBatch) -> Tensor:
        token_model, device = self.encoder.token_model, self.encoder.device
        assert isinstance(token_model, Transformer)
        if not len(masked.places):
            return self.head.bias.sum() * 0.0
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen), token_model.reading(-1):
            hidden = token_model(masked.batch.to(device))[masked.places.to(device)]
        table = token_model.word_embeddings.weight
        logits = self.head(hidden, table.detach() if self.frozen else table)
        return nn.functional.cross_entropy(logits, masked.targets.to(device), reduction="sum")
