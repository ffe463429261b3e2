"""Outcome of `nlptl start`: the content of start.json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from nlptl.config import Config
from nlptl.evaluation.intervals import Estimate
from nlptl.results import read_result, write_result
from nlptl.runs.folder import START
from nlptl.runs.judging.fit_rows import Seconds
from nlptl.runs.judging.splits import JudgedBy


class JudgedCandidate(Config):
    """Scores of one candidate on the judged texts."""

    name: str
    accuracy: Estimate
    macro_f1: Estimate
    difference: Estimate | None  # of its accuracy from that of the chosen one, paired; None for the chosen one
    seconds: Seconds  # of one training, pretraining included
    chosen: bool
    note: str = ""


class StartOutcome(Config):
    """What came out of `nlptl start`."""

    labels: tuple[str, ...]
    taken_as: tuple[str, ...]  # sentences on how the files are read
    profile: tuple[str, ...]  # sentences on the data
    warnings: tuple[str, ...]
    judged: JudgedBy
    judged_how: str
    texts: Annotated[int, Field(ge=0, le=10**12, strict=True)]  # distinct ones that were judged
    candidates: tuple[JudgedCandidate, ...]  # the simplest first
    verdict: str
    pile: str  # what pretraining and the pile brought
    cuts: str = ""  # what the time did not allow; empty where it allowed everything
    since_last: str | None  # what new labels brought; None in a first call
    seconds: Seconds

    @property
    def chosen(self) -> JudgedCandidate:
        """The candidate whose chain the run holds."""
        return next(candidate for candidate in self.candidates if candidate.chosen)

    def write(self, folder: Path) -> None:
        """Write start.json."""
        write_result(folder / START, self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> StartOutcome | None:
        """Read start.json of a folder; None if there is none. Raises ArtifactError where it is damaged or was changed."""
        content = read_result(folder / START, again="Run `nlptl start` again.")
        return None if content is None else cls.model_validate(content)
