"""Explanations of predictions: what each word contributes, and the labelled examples that are nearest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from nlptl.evaluation.nearest_examples import NearestExamples
from nlptl.models.explaining.explanation import Contribution, Explanation, Neighbour

if TYPE_CHECKING:
    from nlptl.data.python_texts import LabelledLike, TextColumns, TextsLike
    from nlptl.models.classifier import TextClassifier

__all__ = ["Contribution", "Explanation", "Neighbour", "explain", "with_neighbours"]

NEIGHBOURS = 3
NO_LABEL = "no label"  # of an example that has none


def explain(
    classifier: TextClassifier, texts: TextsLike, *, examples: LabelledLike | None = None, neighbours: int = NEIGHBOURS,
    text: TextColumns = "text", tokens: int | None = None, after_batch: Callable[[int], None] | None = None,
) -> list[Explanation]:  # fmt: skip
    """Return what `TextClassifier.explain` does, with the nearest of labelled `examples` beside it.

    `examples` are a table, (texts, labels), pairs, a frame, a data set or a file's path. A text is no neighbour of itself;
    where it is an example, a remark tells its label. `tokens` bounds what a transformer reads again for one text.
    """
    from nlptl.data.python_texts import labelled_table

    found = classifier.explain(texts, text=text, tokens=tokens, after_batch=after_batch)
    if examples is None or not neighbours:
        return found
    table = labelled_table(examples, name="examples")
    return with_neighbours(found, NearestExamples.among(classifier.encoder, table), count=neighbours)


def with_neighbours(found: Sequence[Explanation], examples: NearestExamples, *, count: int) -> list[Explanation]:
    """Return explanations with the `count` nearest examples beside each."""
    nearest = examples.nearest([one.text for one in found], count)
    return [
        dataclasses.replace(one, nearest=near, remarks=(*one.remarks, *_remarks(one.text, near, examples)))
        for one, near in zip(found, nearest, strict=True)
    ]


def _remarks(text: str, near: Sequence[Neighbour], examples: NearestExamples) -> Iterator[str]:
    if labels := examples.labels_of(text):
        yield f"The text is a labelled example itself: {', '.join(', '.join(each) or NO_LABEL for each in labels)}."
    if not near and set(examples.texts) - {text}:
        yield "No labelled example is near: none shares a known word with the text."
