"""Outcome of a refresh: the content of refresh.json."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nlptl.config import Config
from nlptl.evaluation.intervals import Estimate
from nlptl.results import read_result, write_result
from nlptl.runs.judging.fit_rows import Seconds
from nlptl.runs.refresh.quarantine import QuarantineReason
from nlptl.versions import Count, MeasuredAccuracy, Number, RunVersion

REFRESH = "refresh.json"


class RefreshOutcome(Config):
    """What came out of a refresh."""

    number: Number
    made_from: Number
    when: str
    files: tuple[str, ...]
    taken_as: tuple[str, ...]  # sentences on how the files are read
    labelled: str  # digest of the rows and of the classifier that they are to refresh
    given: Count  # rows of the files
    quarantined: dict[QuarantineReason, Count]  # rows by reason
    learnt: Count  # new rows that the version learns
    held_out: Count  # new rows that join the test and are never learnt
    known: Count  # rows that the version before has learnt
    judged_how: str  # sentences
    judged_kept: Count
    judged_new: Count
    before: Estimate | None
    after: Estimate | None
    difference: Estimate | None
    margin: float
    decision: Literal["used", "not used"]
    why: str
    settle: str
    remarks: tuple[str, ...]
    classifier: str  # digest of its files; empty where none was trained
    seconds: Seconds

    @property
    def judged(self) -> int:
        """Number of texts on which both versions are compared."""
        return self.judged_kept + self.judged_new

    def write(self, folder: Path) -> None:
        """Write refresh.json."""
        write_result(folder / REFRESH, self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> RefreshOutcome | None:
        """Read refresh.json; None if there is none. Raises ArtifactError where it is damaged or was changed."""
        content = read_result(folder / REFRESH, again="Run `nlptl refresh` again.")
        return None if content is None else cls.model_validate(content)

    def version(self) -> RunVersion:
        """Return the version as versions.json lists it."""
        return RunVersion(
            number=self.number, when=self.when, made_from=self.made_from, labelled=self.labelled,
            added=self.learnt + self.held_out, quarantined=sum(self.quarantined.values()), judged=self.judged,
            accuracy=_measured(self.after), accuracy_before=_measured(self.before), decision=self.decision, why=self.why,
            classifier=self.classifier,
        )  # fmt: skip


def _measured(found: Estimate | None) -> MeasuredAccuracy | None:
    if found is None or found.low is None or found.high is None:
        return None
    return MeasuredAccuracy(value=found.value, low=found.low, high=found.high)
