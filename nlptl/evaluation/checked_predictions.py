"""Checks of predictions before they are scored. Shapes: N texts, K labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nlptl.errors import DataError
from nlptl.evaluation.intervals import Floats, Ids


def checked_predictions(
    labels: Sequence[str], predicted: Sequence[str], probabilities: npt.ArrayLike | None, names: Sequence[str]
) -> tuple[Ids, Ids, Floats | None]:
    """Return true and predicted labels (N) as places among `names` (K), and the probabilities (N, K).

    Raises DataError where they do not fit together.
    """
    if not names or len(set(names)) != len(names):
        raise DataError(
            f"evaluation: the label names are {list(names)}, but must be one or more different ones. "
            "Give them in the order of the classifier's labels."
        )
    if len(labels) == 0:
        raise DataError("evaluation: the test set is empty. Give at least one labelled text.")
    if len(labels) != len(predicted):
        raise DataError(
            f"evaluation: the number of labels is {len(labels)}, that of predicted labels {len(predicted)}. Predict exactly "
            "the labelled texts."
        )
    true, guessed = _ids(labels, names, "label"), _ids(predicted, names, "predicted label")
    return (
        true,
        guessed,
        None if probabilities is None else _checked_probabilities(probabilities, len(labels), len(names)),
    )


def _ids(labels: Sequence[str], names: Sequence[str], kind: str) -> Ids:
    ids = {name: index for index, name in enumerate(names)}
    if unknown := next((place for place, label in enumerate(labels, start=1) if label not in ids), 0):
        raise DataError(
            f"evaluation: the {kind} {labels[unknown - 1]!r} of text {unknown} is not among the label names {list(names)}. "
            "Correct the label, or leave the text out."
        )
    return np.array([ids[label] for label in labels], dtype=np.int64)


def _checked_probabilities(given: npt.ArrayLike, *shape: int) -> Floats:
    probabilities = np.asarray(given, dtype=np.float64)
    if probabilities.shape != shape:
        raise DataError(
            f"evaluation: the probabilities have the shape {probabilities.shape}, but must have the shape {shape}: a row for "
            "each text and a column for each label name."
        )
    sums = probabilities.sum(axis=1)
    wrong = ~(np.isfinite(probabilities).all(axis=1) & (probabilities >= 0).all(axis=1) & (np.abs(sums - 1) <= 1e-3))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"evaluation: the probabilities of text {row + 1} are {probabilities[row].tolist()}, but must be numbers from 0 "
            "to 1 with the sum 1 (± 0.001). Compute the softmax of the logits in float32."
        )
    return probabilities
