"""Costs of a classifier where it is used: texts a second on this machine, and megabytes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from nlptl.models.classifier import TextClassifier

MEASURED_SECONDS, MEASURED_TEXTS = 1.0, 20_000  # time and texts of one measurement, whichever ends first
BATCH_TEXTS = 2_000


def texts_per_second(classifier: TextClassifier, texts: Sequence[str]) -> float:
    """Return how many texts the classifier labels in a second, after some that warm it up."""
    classifier.probabilities(texts[:BATCH_TEXTS])
    done, begin = 0, time.perf_counter()
    for start in itertools.cycle(range(0, len(texts), BATCH_TEXTS)):
        done += len(classifier.probabilities(texts[start : start + BATCH_TEXTS]))
        seconds = time.perf_counter() - begin
        if seconds >= MEASURED_SECONDS or done >= MEASURED_TEXTS:
            return done / max(seconds, 1e-9)
    raise AssertionError("itertools.cycle ends for no text at all")


def megabytes(classifier: TextClassifier) -> float:
    """Return the size of all numbers and of the vocabulary, which is that of its folder but for some small files."""
    tensors = {tensor.data_ptr(): tensor for tensor in (*classifier.parameters(), *classifier.buffers())}
    numbers = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    return (numbers + len(classifier.encoder.tokenizer.to_str(pretty=False).encode())) / 1e6
