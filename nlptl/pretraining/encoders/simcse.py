"""Unsupervised SimCSE (Gao et al. 2021): a text and itself under another dropout mask, among other texts.

Shapes: B texts, S texts of all processes together, D dimension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nlptl.models.packing import Batch
from nlptl.pretraining.encoders.pile import Draw, TokenPile
from nlptl.randomness import seeded
from nlptl.training.batches import length_sorted_batches, share_of_rows
from nlptl.training.collectives import gathered
from nlptl.training.loop import ParameterGroup

if TYPE_CHECKING:
    from nlptl.models.encoder import Encoder

TRIED, TRIED_LENGTH = 16, 4  # texts and their tokens that are passed twice to see whether dropout does anything


class SimCSETraining:
    """loss_i = -log exp(cos(z_i, z'_i) / t) / sum_j exp(cos(z_i, z'_j) / t), z and z' two dropout passes (eq. 4).

    Batches hold texts of similar length, so that length does not give a text away (as Wu et al. 2022 found it does).
    Cosines do not see whether the encoder scales its vectors to length 1. The paper's extra layer above cls, which it
    drops after training, is left out: it helps cls pooling alone. Several processes see each other's vectors, so that
    each text has the negatives of the whole batch.
    """

    def __init__(self, encoder: Encoder, pile: TokenPile, *, temperature: float, batch_size: int, seed: int) -> None:
        """`seed` fixes the dropout of measurements."""
        self.encoder, self.pile, self.temperature = encoder, pile, temperature
        self.batch_size, self.seed = batch_size, seed
        self.module: nn.Module = encoder
        self.tokens = 0

    def groups(self, learning_rate: float) -> list[ParameterGroup]:
        """Return all parameters of the encoder."""
        return [ParameterGroup(list(self.encoder.parameters()), learning_rate)]

    def loss(self, draw: Draw) -> Tensor:
        """Return the loss () of a draw, in which each text weighs 1 / batch_size however many there are."""
        self.tokens += 2 * int(self.pile.lengths[draw.rows].sum())
        return self._losses(self.pile, draw.rows, shared=draw.shared).sum() / self.batch_size

    def share(self, draw: Draw, process: int, processes: int) -> tuple[Draw, float]:
        """Return process i's texts; their losses are sums, so that the weight is the number of processes.

        Each takes all texts of a draw that has too few for every process to get one.
        """
        if len(draw.rows) < processes:
            return draw, 1.0
        return Draw(draw.epoch, share_of_rows(draw.rows, process, processes)[0], shared=True), float(processes)

    def measure(self, pile: TokenPile) -> float:
        """Return the mean loss on other texts, under dropout that is the same each time."""
        budget = max(1, round(self.batch_size * float(pile.lengths.double().mean())))
        self.encoder.train()
        with torch.inference_mode(), seeded(self.seed, self.encoder.device):
            losses = [self._losses(pile, rows) for rows in length_sorted_batches(pile.lengths, budget=budget)]
        self.encoder.eval()
        return float(torch.cat(losses).mean())

    def _losses(self, pile: TokenPile, rows: Tensor, *, shared: bool = False) -> Tensor:
        """Return the loss of each text (B,); both passes are one batch, with the two copies next to each other."""
        batch = pile.batch(rows.repeat_interleave(2)).to(self.encoder.device)
        vectors = self.encoder(batch)
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
    """Say whether two passes of an encoder in training differ, without which the texts' two views are one.

    Settings do not tell: packed attention, for one, never drops attention weights.
    """
    ids = torch.arange(TRIED * TRIED_LENGTH) % encoder.tokenizer.get_vocab_size()
    batch = Batch(ids, torch.full((TRIED,), TRIED_LENGTH)).to(encoder.device)
    was_training = encoder.training
    encoder.train()
    with torch.inference_mode(), seeded(0, encoder.device):
        one, other = encoder(batch), encoder(batch)
    encoder.train(was_training)
    # A GPU adds up in another order each time, which is no dropout.
    return not torch.allclose(one, other, rtol=1e-3, atol=1e-5)
