"""Scores of predicted labels and of trained classifiers, each with an interval.

Shapes: N test texts, K labels, R resamples. Intervals have level 0.95. They cover the choice of test texts, but
neither the seed (see `nlptl.evaluation.intervals`) nor the training rows.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from nlptl.errors import ConfigError, DataError
from nlptl.evaluation.checked_predictions import checked_predictions
from nlptl.evaluation.confusion import matthews_correlation, resampled_macro_f1, spread
from nlptl.evaluation.intervals import (
    Estimate,
    Floats,
    Ids,
    Interval,
    bootstrap,
    estimate,
    percentile_interval,
    wilson,
    without_interval,
)  # fmt: skip
from nlptl.evaluation.most_frequent import MostFrequent

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.data import LabelledLike, TextTable
    from nlptl.data.columns import Column
    from nlptl.data.learnt_texts import LearntTexts
    from nlptl.data.python_texts import TextColumns
    from nlptl.data.row_checks import EmptyLabel, EmptyText
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder

BINS = 15  # of equal width, of the calibration error (Guo et al. 2017)
MIN_PROBABILITY = 1e-7  # in the log loss, so that one certain mistake costs 16.1 and not infinity


@dataclasses.dataclass(frozen=True)
class LabelScores:
    """Scores of one label, each in [0, 1], with Wilson intervals. `f1` is 0 where one of them is None."""

    label: str
    precision: Interval | None  # None if the label was never predicted
    recall: Interval | None  # None if no test text has the label
    f1: float
    support: int  # test texts with the label

    def summary_line(self) -> str:
        """Return the scores as one line of text."""
        precision = "none (never predicted)" if self.precision is None else str(self.precision)
        recall = "none (not in the test set)" if self.recall is None else str(self.recall)
        return f"{self.label}: precision {precision}, recall {recall}, F1 {self.f1:.3f} on {texts_told(self.support)}"


@dataclasses.dataclass(frozen=True)
class MainScore:
    """Score by which a classifier is known, with the name that 🤗 metrics give it."""

    name: str
    estimate: Estimate
    metric: str
    arguments: Mapping[str, str] = dataclasses.field(default_factory=dict)  # of the metric


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of a classifier on a test set; `evaluate_predictions` defines them.

    `mcc` is in [-1, 1], `log_loss` in nats in [0, 16.2], the other scores in [0, 1]. `log_loss` and
    `expected_calibration_error` are None without probabilities. `confusion` has K × K counts, true labels by predicted.
    An Estimate has no ends where the texts are too few for an interval.
    """

    right_name: ClassVar[str] = "accuracy"
    rows: int
    accuracy: Interval
    macro_f1: Estimate
    mcc: float
    log_loss: Estimate | None
    expected_calibration_error: Estimate | None
    per_label: tuple[LabelScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    most_frequent: MostFrequent | None = None  # None in files of earlier versions
    texts_learnt: int | None = None  # test texts that the classifier learnt from; None where its texts are not known

    def main_scores(self) -> tuple[MainScore, ...]:
        """Return accuracy and macro-F1."""
        return accuracy_and_macro_f1(self.accuracy, self.macro_f1)

    def summary_lines(self) -> list[str]:
        """Return the warning, if any, and the scores as lines of text."""
        return [*self.warnings(), *self.score_lines()]

    def warnings(self) -> list[str]:
        """Return a line that tells of test texts from which the classifier has learnt, if there are any."""
        return learnt_warning(self.texts_learnt, self.rows)

    def score_lines(self) -> list[str]:
        """Return lines of text such as "accuracy 0.845 [0.788, 0.889] on 200 texts; the most frequent label, …"."""
        labels = f"{len(self.per_label)} label{'s' * (len(self.per_label) != 1)}"
        bar = "" if self.most_frequent is None else f"; {self.most_frequent}"
        macro = self.macro_f1.told(why=without_interval(self.macro_f1.value, texts=self.rows))
        lines = [f"accuracy {self.accuracy} on {texts_told(self.rows)}{bar}", f"macro-F1 {macro} over {labels}"]
        undefined = "" if spread(np.array(self.confusion)) else " (undefined with one label)"
        lines.append(f"Matthews correlation {self.mcc:z.3f}{undefined}")
        optional = {"log loss": self.log_loss, "expected calibration error": self.expected_calibration_error}
        lines += [f"{name} {interval}" for name, interval in optional.items() if interval is not None]
        return lines + [scores.summary_line() for scores in self.per_label]

    @property
    def right(self) -> int:
        """How many texts got their label."""
        return sum(row[place] for place, row in enumerate(self.confusion))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; `from_dict` gives back an equal Evaluation, to the last bit, through JSON too."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Evaluation:
        """Read what `to_dict` returned. Raises pydantic's ValidationError for anything else."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(raw)


def accuracy_and_macro_f1(accuracy: Estimate, macro_f1: Estimate) -> tuple[MainScore, ...]:
    """Return the scores by which a classifier with one label a text is known."""
    return MainScore("Accuracy", accuracy, "accuracy"), MainScore("Macro-F1", macro_f1, "f1", {"average": "macro"})


def evaluate_predictions(
    *, labels: Sequence[str], predicted: Sequence[str], probabilities: npt.ArrayLike | None, names: Sequence[str],
    learnt: LearntTexts | None = None, texts: Sequence[str] = (), seed: int = 0, resamples: int = 1000,
) -> Evaluation:  # fmt: skip
    """Score `predicted` (N) against `labels` (N). `names` (K) are all labels; `probabilities` (N, K) follow their order.

    `learnt` tells which label was most frequent, and which of the `texts` (N) the classifier has learnt from.

    - accuracy: with a Wilson interval (1927).
    - macro_f1: mean F1 of all `names`, 0 for an undefined one. Percentile bootstrap over texts. A label of the test set
      that a resample misses is left out of that resample's mean: counting it as 0 would pull the interval below the
      value. It is too narrow if labels have few texts. Texts of one label alone give no interval.
    - mcc: Matthews correlation of K labels (Gorodkin 2004); 0 if it is undefined, as with one label.
    - log_loss: mean −ln p(true label), with p at least 1e-7. Percentile bootstrap.
    - expected_calibration_error: Σ over bins of |correct − Σ confidence| / N (Guo et al. 2017, eq. 3), where confidence
      is the probability of the predicted label. The 15 bins are (0, 1/15], (1/15, 2/15], …, and 0 is in the first. The
      estimate is biased upwards, and that of a resample twice. The interval is therefore the basic bootstrap (the
      percentiles mirrored at the value), clipped to [0, 1] and extended to the value; for few texts still too high.

    Bootstrap intervals are left out as `nlptl.evaluation.intervals.estimate` says. Equal predictions have equal intervals
    wherever they are scored, since `seed` and `resamples` do not follow those of a run.

    Raises DataError if there are no texts, lengths or shapes differ, a label is not in `names`, or a row of
    probabilities is invalid (finite, in [0, 1], sum 1 ± 0.001).
    """
    from sklearn.metrics import f1_score

    true, guessed, checked = checked_predictions(labels, predicted, probabilities, names)
    confusion: Ids = np.bincount(true * len(names) + guessed, minlength=len(names) ** 2).reshape(len(names), -1)
    f1 = f1_score(true, guessed, labels=range(len(names)), average=None, zero_division=0).tolist()
    drawn = resampled_macro_f1(confusion, resamples=resamples, seed=seed)
    tested_labels = int(confusion.any(axis=1).sum())
    log_loss = calibration_error = None
    if checked is not None:
        losses = np.abs(np.log(np.clip(checked[np.arange(len(true)), true], MIN_PROBABILITY, 1.0)))
        drawn_loss = bootstrap(lambda drawn: drawn.mean(axis=1), losses, resamples=resamples, seed=seed)
        error = _calibration_error(true, guessed, checked, resamples=resamples, seed=seed)
        log_loss, calibration_error = (estimate(interval, texts=len(true)) for interval in (drawn_loss, error))
    return Evaluation(
        rows=len(true),
        accuracy=wilson(int(confusion.trace()), len(true)),
        macro_f1=estimate(percentile_interval(float(np.mean(f1)), drawn), texts=len(true) if tested_labels > 1 else 0),
        mcc=matthews_correlation(confusion),
        log_loss=log_loss,
        expected_calibration_error=calibration_error,
        per_label=tuple(_label_scores(name, index, confusion, f1[index]) for index, name in enumerate(names)),
        confusion=tuple(map(tuple, confusion.tolist())),
        most_frequent=MostFrequent.of(labels, learnt={} if learnt is None else learnt.labels),
        texts_learnt=None if learnt is None else learnt.count(texts),
    )


def learnt_warning(learnt: int | None, rows: int) -> list[str]:
    """Return a line that tells of test texts among those learnt from, if there are any."""
    if not learnt:
        return []
    told = f"{learnt} of {texts_told(rows)} {'was' if learnt == 1 else 'were'} learnt from"
    return [f"{told}: these scores are too high. Score on texts that the classifier has not seen."]


def texts_told(count: int) -> str:
    """Return "1 text" or "2 texts"."""
    return f"{count} text{'s' * (count != 1)}"


def load_classifier(folder: Path, context: RunContext) -> TextClassifier:
    """Read a classifier, a transformer onto the context's device. Word vectors are faster on the CPU."""
    from nlptl.models.classifier import TextClassifier

    device = context.torch_device()
    classifier = TextClassifier.load(folder)
    return classifier.to(device) if classifier.encoder.token_model.kind == "transformer" else classifier


def evaluate_classifier(
    classifier: TextClassifier, examples: LabelledLike, *, text: TextColumns = "text", label: Column = "label",
    empty_text: EmptyText = "refuse", empty_label: EmptyLabel = "refuse",
    after_batch: Callable[[int], None] | None = None, place: Callable[[int], str] | None = None,
) -> Evaluation:  # fmt: skip
    """Score a classifier on labelled examples: a table, (texts, labels), pairs, a frame, a data set or a file's path.

    `text` and `label` name the columns of a frame, a data set or a file. Rows without a text or label raise DataError, or
    are left out under "skip". Labels that are only spelt otherwise, as True and "true", are the same. Raises DataError for
    labels that the classifier does not know, with the `place` of a row, given its number from 0 among those scored, and
    ConfigError for a head that was never trained.
    """
    from nlptl.data.labelled_parts import labelled_parts
    from nlptl.data.python_texts import labelled_table

    classifier.check_trained()
    if classifier.multi_label:
        raise ConfigError(
            "classifier: gives a text several labels. Score it by nlptl.evaluation.label_sets.score_label_sets."
        )
    table = labelled_table(
        examples, name="examples", text=text, label=label, empty_text=empty_text, empty_label=empty_label
    )
    if table is not examples:
        table = labelled_parts({"examples": table})[0]["examples"].table
    return scored_as_it_stands(classifier, table, place=place, after_batch=after_batch)


def scored_as_it_stands(
    classifier: TextClassifier, table: TextTable, *, place: Callable[[int], str] | None = None,
    after_batch: Callable[[int], None] | None = None,
) -> Evaluation:  # fmt: skip
    """Score a classifier on a table, its head trained or not."""
    from nlptl.data.labelled_parts import spelt_as

    labels = spelt_as(table, classifier.labels).labels()
    check_known(labels, classifier.labels, place=place or table.row_place, name=table.name)
    texts = table.texts()
    probabilities = classifier.probabilities(texts, after_batch=after_batch)
    predicted = [classifier.labels[i] for i in probabilities.argmax(axis=1)]
    return evaluate_predictions(
        labels=labels, predicted=predicted, probabilities=probabilities, names=classifier.labels,
        learnt=classifier.learnt, texts=texts,
    )  # fmt: skip


def check_known(labels: Sequence[str], known: Sequence[str], *, place: Callable[[int], str], name: str) -> None:
    """Raise DataError with a fault for each label that the classifier does not know."""
    from nlptl.config import did_you_mean
    from nlptl.data.collected_faults import MAX_TOLD, CollectedFaults
    from nlptl.data.columns import names_shown
    from nlptl.faults import shown

    unknown = Counter(label for label in labels if label not in set(known))
    faults = CollectedFaults()
    for number, (label, count) in enumerate(unknown.items()):
        rows = f"{count} row{'s' * (count != 1)}"
        faults.add(
            DataError(
                f"{place(labels.index(label)) if number < MAX_TOLD else name}: the classifier has no label {shown(label)} "
                f"({rows}); its labels are {names_shown(known)}.{did_you_mean(label, known)} Correct or remove "
                f"{'the row' if count == 1 else 'these rows'}, or train with the label."
            )
        )
    faults.check(name)


def unknown_share(encoder: Encoder, table: TextTable) -> float:
    """Return the share (0 to 1) of a table's tokens that are unknown to `encoder`."""
    from nlptl.inference.tokenizer_files import encoded

    words = known = 0
    for texts in table.batches(1_000):
        for encoding in encoded(partial(encoder.tokenizer.encode_batch_fast, add_special_tokens=False), texts):
            words += len(encoding.ids)
            known += sum(token != encoder.token_model.rule.unknown for token in encoding.ids)
    return round(1 - known / max(1, words), 4)


def _label_scores(name: str, index: int, confusion: Ids, f1: float) -> LabelScores:
    right, support, predicted = map(int, (confusion[index, index], confusion[index].sum(), confusion[:, index].sum()))
    precision = wilson(right, predicted) if predicted else None
    return LabelScores(name, precision, wilson(right, support) if support else None, f1, support)


def _calibration_error(true: Ids, guessed: Ids, probabilities: Floats, *, resamples: int, seed: int) -> Interval:
    confidence = probabilities[np.arange(len(true)), guessed]
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence, side="left")
    mirror = bootstrap(_binned_gap, bins, (true == guessed) - confidence, resamples=resamples, seed=seed)
    value = mirror.value
    low, high = max(0.0, 2 * value - mirror.high), min(1.0, 2 * value - mirror.low)
    return dataclasses.replace(mirror, low=min(low, value), high=max(high, value))


def _binned_gap(bins: Ids, gaps: Floats) -> Floats:
    """Return the sum of the bins' absolute gaps over N: (R, N) → (R,)."""
    cells = bins + BINS * np.arange(len(bins))[:, None]
    sums = np.bincount(cells.ravel(), weights=gaps.ravel(), minlength=BINS * len(bins)).reshape(-1, BINS)
    return np.asarray(np.abs(sums).sum(axis=1) / gaps.shape[1], dtype=np.float64)
