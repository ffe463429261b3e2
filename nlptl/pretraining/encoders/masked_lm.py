"""Masked language modelling (Devlin et al. 2019): which tokens are hidden, and the loss of guessing them.

Shapes: B texts, N packed tokens, M tokens to be guessed, D dimension, V vocabulary.
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
from nlptl.randomness import chance
from nlptl.training.batches import length_sorted_batches, share_of_rows
from nlptl.training.loop import ParameterGroup

if TYPE_CHECKING:
    from nlptl.models.encoder import Encoder
    from nlptl.models.masked_lm_head import MaskedLMHead

EVALUATED_TEXTS = 200  # a smaller held-out part is masked in several ways until it stands for so many
BUDGET = 4096  # tokens a batch when measuring
_CHOSEN, _FATE, _NOISE = range(3)  # what a random number is for


@dataclasses.dataclass(frozen=True)
class Masked:
    """Texts with hidden tokens."""

    batch: Batch
    """The texts as the encoder sees them."""
    places: Tensor
    """(M,) rows of `batch.input_ids` to be guessed."""
    targets: Tensor
    """(M,) the ids that stood there."""


@dataclasses.dataclass(frozen=True)
class Masking:
    """Hides words (or single tokens) with `probability`: 80 % become the mask, 10 % a random token, 10 % stay.

    A function of (seed, epoch, row) alone. Special and unknown tokens are never asked for.
    """

    probability: float
    whole_word: bool
    mask_id: int
    vocabulary: int
    """V, from which random tokens are drawn."""
    seed: int

    def __call__(self, pile: TokenPile, draw: Draw) -> Masked:
        """Return the texts of a draw with hidden tokens."""
        places, lengths = pile.places(draw.rows)
        ids, words = pile.ids[places].astype(np.int64), pile.words[places]
        rows = np.repeat(draw.rows.numpy(), lengths.numpy())
        position = places - pile.begins.numpy()[rows]
        unit = words if self.whole_word else position
        chosen = chance(self.seed, draw.epoch, rows, _CHOSEN, unit) < self.probability
        chosen &= words != NO_WORD
        fate = chance(self.seed, draw.epoch, rows, _FATE, position)
        noise = chance(self.seed, draw.epoch, rows, _NOISE, position) * self.vocabulary
        seen = np.where(chosen & (fate < 0.8), self.mask_id, ids)
        seen = np.where(chosen & (fate >= 0.9), noise.astype(np.int64), seen)
        asked = np.flatnonzero(chosen)
        return Masked(Batch(torch.from_numpy(seen), lengths), torch.from_numpy(asked), torch.from_numpy(ids[asked]))


class MaskedLMTraining:
    """Encoder and head learn together; with `frozen` the head alone, on an encoder that stays as it is."""

    def __init__(
        self, encoder: Encoder, head: MaskedLMHead, pile: TokenPile, masking: Masking, *, frozen: bool = False
    ) -> None:
        self.encoder, self.head, self.pile, self.masking, self.frozen = encoder, head, pile, masking, frozen
        self.module: nn.Module = head if frozen else nn.ModuleDict({"encoder": encoder, "head": head})
        self.tokens = 0

    def groups(self, learning_rate: float) -> list[ParameterGroup]:
        """Return what moves: all parameters, or those of the head."""
        return [ParameterGroup(list(self.module.parameters()), learning_rate)]

    def loss(self, draw: Draw) -> Tensor:
        """Return the mean cross-entropy () of the hidden tokens in a draw."""
        masked = self.masking(self.pile, draw)
        self.tokens += len(masked.batch.input_ids)
        return self._summed(masked) / max(1, len(masked.places))

    def share(self, draw: Draw, process: int, processes: int) -> tuple[Draw, float]:
        """Return process i's texts of a draw, weighed by how many of its hidden tokens they have."""
        part = Draw(draw.epoch, share_of_rows(draw.rows, process, processes)[0])
        whole = len(self.masking(self.pile, draw).places)
        mine = len(self.masking(self.pile, part).places) if len(draw.rows) > process else 0
        return part, processes * mine / max(1, whole)

    @torch.inference_mode()
    def measure(self, pile: TokenPile) -> float | None:
        """Return the mean loss on other texts under fixed masks; its exponential is the perplexity.

        None where they have no word to be guessed.
        """
        total, asked = 0.0, 0
        self.encoder.eval(), self.head.eval()
        for again in range(min(50, -(-EVALUATED_TEXTS // len(pile)))):
            for rows in length_sorted_batches(pile.lengths, budget=BUDGET):
                masked = self.masking(pile, Draw(-again, rows))
                total += float(self._summed(masked))
                asked += len(masked.places)
        return total / asked if asked else None

    def _summed(self, masked: Masked) -> Tensor:
        token_model, device = self.encoder.token_model, self.encoder.device
        assert isinstance(token_model, Transformer)
        if not len(masked.places):
            return self.head.bias.sum() * 0.0
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen), token_model.reading(-1):
            hidden = token_model(masked.batch.to(device))[masked.places.to(device)]
        table = token_model.word_embeddings.weight
        logits = self.head(hidden, table.detach() if self.frozen else table)
        return nn.functional.cross_entropy(logits, masked.targets.to(device), reduction="sum")
