"""Two made-up domains in which a label is a direction and a domain another."""

from __future__ import annotations

import torch

from nlptl.finetuning.domains.domain_heads import HeadTraining
from nlptl.finetuning.domains.task import Domains
from nlptl.finetuning.gradient.cross_validation import Choice
from nlptl.finetuning.gradient.fitting import Settings
from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head
from tests.models.tiny import DIM, tiny_encoder

SETTINGS = Settings(l2=0.1, epochs=20, batch_size=None, folds=3, patience=1, seed=0)
TRAINING = HeadTraining(SETTINGS, Choice(0.1, 20, None, ""))


def made_up(*, shift: float, source: int = 60, target: int = 50, known: int = 0) -> tuple[Domains, torch.Tensor]:
    """Return domains and their vectors (t, D): `shift` moves the target along the very direction of the labels."""
    generator = torch.Generator().manual_seed(0)
    count = source + target
    truth = torch.arange(count) % 2
    vectors = torch.randn(count, DIM, generator=generator)
    vectors[:, 0] += 3.0 * truth - 1.5
    vectors[source:, 0] += shift
    return Domains([f"text {row}" for row in range(count)], truth[: source + known], source), vectors


def given() -> TextClassifier:
    """Return a tiny classifier with an untrained head."""
    return TextClassifier(tiny_encoder("bert"), Head(DIM, 2), ["no", "yes"]).eval()
