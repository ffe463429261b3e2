"""TSDAE (Wang et al. 2021): delete words, encode the rest, reconstruct the text from that vector.

Shapes: B texts, D dimension, L layers.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from nlptl.errors import DataError
from nlptl.models.masked_lm_head import INITIAL_STD
from nlptl.models.packing import Batch
from nlptl.pretraining.encoders.pile import NO_WORD, Draw, TokenPile
from nlptl.pretraining.encoders.pile_training import TokenPrediction
from nlptl.randomness import keyed_uniform
from nlptl.training.loop import ParameterGroup

if TYPE_CHECKING:
    from nlptl.models.encoder import Encoder
    from nlptl.models.masked_lm_head import MaskedLMHead

NEW_LEARNING_RATE = 1e-3  # for parameters without pretrained weights


@dataclasses.dataclass(frozen=True)
class Deletion:
    """Function that deletes each word with `probability`, with all its word pieces. One word always stays."""

    probability: float
    seed: int

    def __call__(self, pile: TokenPile, draw: Draw) -> Batch:
        """Return the texts of a draw without the deleted words."""
        places, lengths = pile.places(draw.rows)
        rows = np.repeat(draw.rows.numpy(), lengths.numpy())
        text = np.repeat(np.arange(len(lengths)), lengths.numpy())
        words = pile.words[places]
        luck = np.where(words == NO_WORD, -1.0, keyed_uniform(self.seed, draw.epoch, rows, words))
        best = np.full(len(lengths), -1.0)
        np.maximum.at(best, text, luck)
        kept = (words == NO_WORD) | (luck >= self.probability) | (luck == best[text])
        ids = torch.from_numpy(pile.ids[places][kept].astype(np.int64))
        return Batch(ids, torch.from_numpy(np.bincount(text[kept], minlength=len(lengths))))


class DecoderMemory(nn.Module):
    """memory_l = U_l s + b_l for each decoder layer l and the sentence vector s; U (L, D, D), b (L, D).

    It stands for the paper's cross-attention to s. Attention over a single key has weight 1, so its output is an affine
    map of s whatever the query.
    """

    def __init__(self, layers: int, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(layers, dim, dim).normal_(std=INITIAL_STD, generator=generator))
        self.bias = nn.Parameter(torch.zeros(layers, dim))

    def forward(self, vectors: Tensor) -> list[Tensor]:
        """Map sentence vectors (B, D) to one (B, D) a layer."""
        return [nn.functional.linear(vectors, *affine) for affine in zip(self.weight, self.bias, strict=True)]


class TSDAETraining(TokenPrediction):
    """loss = mean of -log p(w_i | w_<i, s), with s the vector of the text without the deleted words (eq. 1).

    The decoder shares the encoder's layers (best in the paper) with causal attention. A masked-LM head predicts: that of
    the weights, or a fresh one tied to the embeddings.
    """

    def __init__(
        self, encoder: Encoder, head: MaskedLMHead, pile: TokenPile, deletion: Deletion, generator: torch.Generator,
        *, fresh: bool,
    ) -> None:  # fmt: skip
        """Set up the training. `fresh`: the head has no pretrained weights. `generator` draws those of the memory."""
        super().__init__(encoder, pile)
        self.head, self.deletion, self.fresh = head, deletion, fresh
        self.memory = DecoderMemory(encoder.transformer.depth, encoder.transformer.dim, generator).to(encoder.device)
        self.module = nn.ModuleDict({"encoder": encoder, "head": head, "memory": self.memory})

    def groups(self, learning_rate: float) -> list[ParameterGroup]:
        """Return the parameters to train; new ones have a learning rate of their own."""
        old, new = list(self.encoder.parameters()), list(self.memory.parameters())
        (new if self.fresh else old).extend(self.head.parameters())
        return [ParameterGroup(old, learning_rate), ParameterGroup(new, NEW_LEARNING_RATE)]

    def predicted(self, draw: Draw) -> int:
        """Return the number of predicted tokens of a draw: all but the first of each text."""
        return _predicted(self.pile.lengths[draw.rows])

    def loss_sum(self, pile: TokenPile, draw: Draw) -> tuple[Tensor, int, int]:
        """Return the summed cross-entropy () of the predicted tokens, their number, and that of tokens read."""
        token_model, device = self.encoder.transformer, self.encoder.device
        remaining, whole = self.deletion(pile, draw).to(device), pile.batch(draw.rows).to(device)
        vectors = self.encoder.pooling(token_model(remaining), remaining)
        hidden = token_model.decode(whole, self.memory(vectors))
        predicting = torch.ones(len(whole.input_ids), dtype=torch.bool)
        predicting[whole.lengths.cumsum(0) - 1] = False  # nothing follows the last token of a text
        places = predicting.nonzero()[:, 0].to(device)
        logits = self.head(hidden[places], token_model.word_embeddings.weight)
        total = nn.functional.cross_entropy(logits, whole.input_ids[places + 1], reduction="sum")
        return total, _predicted(whole.lengths), len(remaining.input_ids) + len(whole.input_ids)


def check_lengths(pile: TokenPile) -> None:
    """Raise DataError if every text has one token only: TSDAE predicts from the tokens before."""
    if not _predicted(pile.lengths):
        raise DataError(
            f"{pile.name}: found no text of two tokens among {len(pile)}; expected some, because TSDAE predicts a token from those "
            "before it. Give longer texts, or choose objective: mlm."
        )


def _predicted(lengths: Tensor) -> int:
    """Return the number of tokens that have one before them."""
    return int((lengths - 1).clamp(min=0).sum())
