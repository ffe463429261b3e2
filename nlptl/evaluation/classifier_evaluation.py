"""Evaluation of a trained classifier on a table of texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.errors import DataError

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.data import TextTable
    from nlptl.evaluation.scores import Evaluation
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder


def load_classifier(folder: Path, context: RunContext) -> TextClassifier:
    """Read a classifier, a transformer onto the context's device. Word vectors are faster on the CPU."""
    from nlptl.models.classifier import TextClassifier

    device = context.torch_device()
    classifier = TextClassifier.load(folder)
    return classifier.to(device) if classifier.encoder.token_model.kind == "transformer" else classifier


def evaluate_classifier(
    classifier: TextClassifier,
    table: TextTable,
    *,
    seed: int = 0,
    after_batch: Callable[[int], None] | None = None,
) -> Evaluation:
    """Score a classifier on a labelled table. Raises DataError for a label that it does not know.

    `after_batch` is called with the number of texts of each finished batch.
    """
    from nlptl.evaluation.scores import evaluate_predictions

    labels = table.labels()
    unknown = sorted(set(labels) - set(classifier.labels))
    if unknown:
        raise DataError(
            f"{table.name}: the classifier has no label {unknown[0]!r}; its labels are {', '.join(classifier.labels)}. "
            "Remove these rows, or train with the label."
        )
    probabilities = classifier.predict_proba(table.texts(), after_batch=after_batch)
    predicted = [classifier.labels[i] for i in probabilities.argmax(axis=1)]
    return evaluate_predictions(
        labels=labels, predicted=predicted, probabilities=probabilities, names=classifier.labels, seed=seed
    )


def unknown_share(encoder: Encoder, table: TextTable) -> float:
    """Return the share (0 to 1) of a table's tokens that are unknown to `encoder`."""
    words = known = 0
    for texts in table.batches(1_000):
        for encoding in encoder.tokenizer.encode_batch_fast(texts, add_special_tokens=False):
            words += len(encoding.ids)
            known += sum(token != encoder.token_model.rule.unknown for token in encoding.ids)
    return round(1 - known / max(1, words), 4)
