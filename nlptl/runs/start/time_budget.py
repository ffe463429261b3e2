"""Time of a start: what it will take, and what is left for each part of it."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from nlptl.artifact import digest_of
from nlptl.errors import ArtifactError
from nlptl.evaluation.next_labels import MAX_POOL
from nlptl.finetuning.selection.encoding_speed import EncodingSpeed
from nlptl.finetuning.selection.method_choice import MIN_EXAMPLES_ONE_SPLIT, passes_of
from nlptl.results import read_result, write_result
from nlptl.runs.judging.fits import PILE_OF_FITS, SharedEncoder
from nlptl.runs.start.preparation import Prepared

PLAN = ".plan.json"
PARTS_OF_FOLDS = 8  # of the minutes, one of which a training of `auto` may take where each fold needs one
MIN_AUTO = 0.2  # minutes of `auto`, below which it cannot do anything
QUICK_SECONDS = 25.0  # of reading, of the candidates that are not trained for long, and of the report
SECONDS_A_LABELLED_TEXT = 0.01  # of these candidates
MARGIN = 1.2  # by which an estimate of what comes at the end is raised


@dataclasses.dataclass(frozen=True)
class TimeBudget:
    """Seconds that a start may take, and when it began (by time.monotonic)."""

    seconds: float
    begin: float

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.monotonic() - self.begin)


@dataclasses.dataclass(frozen=True)
class Pace:
    """Seconds that the encoder of a start takes."""

    labelled: float  # for one pass over all labelled texts
    at_the_end: float  # for the texts that are encoded after the training: the test, and what may be labelled next

    @classmethod
    def of(cls, shared: SharedEncoder, prepared: Prepared) -> Pace:
        """Measure the pace on some of the labelled texts."""
        texts = shared.examples.texts
        seconds = EncodingSpeed(shared.given, texts).seconds_for(texts)
        after = 2 * min(MAX_POOL, prepared.pile) + len(prepared.data.test or ())
        return cls(seconds, seconds / len(texts) * after)


def estimated_seconds(prepared: Prepared, pace: Pace | None) -> float:
    """Return about how many seconds a start takes; without a pace there is no encoder."""
    quick = QUICK_SECONDS + SECONDS_A_LABELLED_TEXT * prepared.labelled
    most = 60 * prepared.request.minutes
    if pace is None:
        return min(most, quick)
    count, labels = prepared.labelled, len(prepared.data.label_set)
    training = passes_of("contrastive", count, labels) * pace.labelled
    if prepared.few:
        training += pace.labelled / count * min(prepared.pile, PILE_OF_FITS)
    trainings = 2.0 if count < MIN_EXAMPLES_ONE_SPLIT else 4.0
    if prepared.judging.by == "cross-validation":
        ways = 2 if prepared.few and prepared.pile else 1
        trainings = 1 + ways * prepared.judging.folds
    return min(most, quick + trainings * training + 3 * pace.labelled + pace.at_the_end)


def minutes_of_auto(prepared: Prepared, budget: TimeBudget, pace: Pace, folder: Path) -> float:
    """Return the minutes that one training of `auto` may take: what is left, or a share of all where each fold needs one.

    They are kept with the data, since a call that goes on after a kill would find less time left and train something else.
    """
    minutes = prepared.request.minutes
    if prepared.judging.by == "cross-validation":
        return max(MIN_AUTO, round(minutes / PARTS_OF_FOLDS, 1))
    assert prepared.data.labelled is not None
    key = digest_of([minutes, prepared.data.labelled.digest, prepared.judging.table.digest])
    kept = _kept(folder / PLAN)
    if kept is not None and kept[0] == key:
        return kept[1]
    found = max(MIN_AUTO, round((budget.left - MARGIN * pace.at_the_end - QUICK_SECONDS / 2) / 60, 1))
    write_result(folder / PLAN, {"key": key, "minutes": found})
    return found


def _kept(path: Path) -> tuple[str, float] | None:
    try:
        found = read_result(path)
    except ArtifactError:
        return None
    if found is None or not isinstance(found.get("minutes"), float) or not found["minutes"] > 0:
        return None
    return str(found.get("key")), found["minutes"]
