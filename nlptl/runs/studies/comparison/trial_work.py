"""Work on one trial: its training, and its rows; here, or wherever a trainer works.

Shapes: N texts of a test, K labels.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from nlptl.context import RunContext
from nlptl.data.labelled_parts import spelt_as
from nlptl.errors import DataError, NlptlError
from nlptl.evaluation.most_frequent import MostFrequent
from nlptl.runs.studies.comparison.arm_costs import ArmCost, median_latency, megabytes_on_disk
from nlptl.runs.studies.comparison.arms import Trial
from nlptl.runs.studies.comparison.comparison_rows import ComparisonRow
from nlptl.runs.studies.comparison.shared_work import SharedWork

if TYPE_CHECKING:
    from nlptl.data import TextTable
    from nlptl.models.classifier import TextClassifier

Device = Literal["auto", "cpu", "cuda"]


@dataclasses.dataclass(frozen=True)
class TrialCall:
    """Trial that is to be run on some of its tests."""

    trial: Trial
    tests: tuple[str, ...]
    measures: bool  # whether disk and latency of its classifier are measured, too


@dataclasses.dataclass(frozen=True)
class TrialOutcome:
    """What came of a trial on one or more of its tests: rows and its cost, or why it failed."""

    rows: tuple[ComparisonRow, ...] = ()
    cost: ArmCost = dataclasses.field(default_factory=lambda: ArmCost(seconds=0))
    error: NlptlError | MemoryError | None = None


class Trainer(Protocol):
    """Where trials run."""

    @property
    def workers(self) -> int:
        """Number of trials that run at the same time."""

    def trained(self, calls: Iterable[TrialCall]) -> Iterator[tuple[TrialCall, TrialOutcome]]:
        """Yield what came of each call, at once or test by test, in any order. A call is taken when there is room for it."""


@dataclasses.dataclass(frozen=True)
class LocalTrainer:
    """Trainer in this process, whose trials share the artifacts of equal stages."""

    shared: SharedWork
    device: Device
    workers: int = 1

    def trained(self, calls: Iterable[TrialCall]) -> Iterator[tuple[TrialCall, TrialOutcome]]:
        """Yield what came of each call, test by test, in order."""
        for call in calls:
            for outcome in run_trial(call, self.shared, self.device):
                yield call, outcome


def run_trial(call: TrialCall, shared: SharedWork, device: Device) -> Iterator[TrialOutcome]:
    """Train a trial, then yield what came of each of its tests; where it fails, the error instead."""
    trial, classifier, cost = call.trial, None, ArmCost(seconds=0)
    try:
        if trial.arm.stages:
            classifier, cost = shared.train(trial, RunContext(seed=trial.seed, device=device))
        for test in call.tests:
            found = predicted_labels(trial.arm.name, classifier, trial.tests[test], trial.data.labelled)
            if call.measures and classifier is not None and test == call.tests[0]:
                cost = _with_use(trial, classifier, cost)
            yield TrialOutcome((comparison_row(trial, test, found, cost),), cost)
    except (NlptlError, MemoryError) as error:
        yield TrialOutcome(error=error)


def _with_use(trial: Trial, classifier: TextClassifier, cost: ArmCost) -> ArmCost:
    """Return a cost with the disk and the time that predicting takes."""
    texts = next(iter(trial.tests.values())).texts()
    disk, latency = megabytes_on_disk(classifier), median_latency(classifier, texts)
    return cost.model_copy(update={"disk": round(disk, 6), "latency": round(latency, 3)})


def predicted_labels(
    arm: str, classifier: TextClassifier | None, test: TextTable, learnt: TextTable | None
) -> list[str]:
    """Return the label that a classifier gives each text of a test; without one, the most frequent label learnt.

    Raises DataError for probabilities that are no numbers.
    """
    if classifier is None:
        labels = test.labels()
        counts = Counter(() if learnt is None else learnt.labels())
        return [MostFrequent.of(labels, learnt=counts).label] * len(labels)
    probabilities = classifier.probabilities(test.texts())
    if bad := int((~np.isfinite(probabilities)).any(axis=1).sum()):
        raise DataError(
            f"{arm}: its classifier gives {bad} of {len(probabilities)} texts of {test.name} probabilities that are no numbers "
            "(NaN), so it cannot be compared. Train it again with a lower learning rate, or leave it out."
        )
    names = spelt_as(test, classifier.labels)
    spelling = dict(zip(names.labels(), test.labels(), strict=True))
    return [spelling.get(label, label) for label in classifier.labels_of(probabilities)]


def comparison_row(trial: Trial, test: str, predicted: Sequence[str], cost: ArmCost | None) -> ComparisonRow:
    """Return the row of a trial on one of its tests."""
    table, place = trial.tests[test], {label: number for number, label in enumerate(trial.labels)}
    hits = [int(one == label) for one, label in zip(predicted, table.labels(), strict=True)]
    return ComparisonRow(
        arm=trial.arm.name, seed=trial.seed, test=test, accuracy=sum(hits) / len(hits), texts=table.digest,
        correct="".join(map(str, hits)), identity=trial.identity, predicted=[place.get(one, -1) for one in predicted],
        cost=cost,
    )  # fmt: skip
