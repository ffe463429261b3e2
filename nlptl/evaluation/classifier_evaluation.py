"""A trained classifier over many texts: predictions as a stream of csv or jsonl, scores on labelled texts."""

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
    """Read a classifier, a transformer onto the context's device; word vectors are faster where they are read."""
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
    """Score a classifier on a labelled table; DataError names a label that it does not know.

    `after_batch` is told how many texts each finished batch held.
    """
    from nlptl.evaluation.scores import evaluate_predictions

    labels = table.labels()
    unknown = sorted(set(labels) - set(classifier.labels))
    if unknown:
        raise DataError(
            f"{table.name}: label {unknown[0]!r} is none of the classifier's ({', '.join(classifier.labels)}); "
            "it cannot be scored. Remove these rows or train with the label."
        )
    probabilities = classifier.predict_proba(table.texts(), after_batch=after_batch)
    predicted = [classifier.labels[i] for i in probabilities.argmax(axis=1)]
    return evaluate_predictions(
        labels=labels, predicted=predicted, probabilities=probabilities, names=classifier.labels, seed=seed
    )


def unknown_share(encoder: Encoder, table: TextTable) -> float:
    """Return the share (0 to 1) of a table's tokens that `encoder` does not know."""
    words = known = 0
    for texts in table.batches(1_000):
        for encoding in encoder.tokenizer.encode_batch_fast(texts, add_special_tokens=False):
            words += len(encoding.ids)
            known += sum(token != encoder.token_model.rule.unknown for token in encoding.ids)
    return round(1 - known / max(1, words), 4)
