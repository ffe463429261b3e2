"""A trained classifier over many texts: predictions as a stream of csv or jsonl, scores on labelled texts."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from nlptl.errors import DataError

if TYPE_CHECKING:
    from nlptl.data import TextTable
    from nlptl.evaluation import Evaluation
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder
    from nlptl.stages.stage import RunContext

LINES = 256  # lines of stdin predicted at once: few, so that results appear while the input still flows


def load_classifier(folder: Path, context: RunContext) -> TextClassifier:
    """Read a classifier, a transformer onto the context's device; word vectors are faster where they are read."""
    from nlptl.models.classifier import TextClassifier

    device = context.torch_device()
    classifier = TextClassifier.load(folder)
    return classifier.to(device) if classifier.encoder.token_model.kind == "transformer" else classifier


def predictions(
    classifier: TextClassifier, batches: Iterable[list[str]], *, form: Literal["csv", "jsonl"], proba: bool
) -> Iterator[str]:
    """Yield one line a text with its label and, with `proba`, each label's probability; csv begins with a header."""
    if form == "csv":
        yield _csv_line(["text", "label", *(f"p_{label}" for label in classifier.labels if proba)])
    for texts in batches:
        probabilities = classifier.predict_proba(texts)
        for text, row in zip(texts, probabilities, strict=True):
            label = classifier.labels[int(row.argmax())]
            shares = {name: round(float(p), 6) for name, p in zip(classifier.labels, row, strict=True)} if proba else {}
            if form == "csv":
                yield _csv_line([text, label, *map(str, shares.values())])
            else:
                found = {"text": text, "label": label, **({"probabilities": shares} if proba else {})}
                yield json.dumps(found, ensure_ascii=False)


def lines_in_batches(stream: TextIO) -> Iterator[list[str]]:
    """Yield the lines of a stream in batches; DataError names the line that is empty or not UTF-8."""
    numbered = enumerate(stream, start=1)
    while True:
        batch: list[str] = []
        try:
            for number, line in itertools.islice(numbered, LINES):
                if not line.strip():
                    raise DataError(f"stdin:{number}: text is empty; every line needs a text. Remove the line.")
                batch.append(line.rstrip("\r\n"))
        except UnicodeDecodeError as error:
            raise DataError(
                f"stdin: found bytes that are not UTF-8 ({error.reason}); expected UTF-8. Convert the input first."
            ) from None
        if not batch:
            return
        yield batch


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
    from nlptl.evaluation import evaluate_predictions

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


def _csv_line(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(cells)
    return buffer.getvalue()
