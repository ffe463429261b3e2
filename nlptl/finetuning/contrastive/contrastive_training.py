"""Supervised contrastive training of an encoder on a few labelled texts: texts of one label together, others apart.

Shapes: B texts of a batch, n labelled texts, M sentences that name labels, D dimension, K labels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from nlptl.finetuning.gradient.layer_tuner import LayerFit, LayerTuner
from nlptl.progress import byte_size
from nlptl.training.batches import label_batches
from nlptl.training.checkpoints import Checkpoints
from nlptl.training.compute import Precision
from nlptl.training.loop import Schedule, TrainingJob, train

STEPS = (20, 400)  # least and most that `steps: auto` takes
PASSES = (4, 16)  # least and most times that each text is seen under `steps: auto`, see `passes_for`
BATCH = (16, 64)  # least and most labelled texts of a step under `batch_size: auto`
ACTIVATIONS = 18  # kept by a layer, a token and dimension: inputs, query, key, value, and 4 x 2 of the MLP


@dataclasses.dataclass(frozen=True)
class ContrastiveSettings:
    """Settings of one training."""

    steps: int | None  # None: enough to see each text `passes` times, within `STEPS`
    batch_size: int
    temperature: float
    seed: int
    passes: int = PASSES[0]  # times that each text is seen where `steps` is None
    precision: Precision = "float32"


@dataclasses.dataclass(frozen=True)
class ContrastivePlan:
    """Size of a contrastive training, known before it starts."""

    steps: int
    batch_size: int  # texts a step on average, the sentences that name their labels among them
    tokens: int  # tokens that pass through the layers that move, all steps together
    flops: float  # operations of the matrix products, forwards and backwards
    bytes: int  # memory of what moves: weights, gradients and two moments of AdamW, and the activations of a step

    def sentence(self, seconds: float | None) -> str:
        """Tell the plan in one sentence; `seconds` is the estimated time, if there is one."""
        time = "" if seconds is None else f", about {seconds:.0f} s here" if seconds >= 1 else ", about a second here"
        return (
            f"Contrastive training: {self.steps} steps of {self.batch_size} texts, {self.tokens:,} tokens, "
            f"{self.flops / 1e12:.2g} TFLOP and {byte_size(self.bytes)}{time}."
        )


def supervised_contrastive_loss(vectors: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Return the loss () of vectors (B, D) with labels (B,): Khosla et al. 2020, eq. 2, over unit vectors.

    Each text pulls the others of its label towards itself, against all others of the batch:
    mean over texts i of -1/|P(i)| sum over p in P(i) of log(exp(z_i z_p / t) / sum over a != i of exp(z_i z_a / t)).
    A text without another of its label in the batch has no term; without any the loss is 0.
    """
    unit = normalize(vectors, dim=1)
    own = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    with torch.autocast(unit.device.type, enabled=False):  # a low temperature enlarges what bfloat16 rounds off
        similarities = (unit @ unit.T / temperature).masked_fill(own, -math.inf)
    log_shares = similarities - similarities.logsumexp(dim=1, keepdim=True)
    positive = (labels[:, None] == labels[None, :]) & ~own
    partners = positive.sum(dim=1)
    pulled = log_shares.masked_fill(~positive, 0.0).sum(dim=1)
    texts = (partners > 0).sum().clamp(min=1)
    return -(pulled / partners.clamp(min=1)).sum() / texts


def batch_size_for(labels: int) -> int:
    """Return the labelled texts of a step: two of each label, within `BATCH`.

    A batch with few of many labels shows too few of the texts to tell them apart from.
    """
    return max(BATCH[0], min(BATCH[1], 2 * labels))


def passes_for(examples: int, labels: int) -> int:
    """Return how often each text is best seen: a quarter as often as a label has examples, within `PASSES`.

    A few examples are soon learnt by heart; more passes only move the layers away from what they knew.
    """
    return max(PASSES[0], min(PASSES[1], round(examples / labels / 4)))


def steps_for(texts: int, batch_size: int, *, passes: int) -> int:
    """Return the steps that see each text `passes` times, within `STEPS`."""
    return max(STEPS[0], min(STEPS[1], round(passes * texts / batch_size)))


@dataclasses.dataclass(frozen=True)
class Pool:
    """Texts of which each step takes some."""

    rows: Tensor  # (P,) row numbers among the tuner's texts
    batch_size: int  # how many a step takes


class ContrastiveTraining:
    """One contrastive training: planned when it is made, run by `run`.

    A step takes texts from each pool, and the sentences that name their labels, so that texts gather around these.
    """

    def __init__(
        self, tuner: LayerTuner, labels: Tensor, pools: Sequence[Pool], *, named: Tensor, settings: ContrastiveSettings
    ) -> None:
        """`labels` (n,) are those of all texts of the tuner, `named` (M,) the rows of the sentences that name labels."""
        self._tuner, self._labels, self._settings = tuner, labels.cpu(), settings
        generator = torch.Generator().manual_seed(settings.seed)
        texts = sum(len(pool.rows) for pool in pools)
        steps = settings.steps or steps_for(texts, settings.batch_size, passes=settings.passes)

        def drawn(pool: Pool) -> list[Tensor]:
            labels, size = self._labels[pool.rows], pool.batch_size
            found = label_batches(labels, batch_size=size, steps=steps, generator=generator)
            return [pool.rows[rows] for rows in found]

        batches = [torch.cat(parts) for parts in zip(*map(drawn, pools), strict=True)]
        self._fit = tuner.start(pools[0].rows)
        self._batches = [
            torch.cat([rows, named[torch.isin(self._labels[named], self._labels[rows])]]) for rows in batches
        ]
        self.plan = self._planned()

    def run(
        self, *, after_step: Callable[[int, float], None] | None = None, checkpoints: Checkpoints | None = None
    ) -> LayerFit:
        """Train and return the fit; its head has not moved. `after_step` is told the step and its loss."""
        fit, labels = self._fit, self._labels.to(self._fit.encoder.device)

        def loss(rows: Tensor) -> Tensor:
            self._tuner.count(rows, training=True)
            vectors = fit.sentence_vectors(rows)[:, : fit.encoder.own_dim]  # views cannot move
            return supervised_contrastive_loss(vectors, labels[rows], temperature=self._settings.temperature)

        job = TrainingJob(
            model=fit.encoder,
            groups=fit.groups(head=False),
            batches=lambda _: self._batches,
            loss=loss,
            epochs=1,
            seed=self._settings.seed,
            schedule=Schedule(self.plan.steps, warmup=0, decay=self.plan.steps),
            precision=self._settings.precision,
            checkpoints=checkpoints,
        )
        train(job, after_step=after_step)
        return fit

    def _planned(self) -> ContrastivePlan:
        batches = [self._tuner.texts.batch(rows) for rows in self._batches]
        tokens = [len(batch.input_ids) for batch in batches]
        flops = sum(3 * self._tuner.forward_flops(batch) for batch in batches)
        moving = sum(p.numel() for group in self._fit.groups(head=False) for p in group.parameters)
        token_model = self._fit.token_model
        kept = ACTIVATIONS * token_model.dim * max(tokens) * (token_model.used_depth - self._tuner.frozen)
        batch_size = round(sum(map(len, self._batches)) / len(self._batches))
        return ContrastivePlan(len(tokens), batch_size, sum(tokens), flops, 16 * moving + 4 * kept)
