"""Studies of a run: what files beside its stages say of the classifier and the data, unless they are of others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nlptl.errors import ArtifactError
from nlptl.runs.behaviour.outcome import BehaviourResult
from nlptl.runs.folder import BEHAVIOUR


@dataclasses.dataclass(frozen=True)
class Studies:
    """Results of studies; None where one was not made, or belongs to another classifier or other data."""

    behaviour: BehaviourResult | None = None
    remarks: tuple[str, ...] = ()  # on results that are not shown


def read_studies(run: Path, *, identity: str) -> Studies:
    """Read the studies in a run's folder. `identity` is that of its classifier."""
    remarks = list[str]()
    return Studies(behaviour=_behaviour(run, identity, remarks), remarks=tuple(remarks))


def _behaviour(run: Path, identity: str, remarks: list[str]) -> BehaviourResult | None:
    try:
        found = BehaviourResult.read(run)
    except ArtifactError as error:
        remarks.append(str(error))
        return None
    if found is not None and found.identity != identity:
        remarks.append(f"{BEHAVIOUR} is of an earlier classifier and is not shown. Run `nlptl behave` again.")
        return None
    return found
