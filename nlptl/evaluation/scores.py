"""Judge predicted labels against true ones: the usual figures, each with the interval that the test set's size allows.

Legend: N test texts, K labels, R resamples, M confusion cells that are not empty. Every interval is at level 0.95 and
covers the luck of which texts the test set holds, not that of the seed (see `nlptl.evaluation.intervals`) or the training rows.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nlptl.artifact import write_text_atomically
from nlptl.errors import ArtifactError, DataError
from nlptl.evaluation.intervals import Floats, Interval, bootstrap, chunks, percentile_interval, wilson

BINS = 15
"""Equal-width bins of the calibration error, as in Guo et al. 2017."""

SMALLEST_PROBABILITY = 1e-7
"""Probabilities below it count as it in the log loss, so that one certain mistake costs 16.1 and not infinity."""

Ids = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class LabelScores:
    """Hold the scores of one label, each in [0, 1]; the intervals are Wilson's.

    `precision` is None when nothing was predicted as the label, `recall` when no test text bears it. `f1` is then 0, as
    with scikit-learn's zero_division=0. `support` counts the test texts that bear the label.
    """

    label: str
    precision: Interval | None
    recall: Interval | None
    f1: float
    support: int

    def summary_line(self) -> str:
        """Give one line of plain text."""
        precision = "none (never predicted)" if self.precision is None else str(self.precision)
        recall = "none (not in the test set)" if self.recall is None else str(self.recall)
        return f"{self.label}: precision {precision}, recall {recall}, F1 {self.f1:.3f} on {_texts(self.support)}"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Hold what a test set says about a classifier; `evaluate_predictions` makes it and documents the figures.

    `confusion` is K × K counts, a row per true label and a column per predicted one, in the order of `per_label`. `mcc`
    is in [-1, 1], `log_loss` in nats in [0, 16.2], all other figures in [0, 1]. `log_loss` and
    `expected_calibration_error` are None when the classifier gave no probabilities.
    """

    rows: int
    accuracy: Interval
    macro_f1: Interval
    mcc: float
    log_loss: Interval | None
    expected_calibration_error: Interval | None
    per_label: tuple[LabelScores, ...]
    confusion: tuple[tuple[int, ...], ...]

    def summary_lines(self) -> list[str]:
        """Give the figures as plain text, one a line, such as "accuracy 0.845 [0.788, 0.889] on 200 texts"."""
        labels = f"{len(self.per_label)} label{'s' * (len(self.per_label) != 1)}"
        lines = [f"accuracy {self.accuracy} on {_texts(self.rows)}", f"macro-F1 {self.macro_f1} over {labels}"]
        lines.append(f"Matthews correlation {self.mcc:z.3f}")
        if self.log_loss is not None:
            lines.append(f"log loss {self.log_loss}")
        if self.expected_calibration_error is not None:
            lines.append(f"expected calibration error {self.expected_calibration_error}")
        return lines + [scores.summary_line() for scores in self.per_label]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; `from_dict` gives back an equal Evaluation, to the last bit, through JSON too."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], *, where: str = "evaluation") -> Evaluation:
        """Read what `to_dict` returned; anything else raises ArtifactError, which names `where`."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_python(raw)
        except ValidationError as error:
            fault = error.errors()[0]
            at = ".".join(str(part) for part in fault["loc"]) or "the whole"
            raise ArtifactError(
                f"{where}: is no Evaluation ({at}: {fault['msg']}); expected what Evaluation.save wrote. Evaluate again."
            ) from None

    def save(self, path: Path | str) -> None:
        """Write a JSON file, whole or not at all; StorageError when it cannot be written."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        write_text_atomically(Path(path), text + "\n")

    @classmethod
    def load(cls, path: Path | str) -> Evaluation:
        """Read what `save` wrote; ArtifactError when the file is missing or damaged."""
        try:
            raw = json.loads(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"{path}: cannot be read ({getattr(error, 'strerror', error)}); expected what Evaluation.save wrote. "
                "Check the path, or evaluate again."
            ) from None
        return cls.from_dict(raw, where=str(path))


def evaluate_predictions(
    *,
    labels: Sequence[str],
    predicted: Sequence[str],
    probabilities: npt.ArrayLike | None,
    names: Sequence[str],
    seed: int = 0,
    resamples: int = 1000,
) -> Evaluation:
    """Judge `predicted` (N) against `labels` (N); `names` (K) is the label set, `probabilities` (N, K) in its order.

    - accuracy: Wilson 1927.
    - macro_f1: mean F1 of all `names`, as scikit-learn's f1_score(labels=names, average="macro", zero_division=0): a
      name that is neither in the test set nor predicted counts as 0. Percentile bootstrap over texts, drawn from the
      confusion counts; a label of the test set that a resample misses is left out of that resample's mean, because
      counting it as 0 would drag the interval below the value. Too narrow when labels have few texts or hardly any
      error was seen: without a single error it is one point, where the accuracy's interval is not.
    - mcc: Matthews correlation of K labels (Gorodkin 2004), 0 where it is undefined (one label only).
    - log_loss: mean −ln p(true label), p clipped from below at 1e-7; percentile bootstrap.
    - expected_calibration_error: Σ over bins of |right − Σ confidence| / N (Guo et al. 2017, eq. 3), confidence being
      the probability of the predicted label. 15 equal-width bins (0, 1/15], (1/15, 2/15], …: a confidence on an edge
      belongs to the lower bin, and 0 to the first. The estimate is biased upwards, a resample's twice; the interval is
      therefore the basic bootstrap one (the percentiles mirrored at the value), clipped to [0, 1] and widened to hold
      the value. On a well-calibrated model with few texts it still sits too high.

    Raises DataError, one sentence, when there is no text, lengths or shapes differ, a label is not in `names`, or a row
    of probabilities is not one (finite, in [0, 1], sum 1 ± 0.001).
    """
    from sklearn.metrics import f1_score

    true, guessed, chances = _checked(labels, predicted, probabilities, names)
    every = range(len(names))
    confusion: Ids = np.bincount(true * len(names) + guessed, minlength=len(names) ** 2).reshape(len(names), -1)
    f1 = [float(score) for score in f1_score(true, guessed, labels=every, average=None, zero_division=0)]
    drawn = _resample_macro_f1(confusion, resamples=resamples, seed=seed)
    return Evaluation(
        rows=len(true),
        accuracy=wilson(int(confusion.trace()), len(true)),
        macro_f1=percentile_interval(float(np.mean(f1)), drawn),
        mcc=_matthews(confusion),
        log_loss=None if chances is None else _log_loss(true, chances, resamples=resamples, seed=seed),
        expected_calibration_error=None
        if chances is None
        else _calibration_error(true, guessed, chances, resamples=resamples, seed=seed),
        per_label=tuple(_label_scores(name, index, confusion, f1[index]) for index, name in enumerate(names)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def _label_scores(name: str, index: int, confusion: Ids, f1: float) -> LabelScores:
    right, support, predicted = (
        int(count) for count in (confusion[index, index], confusion[index].sum(), confusion[:, index].sum())
    )
    return LabelScores(
        label=name,
        precision=wilson(right, predicted) if predicted else None,
        recall=wilson(right, support) if support else None,
        f1=f1,
        support=support,
    )


def _resample_macro_f1(confusion: Ids, *, resamples: int, seed: int) -> Floats:
    """Draw the texts anew R times by drawing the counts of the M non-empty cells: (R,) values of macro-F1."""
    rows, columns = np.nonzero(confusion)
    counts, every = confusion[rows, columns], np.arange(len(confusion))[:, None]
    # A cell adds to one label's true and one's predicted count, on the diagonal twice to the same: F1 = 2TP / (…).
    in_test_set = confusion.any(axis=1)
    totals = ((rows == every).astype(np.float64) + (columns == every)).T[:, in_test_set]
    hits = totals * (rows == columns)[:, None]
    rng = np.random.default_rng(seed)
    values = []
    for size in chunks(resamples, len(counts) + len(confusion)):
        drawn = rng.multinomial(counts.sum(), counts / counts.sum(), size=size).astype(np.float64)
        total = drawn @ totals
        f1 = drawn @ hits / np.maximum(total, 1)
        values.append(in_test_set.mean() * f1.sum(axis=1) / (total > 0).sum(axis=1))
    return np.concatenate(values)


def _matthews(confusion: Ids) -> float:
    true, predicted, size = confusion.sum(axis=1), confusion.sum(axis=0), int(confusion.sum())
    covariance = int(confusion.trace()) * size - int(true @ predicted)
    scale = (size**2 - int(true @ true)) * (size**2 - int(predicted @ predicted))
    return covariance / math.sqrt(scale) if scale else 0.0


def _log_loss(true: Ids, chances: Floats, *, resamples: int, seed: int) -> Interval:
    losses = np.abs(np.log(np.clip(chances[np.arange(len(true)), true], SMALLEST_PROBABILITY, 1.0)))
    return bootstrap(lambda drawn: drawn.mean(axis=1), losses, resamples=resamples, seed=seed, vectorised=True)


def _calibration_error(true: Ids, guessed: Ids, chances: Floats, *, resamples: int, seed: int) -> Interval:
    confidence = chances[np.arange(len(true)), guessed]
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence, side="left")
    mirror = bootstrap(
        _binned_gap, bins, (true == guessed) - confidence, resamples=resamples, seed=seed, vectorised=True
    )
    value = mirror.value
    low, high = max(0.0, 2 * value - mirror.high), min(1.0, 2 * value - mirror.low)
    return dataclasses.replace(mirror, low=min(low, value), high=max(high, value))


def _binned_gap(bins: Ids, gaps: Floats) -> Floats:
    """Sum the absolute gaps of the bins over N: (R, N) → (R,)."""
    cells = bins + BINS * np.arange(len(bins))[:, None]
    sums = np.bincount(cells.ravel(), weights=gaps.ravel(), minlength=BINS * len(bins)).reshape(-1, BINS)
    return np.asarray(np.abs(sums).sum(axis=1) / gaps.shape[1], dtype=np.float64)


def _texts(count: int) -> str:
    return f"{count} text{'s' * (count != 1)}"


def _checked(
    labels: Sequence[str], predicted: Sequence[str], probabilities: npt.ArrayLike | None, names: Sequence[str]
) -> tuple[Ids, Ids, Floats | None]:
    if not names or len(set(names)) != len(names):
        raise DataError(
            f"evaluation: the label names are {list(names)}; expected one or more, each once. Pass the names in the "
            "order of the classifier's labels."
        )
    if len(labels) == 0:
        raise DataError("evaluation: the test set is empty; expected at least one labelled text. Give a test set.")
    if len(labels) != len(predicted):
        raise DataError(
            f"evaluation: {len(labels)} labels and {len(predicted)} predicted labels; expected one of each for every "
            "text. Predict exactly the labelled texts."
        )
    true, guessed = _ids(labels, names, "label"), _ids(predicted, names, "predicted label")
    return true, guessed, None if probabilities is None else _checked_chances(probabilities, (len(labels), len(names)))


def _ids(labels: Sequence[str], names: Sequence[str], kind: str) -> Ids:
    ids = {name: index for index, name in enumerate(names)}
    for position, label in enumerate(labels, start=1):
        if label not in ids:
            raise DataError(
                f"evaluation: {kind} {label!r} of text {position} is not among the label names {list(names)}; expected "
                "only labels that the classifier knows. Correct the label or leave the text out."
            )
    return np.array([ids[label] for label in labels], dtype=np.int64)


def _checked_chances(probabilities: npt.ArrayLike, shape: tuple[int, int]) -> Floats:
    chances = np.asarray(probabilities, dtype=np.float64)
    if chances.shape != shape:
        raise DataError(
            f"evaluation: the probabilities have the shape {chances.shape}; expected {shape}, a row per text and a "
            "column per label name. Pass them in the order of both."
        )
    sums = chances.sum(axis=1)
    wrong = ~(np.isfinite(chances).all(axis=1) & (chances >= 0).all(axis=1) & (np.abs(sums - 1) <= 1e-3))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"evaluation: the probabilities of text {row + 1} are {chances[row].tolist()}; expected finite numbers "
            "from 0 to 1 that sum to 1 (± 0.001). Pass the softmax of the logits, taken in float32."
        )
    return chances
