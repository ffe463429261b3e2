"""Predictions as lines of CSV or JSON, and the lines of a stream as batches of texts."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, TextIO

from nlptl.errors import DataError

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier

BATCH_LINES = 256  # lines of stdin in one batch: few, so that results appear while the input still flows


def prediction_lines(
    classifier: TextClassifier, batches: Iterable[list[str]], *, form: Literal["csv", "jsonl"], proba: bool,
    after_batch: Callable[[int], None],
) -> Iterator[str]:  # fmt: skip
    """Yield a line for each text: its label and, with `proba`, the probability of every label."""
    if form == "csv":
        yield _csv_line(["text", "label", *(f"p_{label}" for label in classifier.labels if proba)])
    for texts in batches:
        for text, row in zip(texts, classifier.predict_proba(texts), strict=True):
            label = classifier.labels[int(row.argmax())]
            shares = {name: round(float(p), 6) for name, p in zip(classifier.labels, row, strict=True)} if proba else {}
            found = {"text": text, "label": label, **({"probabilities": shares} if proba else {})}
            as_csv = form == "csv"
            yield _csv_line([text, label, *shares.values()]) if as_csv else json.dumps(found, ensure_ascii=False)
        after_batch(len(texts))


def lines_in_batches(stream: TextIO) -> Iterator[list[str]]:
    """Yield the lines of a stream in batches. DataError names a line that is empty or not UTF-8."""
    numbered = enumerate(stream, start=1)
    while True:
        batch: list[str] = []
        try:
            for number, line in itertools.islice(numbered, BATCH_LINES):
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


def _csv_line(cells: Sequence[str | float]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(cells)
    return buffer.getvalue()
