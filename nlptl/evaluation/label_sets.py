"""Scores where a text may have several labels, or none, each with an interval.

Shapes: N test texts, K labels, R resamples. Intervals have level 0.95 and cover the choice of test texts, as those of
`nlptl.evaluation.scores`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from nlptl.errors import ConfigError, DataError
from nlptl.evaluation.intervals import (
    Estimate,
    Floats,
    Interval,
    chunks,
    estimate,
    percentile_interval,
    wilson,
    without_interval,
)
from nlptl.evaluation.scores import (
    Evaluation,
    LabelScores,
    MainScore,
    check_known,
    learnt_warning,
    scored_as_it_stands,
    texts_told,
)

if TYPE_CHECKING:
    from nlptl.data import LabelledLike, TextTable
    from nlptl.data.columns import Column
    from nlptl.data.learnt_texts import LearntTexts
    from nlptl.data.python_texts import TextColumns
    from nlptl.data.row_checks import EmptyLabel, EmptyText
    from nlptl.models.classifier import TextClassifier

Bools: TypeAlias = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class MostFrequentAlone:
    """Most frequent label of the training part, and micro-F1 on the test texts if each gets this label alone."""

    label: str
    micro_f1: float

    def __str__(self) -> str:
        return f"the most frequent label alone, {self.label!r}, gets {self.micro_f1:.3f}"


@dataclasses.dataclass(frozen=True)
class LabelSetEvaluation:
    """Scores of a classifier that gives texts several labels; `evaluate_label_sets` defines them. All are in [0, 1]."""

    right_name: ClassVar[str] = "all labels right"
    rows: int
    micro_f1: Estimate
    macro_f1: Estimate
    subset_accuracy: Interval
    labels_per_text: float  # of the test texts, on average
    predicted_per_text: float
    per_label: tuple[LabelScores, ...]
    most_frequent: MostFrequentAlone
    texts_learnt: int | None = None  # test texts that the classifier learnt from; None where its texts are not known

    def main_scores(self) -> tuple[MainScore, ...]:
        """Return micro-F1, macro-F1 and the share of texts whose labels are all right."""
        return (
            MainScore("Micro-F1", self.micro_f1, "f1", {"average": "micro"}),
            MainScore("Macro-F1", self.macro_f1, "f1", {"average": "macro"}),
            MainScore(self.right_name.capitalize(), self.subset_accuracy, "accuracy"),
        )

    def summary_lines(self) -> list[str]:
        """Return the warning, if any, and the scores as lines of text."""
        return [*self.warnings(), *self.score_lines()]

    def warnings(self) -> list[str]:
        """Return a line that tells of test texts from which the classifier has learnt, if there are any."""
        return learnt_warning(self.texts_learnt, self.rows)

    def score_lines(self) -> list[str]:
        """Return lines of text such as "micro-F1 0.845 [0.788, 0.889] on 200 texts; the most frequent label alone, …"."""
        micro, macro = (
            one.told(why=without_interval(one.value, texts=self.rows)) for one in (self.micro_f1, self.macro_f1)
        )
        return [
            f"micro-F1 {micro} on {texts_told(self.rows)}; {self.most_frequent}",
            f"macro-F1 {macro} over {len(self.per_label)} labels",
            f"{self.right_name} {self.subset_accuracy}",
            f"labels a text {self.labels_per_text:.2f}, predicted {self.predicted_per_text:.2f}",
            *(scores.summary_line() for scores in self.per_label),
        ]

    @property
    def right(self) -> int:
        """How many texts got exactly their labels."""
        return round(self.subset_accuracy.value * self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; `from_dict` gives back an equal evaluation, to the last bit, through JSON too."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> LabelSetEvaluation:
        """Read what `to_dict` returned. Raises pydantic's ValidationError for anything else."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(raw)


AnyEvaluation: TypeAlias = Evaluation | LabelSetEvaluation


def evaluate_label_sets(
    *, labels: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], names: Sequence[str],
    learnt: LearntTexts | None = None, texts: Sequence[str] = (), seed: int = 0, resamples: int = 1000,
) -> LabelSetEvaluation:  # fmt: skip
    """Score the labels that were `predicted` for N texts against their `labels`. `names` (K) are all labels.

    - micro_f1: F1 over all pairs of a text and a label. Percentile bootstrap over texts.
    - macro_f1: mean F1 of all `names`, 0 for an undefined one. Percentile bootstrap over texts; a label of the test set that
      a resample misses is left out of that resample's mean.
    - subset_accuracy: share of texts whose labels are all right and complete, with a Wilson interval.

    `learnt` tells which label was most frequent, and which of the `texts` (N) the classifier has learnt from. Raises DataError
    if there are no texts, lengths differ, or a label is not in `names`.
    """
    if not labels or len(labels) != len(predicted):
        raise DataError(
            f"evaluation: the number of texts is {len(labels)}, that of predictions {len(predicted)}. Predict exactly the labelled "
            "texts, one at least."
        )
    true, guessed = _matrix(labels, names, "label"), _matrix(predicted, names, "predicted label")
    micro, macro = _resampled(true, guessed, resamples=resamples, seed=seed)
    hits, total = 2.0 * (true & guessed).sum(axis=0), (true.sum(axis=0) + guessed.sum(axis=0)).astype(np.float64)
    f1 = hits / np.maximum(total, 1)
    micro_f1 = float(hits.sum() / max(1.0, total.sum()))
    size = len(true)
    return LabelSetEvaluation(
        rows=size,
        micro_f1=estimate(percentile_interval(micro_f1, micro), texts=size),
        macro_f1=estimate(percentile_interval(float(f1.mean()), macro), texts=size),
        subset_accuracy=wilson(int((true == guessed).all(axis=1).sum()), size),
        labels_per_text=float(true.sum() / size),
        predicted_per_text=float(guessed.sum() / size),
        per_label=tuple(_label_scores(*one) for one in zip(names, true.T, guessed.T, f1.tolist(), strict=True)),
        most_frequent=_most_frequent(true, names, {} if learnt is None else learnt.labels),
        texts_learnt=None if learnt is None else learnt.count(texts),
    )


def scored(
    classifier: TextClassifier, table: TextTable, *, place: Callable[[int], str] | None = None,
    after_batch: Callable[[int], None] | None = None,
) -> AnyEvaluation:  # fmt: skip
    """Score a classifier of either kind on a table, its head trained or not."""
    from nlptl.data.label_checks import check_none_joined
    from nlptl.data.labelled_parts import spelt_as
    from nlptl.faults import shown

    if not classifier.multi_label:
        return scored_as_it_stands(classifier, table, place=place, after_batch=after_batch)
    sets, at = spelt_as(table, classifier.labels).label_sets(), place or table.row_place
    rows = [row for row, labels in enumerate(sets) for _ in labels]
    flat = [label for labels in sets for label in labels]
    check_none_joined(
        flat, classifier.labels, place=lambda label: at(rows[flat.index(label)]),
        remedy=lambda separator: f"Set `separator: {shown(separator)}` if it separates labels; else keep one.",
    )  # fmt: skip
    check_known(flat, classifier.labels, place=lambda index: at(rows[index]), name=table.name)
    texts = table.texts()
    predicted = classifier.labels_of(classifier.probabilities(texts, after_batch=after_batch))
    return evaluate_label_sets(
        labels=sets, predicted=predicted, names=classifier.labels, learnt=classifier.learnt, texts=texts
    )


def score_label_sets(
    classifier: TextClassifier, examples: LabelledLike, *, text: TextColumns = "text", label: Column = "label",
    empty_text: EmptyText = "refuse", empty_label: EmptyLabel = "refuse",
) -> LabelSetEvaluation:  # fmt: skip
    """Score a classifier that gives texts several labels, on examples of any Python kind.

    Labels are lists, or strings with the classifier's separator between labels. Arguments and errors are otherwise those of
    `nlptl.evaluation.scores.evaluate_classifier`.
    """
    from nlptl.data.labelled_parts import labelled_parts
    from nlptl.data.python_texts import labelled_table

    if not classifier.multi_label:
        raise ConfigError("classifier: gives each text one label. Score it by evaluate_classifier.")
    classifier.check_trained()
    table = labelled_table(
        examples, name="examples", text=text, label=label, empty_text=empty_text, empty_label=empty_label,
        separator=classifier.separator,
    )  # fmt: skip
    if table is not examples:
        table = labelled_parts({"examples": table})[0]["examples"].table
    found = scored(classifier, table)
    assert isinstance(found, LabelSetEvaluation)
    return found


def _matrix(sets: Sequence[Sequence[str]], names: Sequence[str], kind: str) -> Bools:
    """Return whether each text has each label (N, K)."""
    ids = {name: index for index, name in enumerate(names)}
    found = np.zeros((len(sets), len(names)), dtype=np.bool_)
    for row, labels in enumerate(sets):
        for label in labels:
            if label not in ids:
                raise DataError(
                    f"evaluation: the {kind} {label!r} of text {row + 1} is not among the label names {list(names)}. Correct the "
                    "label, or leave the text out."
                )
            found[row, ids[label]] = True
    return found


def _resampled(true: Bools, guessed: Bools, *, resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Return micro-F1 and macro-F1 (R,) of resampled texts."""
    hits, totals = 2.0 * (true & guessed), true.astype(np.float64) + guessed
    in_test_set = true.any(axis=0)
    rng = np.random.default_rng(seed)
    micro, macro = [], []
    for count in chunks(resamples, len(true)):
        drawn = rng.multinomial(len(true), np.full(len(true), 1 / len(true)), size=count).astype(np.float64)
        hit, total = drawn @ hits, drawn @ totals
        micro.append(hit.sum(axis=1) / np.maximum(total.sum(axis=1), 1))
        f1, seen = hit[:, in_test_set] / np.maximum(total[:, in_test_set], 1), (total[:, in_test_set] > 0).sum(axis=1)
        macro.append(in_test_set.mean() * f1.sum(axis=1) / np.maximum(seen, 1))
    return np.concatenate(micro), np.concatenate(macro)


def _label_scores(name: str, true: Bools, guessed: Bools, f1: float) -> LabelScores:
    right, support, predicted = int((true & guessed).sum()), int(true.sum()), int(guessed.sum())
    precision = wilson(right, predicted) if predicted else None
    return LabelScores(name, precision, wilson(right, support) if support else None, f1, support)


def _most_frequent(true: Bools, names: Sequence[str], learnt: Mapping[str, int]) -> MostFrequentAlone:
    """Return the label that is most frequent among the texts learnt; of equal ones, or of unknown ones, in the test set."""
    tested = Counter(dict(zip(names, true.sum(axis=0).tolist(), strict=True)))
    label = max(sorted(names), key=lambda name: (learnt.get(name, 0), tested[name]))
    micro_f1 = 2 * tested[label] / max(1, tested.total() + len(true))
    return MostFrequentAlone(label, micro_f1)
