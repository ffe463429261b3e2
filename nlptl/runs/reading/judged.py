"""Judged: texts whose labels were predicted by a classifier that did not learn from them.

Shapes: N judged texts, K labels.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nlptl.data.labelled_parts import spelt_as
from nlptl.errors import ArtifactError
from nlptl.runs.reading.texts import TestTexts, place_of

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier

NO_LABEL = "(no label)"


@dataclasses.dataclass(frozen=True)
class Judged:
    """Texts whose label was predicted while the classifier did not know it."""

    how: str  # such as "200 held-out reviews, which the classifier did not learn from"
    name: str  # file or name of the texts
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]  # (N, K)
    names: tuple[str, ...]  # the K labels, in the order of the columns
    places: tuple[str, ...]  # of each text, such as "test.csv, row 3"
    by: str = ""  # command that scores the classifier on these texts; empty where the texts were held out in turn
    sets: tuple[str, ...] | None = (
        None  # labels predicted for each text, where it may have several; joined, as in `labels`
    )
    thresholds: tuple[float, ...] | None = None  # probability from which each label is predicted, beside `sets`

    @cached_property
    def predicted(self) -> list[str]:
        """Most probable label of each text, or the predicted ones."""
        if self.sets is not None:
            return list(self.sets)
        return [self.names[place] for place in self.probabilities.argmax(axis=1).tolist()]

    @cached_property
    def confidences(self) -> npt.NDArray[np.float64]:
        """Probability (N,) of the predicted label.

        Where a text may have several, it is that of the least probable one predicted. Where none is predicted, it is the
        probability that the most probable label does not apply.
        """
        highest: npt.NDArray[np.float64] = self.probabilities.max(axis=1)
        if self.thresholds is None:
            return highest
        given = self.probabilities >= np.array(self.thresholds)
        lowest = np.where(given, self.probabilities, np.inf).min(axis=1)
        return np.where(given.any(axis=1), lowest, 1 - highest)


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
        thresholds=None if classifier.head.thresholds is None else tuple(classifier.head.thresholds),
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
