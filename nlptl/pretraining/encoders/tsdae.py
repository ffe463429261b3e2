"""TSDAE (Wang et al. 2021): a text with most words deleted to one vector, and from that vector back to the whole text.

Shapes: B texts, N packed tokens, M predicted tokens, D dimension, L layers, V vocabulary.
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
from nlptl.models.transformer import Transformer
from nlptl.pretraining.encoders.masked_lm import BUDGET
from nlptl.pretraining.encoders.pile import NO_WORD, Draw, TokenPile
from nlptl.randomness import chance
from nlptl.training.batches import length_sorted_batches, share_of_rows
from nlptl.training.loop import ParameterGroup

if TYPE_CHECKING:
    from nlptl.models.encoder import Encoder
    from nlptl.models.masked_lm_head import MaskedLMHead

NEW_RATE = 1e-3  # learning rate of what has no pretrained weights


@dataclasses.dataclass(frozen=True)
class Deletion:
    """Deletes each word with `probability`, all its pieces together; one word always stays."""

    probability: float
    seed: int

    def __call__(self, pile: TokenPile, draw: Draw) -> Batch:
        """Return what is left of the texts of a draw."""
        places, lengths = pile.places(draw.rows)
        rows = np.repeat(draw.rows.numpy(), lengths.numpy())
        text = np.repeat(np.arange(len(lengths)), lengths.numpy())
        words = pile.words[places]
        luck = np.where(words == NO_WORD, -1.0, chance(self.seed, draw.epoch, rows, words))
        best = np.full(len(lengths), -1.0)
        np.maximum.at(best, text, luck)
        kept = (words == NO_WORD) | (luck >= self.probability) | (luck == best[text])
        ids = torch.from_numpy(pile.ids[places][kept].astype(np.int64))
        return Batch(ids, torch.from_numpy(np.bincount(text[kept], minlength=len(lengths))))


class Memory(nn.Module):
    """memory_l = U_l s + b_l for each layer l of the decoder, of the sentence vector s.

    The paper's decoder attends to s by cross-attention. Attention over one key gives it the weight softmax = 1, so that
    its output is an affine map of s whatever the query: that map is what is kept of it, U (L, D, D) and b (L, D).
    """

    def __init__(self, layers: int, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(layers, dim, dim).normal_(std=INITIAL_STD, generator=generator))
        self.bias = nn.Parameter(torch.zeros(layers, dim))

    def forward(self, vectors: Tensor) -> list[Tensor]:
        """Return one vector (B, D) a layer of sentence vectors (B, D)."""
        return [
            nn.functional.linear(vectors, weight, bias) for weight, bias in zip(self.weight, self.bias, strict=True)
        ]


class TSDAETraining:
    """loss = mean of -log p(w_i | w_<i, s), where s is the vector of the text without its deleted words (eq. 1).

    The decoder has the encoder's own layers (tied, as the paper found best), reads from the left only, and predicts
    through a masked-LM head: that of the weights, or a fresh one tied to the embeddings.
    """

    def __init__(
        self, encoder: Encoder, head: MaskedLMHead, pile: TokenPile, deletion: Deletion, generator: torch.Generator,
        *, fresh: bool,
    ) -> None:  # fmt: skip
        """`fresh` says that the head has no pretrained weights; `generator` draws those of the memory."""
        assert isinstance(encoder.token_model, Transformer)
        self.encoder, self.head, self.pile, self.deletion, self.fresh = encoder, head, pile, deletion, fresh
        self.memory = Memory(encoder.token_model.depth, encoder.dim, generator).to(encoder.device)
        self.module: nn.Module = nn.ModuleDict({"encoder": encoder, "head": head, "memory": self.memory})
        self.tokens = 0

    def groups(self, learning_rate: float) -> list[ParameterGroup]:
        """Return the pretrained parameters at `learning_rate` and the new ones at their own."""
        old, new = list(self.encoder.parameters()), list(self.memory.parameters())
        (new if self.fresh else old).extend(self.head.parameters())
        return [ParameterGroup(old, learning_rate), ParameterGroup(new, NEW_RATE)]

    def loss(self, draw: Draw) -> Tensor:
        """Return the mean cross-entropy () of the tokens in a draw; 0 where no text has two."""
        ruins, whole = self.deletion(self.pile, draw), self.pile.batch(draw.rows)
        self.tokens += len(ruins.input_ids) + len(whole.input_ids)
        return self._summed(ruins, whole) / max(1, _predicted(whole.lengths))

    def share(self, draw: Draw, process: int, processes: int) -> tuple[Draw, float]:
        """Return process i's texts of a draw, weighed by how many tokens they have."""
        part = Draw(draw.epoch, share_of_rows(draw.rows, process, processes)[0])
        mine = _predicted(self.pile.lengths[part.rows]) if len(draw.rows) > process else 0
        return part, processes * mine / max(1, _predicted(self.pile.lengths[draw.rows]))

    @torch.inference_mode()
    def measure(self, pile: TokenPile) -> float | None:
        """Return the mean loss on other texts under fixed deletions; None where no text has two tokens."""
        predicted = _predicted(pile.lengths)
        if not predicted:
            return None
        self.module.eval()
        batches = length_sorted_batches(pile.lengths, budget=BUDGET)
        total = sum(float(self._summed(self.deletion(pile, Draw(0, rows)), pile.batch(rows))) for rows in batches)
        return total / predicted

    def _summed(self, ruins: Batch, whole: Batch) -> Tensor:
        token_model, device = self.encoder.token_model, self.encoder.device
        assert isinstance(token_model, Transformer)
        ruins, whole = ruins.to(device), whole.to(device)
        vectors = self.encoder.pooling(token_model(ruins), ruins)
        hidden = token_model.decode(whole, self.memory(vectors))
        last = whole.lengths.cumsum(0) - 1
        predicting = torch.ones(len(whole.input_ids), dtype=torch.bool)
        predicting[last] = False
        places = predicting.nonzero()[:, 0].to(device)
        logits = self.head(hidden[places], token_model.word_embeddings.weight)
        return nn.functional.cross_entropy(logits, whole.input_ids[places + 1], reduction="sum")


def check_lengths(pile: TokenPile) -> None:
    """Raise DataError for texts of one token each, which has none before it to be predicted from."""
    if not _predicted(pile.lengths):
        raise DataError(
            f"{pile.name}: found no text of two tokens among the {len(pile)} texts to learn from; expected some, because "
            "TSDAE predicts a token from those before it. Give longer texts, or choose objective: mlm."
        )


def _predicted(lengths: Tensor) -> int:
    """Return how many tokens of texts of `lengths` (B,) have one before them."""
    return int((lengths - 1).clamp(min=0).sum())
