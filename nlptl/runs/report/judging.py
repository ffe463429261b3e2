"""Judged texts of a run: predictions for texts that the classifier did not learn from, and what they show."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nlptl.data.labelled_parts import spelt_as
from nlptl.errors import ArtifactError
from nlptl.evaluation.intervals import wilson
from nlptl.evaluation.scores import Evaluation, evaluate_predictions
from nlptl.runs.report.facts import Judged, Mistake, ReliabilityBin, WordWeight
from nlptl.runs.report.texts import TestTexts, place_of

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier

BINS = 10  # of equal width, of the reliability diagram
MAX_MISTAKES = 12
NO_LABEL = "(no label)"
MAX_TOKENS = 8_000  # that are read again to explain one text: all words of one of 80 word pieces


def judged_on(
    classifier: TextClassifier, test: TestTexts, *, command: str, after_batch: Callable[[int], None] | None = None
) -> Judged | None:
    """Predict the texts of a test. None if it has labels that the classifier does not know."""
    sets = spelt_as(test.table, classifier.labels).label_sets()
    if not {label for labels in sets for label in labels} <= set(classifier.labels):
        return None
    texts = test.table.texts()
    probabilities = classifier.probabilities(texts, after_batch=after_batch)
    several = [joined(labels) for labels in classifier.labels_of(probabilities)] if classifier.multi_label else None
    return Judged(
        how="which the classifier did not learn from",
        name=test.name,
        texts=tuple(texts),
        labels=tuple(map(joined, sets)),
        probabilities=probabilities,
        names=classifier.labels,
        places=tuple(place_of(test.table, row) for row in range(len(texts))),
        by=command,
        sets=None if several is None else tuple(several),
    )


def joined(labels: Sequence[str]) -> str:
    """Return the labels of a text as one name."""
    return " + ".join(labels) if labels else NO_LABEL


def read_held_out(path: Path, *, how: str) -> Judged:
    """Read texts that were held out in turn, each predicted by a classifier that had not learnt it."""
    try:
        with path.open(encoding="utf-8") as file:
            names = tuple(json.loads(file.readline())["labels"])
            rows = [json.loads(line) for line in file if line.strip()]
        places = [(row.get("file"), row.get("row")) for row in rows]
        probabilities = np.array([row["probabilities"] for row in rows], dtype=np.float64).reshape(-1, len(names))
        found = Judged(
            how=how,
            name="held-out texts",
            texts=tuple(row["text"].encode().decode() for row in rows),  # no half of a character
            labels=tuple(row["label"] for row in rows),
            probabilities=probabilities,
            names=names,
            places=tuple(
                ", ".join([*([Path(file).name] if file else []), *([f"row {row}"] if row else [])])
                for file, row in places
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path}: is not a file of held-out predictions; it is damaged ({type(error).__name__}). Run `nlptl start` again."
        ) from None
    return found


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
