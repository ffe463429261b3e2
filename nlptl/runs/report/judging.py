"""Judged texts of a run: predictions for texts that the classifier did not learn from, and what they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nlptl.evaluation.intervals import wilson
from nlptl.evaluation.scores import Evaluation, evaluate_predictions
from nlptl.runs.reading.judged import Judged
from nlptl.runs.report.facts import Mistake, ReliabilityBin, WordWeight

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier

BINS = 10  # of equal width, of the reliability diagram
MAX_MISTAKES = 12
MAX_TOKENS = 8_000  # that are read again to explain one text: all words of one of 80 word pieces


def scores_of(judged: Judged, classifier: TextClassifier | None) -> Evaluation:
    """Score judged texts."""
    return evaluate_predictions(
        labels=judged.labels, predicted=judged.predicted, probabilities=judged.probabilities, names=judged.names,
        learnt=None if classifier is None else classifier.learnt, texts=judged.texts,
    )  # fmt: skip


def reliability_of(judged: Judged) -> tuple[ReliabilityBin, ...]:
    """Return how often predictions of each confidence are right. Bins without a text are left out."""
    confidences = judged.confidences
    right = np.array([one == other for one, other in zip(judged.predicted, judged.labels, strict=True)])
    places = np.minimum((confidences * BINS).astype(int), BINS - 1)
    found = []
    for number in range(BINS):
        inside = places == number
        if count := int(inside.sum()):
            share = wilson(int(right[inside].sum()), count)
            mean = float(confidences[inside].mean())
            found.append(ReliabilityBin(number / BINS, (number + 1) / BINS, count, mean, share))
    return tuple(found)


def confident_mistakes(judged: Judged, *, most: int = MAX_MISTAKES) -> list[int]:
    """Return the places of the wrong predictions with the highest probability, the most certain first. Copies are left out."""
    confidences, predicted = judged.confidences, judged.predicted
    order: Sequence[int] = np.argsort(-confidences, kind="stable").tolist()
    found: dict[str, int] = {}
    for place in order:
        if predicted[place] != judged.labels[place]:
            found.setdefault(judged.texts[place], place)
        if len(found) == most:
            break
    return list(found.values())


def explained_mistakes(
    judged: Judged, classifier: TextClassifier | None, *, after_batch: Callable[[int], None] | None = None
) -> tuple[Mistake, ...]:
    """Return the most confident mistakes with what their words add to the wrong label, against the true one."""
    places = confident_mistakes(judged)
    if classifier is None or judged.sets is not None or not places:
        return tuple(Mistake(place, ()) for place in places)
    found = classifier.explain([judged.texts[place] for place in places], tokens=MAX_TOKENS, after_batch=after_batch)
    predicted = judged.predicted
    return tuple(
        Mistake(
            place,
            tuple(
                WordWeight(word.start, word.end, weight)
                for word, weight in zip(
                    one.contributions, one.towards(predicted[place], against=judged.labels[place]), strict=True
                )
            ),
            one.how,
        )
        for place, one in zip(places, found, strict=True)
    )
