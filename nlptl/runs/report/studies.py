"""Studies of a run: what files beside its stages say of the classifier and the data, unless they are of others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nlptl.errors import ArtifactError, ConfigError, DataError
from nlptl.runs.behaviour.outcome import BehaviourResult
from nlptl.runs.folder import AUDIT, BEHAVIOUR, CURVE
from nlptl.runs.studies.audit.outcome import AuditResult
from nlptl.runs.studies.learning_curve.outcome import CurveResult

if TYPE_CHECKING:
    from nlptl.inference.abstention.conformal import SetCoverage
    from nlptl.models.classifier import TextClassifier

COVERAGE = 0.9  # of the prediction sets that are told

R = TypeVar("R")


@dataclasses.dataclass(frozen=True)
class Studies:
    """Results of studies; None where one was not made, or belongs to another classifier or other data."""

    behaviour: BehaviourResult | None = None
    curve: CurveResult | None = None
    audit: AuditResult | None = None
    coverage: SetCoverage | None = None  # of prediction sets; None where the classifier has none
    remarks: tuple[str, ...] = ()  # on results that are not shown


def read_studies(
    run: Path,
    *,
    identity: str,
    data: Mapping[str, str],
    tests: Collection[str],
    classifier: TextClassifier | None = None,
) -> Studies:
    """Read the studies in a run's folder. `identity` is that of its classifier, `data` has the digest of each part.

    `tests` are the digests of the labelled texts that can be read again.
    """
    remarks = list[str]()
    behaviour = _read(BehaviourResult.read, run, remarks)
    if behaviour is not None and behaviour.identity != identity:
        behaviour = None
        _stale(BEHAVIOUR, "an earlier classifier", "behave", remarks)
    if behaviour is not None and behaviour.test not in tests:
        behaviour = None
        _stale(BEHAVIOUR, "other texts", "behave", remarks)
    curve = _read(CurveResult.read, run, remarks)
    if curve is not None and curve.data.get("labelled", "") != data.get("labelled", ""):
        curve = None
        _stale(CURVE, "other data", "curve", remarks)
    audit = _read(AuditResult.read, run, remarks)
    if audit is not None and any(audit.data.get(part, digest) != digest for part, digest in data.items()):
        audit = None
        _stale(AUDIT, "other data", "audit", remarks)
    return Studies(behaviour, curve, audit, _coverage(classifier), tuple(remarks))


def _read(read: Callable[[Path], R | None], run: Path, remarks: list[str]) -> R | None:
    try:
        return read(run)
    except ArtifactError as error:
        remarks.append(str(error))
        return None


def _stale(name: str, what: str, command: str, remarks: list[str]) -> None:
    remarks.append(f"{name} is of {what} and is not shown. Run `nlptl {command}` again.")


def _coverage(classifier: TextClassifier | None) -> SetCoverage | None:
    """Return what sets of a coverage of .9 are worth; None where the classifier has none, or too few held-out texts."""
    if classifier is None or classifier.abstention is None or classifier.multi_label:
        return None
    try:
        return classifier.checked_abstention(where="report").coverage(COVERAGE)
    except (ConfigError, DataError):
        return None
