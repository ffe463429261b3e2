"""Unsupervised SimCSE (Gao et al. 2021): recognise a text under another dropout mask among other texts.

Shapes: B texts, S texts of all processes, D dimension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nlptl.models.packing import Batch
from nlptl.pretraining.encoders.pile import Draw, TokenPile
from nlptl.pretraining.encoders.pile_training import PileTraining
from nlptl.randomness import seeded
from nlptl.training.batches import length_sorted_batches, share_of_rows
from nlptl.training.collectives import gathered

if TYPE_CHECKING:
    from nlptl.models.encoder import Encoder

DROPOUT_TEST_TEXTS, DROPOUT_TEST_TOKENS = 16, 4  # texts, and tokens of each, that show whether dropout acts


class SimCSETraining(PileTraining):
    """loss_i = -log exp(cos(z_i, z'_i) / t) / sum_j exp(cos(z_i, z'_j) / t), z and z' two dropout passes (eq. 4).

    Texts of a batch have similar lengths, because length would reveal the positive (Wu et al. 2022). The paper's extra
    layer above cls is left out: it helps cls pooling alone. Processes share their vectors as negatives.
    """

    def __init__(self, encoder: Encoder, pile: TokenPile, *, temperature: float, batch_size: int, seed: int) -> None:
        """Set up the training. `seed` fixes the dropout of measurements."""
        super().__init__(encoder, pile)
        self.module, self.temperature, self.batch_size, self.seed = encoder, temperature, batch_size, seed

    def loss(self, draw: Draw) -> Tensor:
        """Return the loss () of a draw: the sum over texts / batch_size."""
        self.tokens += 2 * int(self.pile.lengths[draw.rows].sum())
        return self._losses(self.pile, draw.rows, shared=draw.shared).sum() / self.batch_size

    def share(self, draw: Draw, process: int, processes: int) -> tuple[Draw, float]:
        """Return the texts of one process. Losses are sums, so its weight is the number of processes."""
        if len(draw.rows) < processes:
            return draw, 1.0  # each process takes all
        return Draw(draw.epoch, share_of_rows(draw.rows, process, processes)[0], shared=True), float(processes)

    def measure(self, pile: TokenPile) -> float:
        """Return the mean loss under fixed dropout."""
        budget = max(1, round(self.batch_size * float(pile.lengths.double().mean())))
        self.encoder.train()
        with torch.inference_mode(), seeded(self.seed, self.encoder.device):
            losses = [self._losses(pile, rows) for rows in length_sorted_batches(pile.lengths, budget=budget)]
        self.encoder.eval()
        return float(torch.cat(losses).mean())

    def _losses(self, pile: TokenPile, rows: Tensor, *, shared: bool = False) -> Tensor:
        """Return the loss of each text (B,). Both passes are one batch, the copies side by side."""
        vectors = self.encoder(pile.batch(rows.repeat_interleave(2)).to(self.encoder.device))
        with torch.autocast(vectors.device.type, enabled=False):
            one, other = vectors[0::2].float(), vectors[1::2].float()
            others, begin = gathered(other) if shared else (other, 0)
            return contrastive_losses(one, others, self.temperature, begin)


def contrastive_losses(one: Tensor, other: Tensor, temperature: float, begin: int = 0) -> Tensor:
    """Return -log softmax of cos(one_i, other_j) / temperature at j = i + begin (B,) of vectors (B, D) and (S, D)."""
    cosines = nn.functional.normalize(one, dim=1) @ nn.functional.normalize(other, dim=1).T
    own = torch.arange(begin, begin + len(one), device=one.device)
    return nn.functional.cross_entropy(cosines / temperature, own, reduction="none")


def has_dropout(encoder: Encoder) -> bool:
    """Return whether two training passes differ. Settings do not tell: packed attention never drops attention weights."""
    ids = torch.arange(DROPOUT_TEST_TEXTS * DROPOUT_TEST_TOKENS) % encoder.tokenizer.get_vocab_size()
    batch = Batch(ids, torch.full((DROPOUT_TEST_TEXTS,), DROPOUT_TEST_TOKENS)).to(encoder.device)
    encoder, was_training = encoder.with_views(()), encoder.training
    encoder.train()
    with torch.inference_mode(), seeded(0, encoder.device):
        one, other = encoder(batch), encoder(batch)
    encoder.train(was_training)
    # A GPU adds in another order each time: small differences are no dropout.
    return not torch.allclose(one, other, rtol=1e-3, atol=1e-5)
