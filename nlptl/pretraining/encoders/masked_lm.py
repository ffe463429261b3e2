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
from nlptl.pretraining.encoders.pile import NO_WORD, Draw, TokenPile
from nlptl.pretraining.encoders.pile_training import TokenPrediction
from nlptl.randomness import keyed_uniform

if TYPE_CHECKING:
    from nlptl.models.encoder import Encoder
    from nlptl.models.masked_lm_head import MaskedLMHead

_CHOSEN, _FATE, _NOISE = range(3)  # purposes of a random number


@dataclasses.dataclass(frozen=True)
class MaskedBatch:
    """Batch with hidden tokens."""

    batch: Batch
    places: Tensor  # (M,) positions in `batch.input_ids` to predict
    targets: Tensor  # (M,) true token ids


@dataclasses.dataclass(frozen=True)
class Masking:
    """Function that hides words (or tokens) with `probability`: 80 % by the mask, 10 % by a random token, 10 % stay.

    It depends on seed, epoch and row alone. Special and unknown tokens are never predicted.
    """

    probability: float
    whole_word: bool
    mask_id: int
    vocabulary: int  # V, the range of random tokens
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
        batch = Batch(torch.from_numpy(seen), lengths)
        return MaskedBatch(batch, torch.from_numpy(asked), torch.from_numpy(ids[asked]))


class MaskedLMTraining(TokenPrediction):
    """Training of encoder and head, or with `frozen` of the head alone."""

    measured_texts = 200

    def __init__(
        self, encoder: Encoder, head: MaskedLMHead, pile: TokenPile, masking: Masking, *, frozen: bool = False
    ) -> None:
        super().__init__(encoder, pile)
        self.head, self.masking, self.frozen = head, masking, frozen
        self.module = head if frozen else nn.ModuleDict({"encoder": encoder, "head": head})

    def predicted(self, draw: Draw) -> int:
        """Return the number of hidden tokens of a draw."""
        return len(self.masking(self.pile, draw).places)

    def loss_sum(self, pile: TokenPile, draw: Draw) -> tuple[Tensor, int, int]:
        """Return the summed cross-entropy () of the hidden tokens, their number, and that of tokens read."""
        masked = self.masking(pile, draw)
        token_model, device, read = self.encoder.transformer, self.encoder.device, len(masked.batch.input_ids)
        if not len(masked.places):
            return self.head.bias.sum() * 0.0, 0, read
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            hidden = token_model(masked.batch.to(device), layer=-1)[masked.places.to(device)]
        table = token_model.word_embeddings.weight
        logits = self.head(hidden, table.detach() if self.frozen else table)
        total = nn.functional.cross_entropy(logits, masked.targets.to(device), reduction="sum")
        return total, len(masked.places), read
