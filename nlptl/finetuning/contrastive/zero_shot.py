"""Prediction from the names of the labels alone.

Shapes: B texts, D dimension, K labels, M sentences that name labels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from nlptl.data.label_sentences import LabelSentences
from nlptl.errors import DataError
from nlptl.evaluation.intervals import Interval, wilson
from nlptl.finetuning.linear import LinearHead, write_head
from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head

INVERSE_TEMPERATURE = 20.0  # of cosine similarities; there is nothing to calibrate it on


def name_vectors(vectors: Tensor, sentences: LabelSentences) -> Tensor:
    """Return the direction (K, D) of each label, the mean of the unit vectors (M, D) of its sentences."""
    labels = torch.tensor(sentences.labels)
    unit = normalize(vectors.double(), dim=1)
    summed = torch.zeros(int(labels.max()) + 1, vectors.shape[1], dtype=torch.float64).index_add_(0, labels, unit)
    return normalize(summed, dim=1)


def zero_shot_classifier(given: TextClassifier, sentences: LabelSentences) -> TextClassifier:
    """Return the given encoder under a head whose logits follow the cosine between a text and each label's name.

    Raises DataError where the labels' names say nothing.
    """
    if not sentences:
        raise DataError(
            f"finetune: found no labelled examples and labels whose names say nothing ({', '.join(given.labels[:5])}); "
            "expected one or the other. Add labelled examples, or say what the labels mean under data.label_names."
        )
    own = given.encoder.alone()  # views know texts of the pile, and a name is none
    vectors = torch.from_numpy(own.encode(list(sentences.texts)))
    length = float(vectors.norm(dim=1).mean()) or 1.0
    head = Head(given.encoder.dim, len(given.labels))
    weights = pad(name_vectors(vectors, sentences) * INVERSE_TEMPERATURE / length, (0, head.dim - own.dim))
    write_head(LinearHead(weights, torch.zeros(len(weights), dtype=weights.dtype)), head)
    return TextClassifier(given.encoder, head.to(given.device), given.labels).eval()


def names_alone(vectors: Tensor, labels: Tensor, names: Tensor) -> tuple[Interval, str]:
    """Return the share of vectors (B, D) with labels (B,) that are nearest to their label's direction (K, D); and tell it."""
    guessed = (normalize(vectors.double(), dim=1) @ names.T).argmax(dim=1)
    found, bar = wilson(int((guessed == labels).sum()), len(labels)), float(labels.bincount().max()) / len(labels)
    reads = "more than" if found.low > bar else "not shown to be more than"
    return found, (
        f"The labels' names alone (zero-shot, nothing learnt) get {found} of the {len(labels)} labelled examples right, "
        f"{reads} the {bar:.3f} of their most frequent label."
    )
