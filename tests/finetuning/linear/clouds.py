"""Gaussian clouds of labelled vectors, and the same without one example."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nlptl.finetuning.linear import LabelledVectors


def cloud(examples: int, labels: int, dim: int, *, seed: int = 0, apart: float = 0.7) -> LabelledVectors:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.arange(examples) % labels
    means = torch.randn(labels, dim, generator=generator) * apart
    spread = torch.linspace(2, 0.2, dim)
    noise = torch.randn(examples, dim, generator=generator)
    return LabelledVectors.of((means[ids] + noise) * spread + 3, ids, labels)


def copied(vectors: LabelledVectors) -> LabelledVectors:
    """Return the examples with one, two or three copies of each."""
    copies = torch.arange(vectors.examples) % 3 + 1
    return LabelledVectors.of(vectors.rows, vectors.labels, vectors.label_count, copies=copies)


def prototypes(labels: int, dim: int, *, seed: int = 1) -> tuple[Tensor, Tensor]:
    return torch.randn(labels, dim, generator=torch.Generator().manual_seed(seed)) + 3, torch.arange(labels)


def without(vectors: LabelledVectors, place: int) -> LabelledVectors:
    kept = torch.arange(len(vectors.rows)) != place
    return dataclasses.replace(
        vectors,
        rows=vectors.rows[kept],
        labels=vectors.labels[kept],
        weights=vectors.weights[kept],
        examples=vectors.examples - 1,
    )
