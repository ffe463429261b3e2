"""Outcome of a study of behaviour: the content of behaviour.json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from nlptl.config import Config
from nlptl.errors import ArtifactError, ConfigError
from nlptl.evaluation.intervals import Estimate
from nlptl.results import read_result, write_result
from nlptl.runs.folder import BEHAVIOUR

VERSION = 1

Count = Annotated[int, Field(ge=0, le=10**12, strict=True)]
Share = Annotated[float, Field(ge=0, le=1)]


class Flip(Config):
    """Text whose predicted label an edit has changed."""

    place: str  # such as "test.csv, row 3"
    text: str
    edited: str
    label: str  # its own
    before: str  # predicted
    after: str
    probability: Share  # of `before`, for the text as it is
    probability_after: Share  # of `after`, for the edited text


class LabelFlips(Config):
    """How often an edit changes the predictions of one label."""

    label: str  # predicted for the texts as they are
    texts: Count
    flipped: Estimate  # share


class EditResult(Config):
    """What an edit does to the predictions."""

    name: str
    what: str
    may_change_label: bool
    english: bool  # whether it changes English words alone
    texts: Count  # that it changes
    flipped: Estimate | None  # share of them whose predicted label changes; None where there are none
    right_before: Share | None  # accuracy on them as they are
    right_after: Share | None  # accuracy on them after the edit; None where another label may be right then
    difference: Estimate | None  # of these accuracies, after − before
    labels: tuple[LabelFlips, ...]
    flips: tuple[Flip, ...]  # some of them, the surest first


class SliceResult(Config):
    """Scores of one slice, as `nlptl.evaluation.slices.SliceScore` has them."""

    by: str
    value: str
    texts: Count
    accuracy: Estimate
    difference: Estimate | None
    overconfidence: Estimate
    differs: bool
    misjudges_itself: bool


class BehaviourResult(Config):
    """What came out of `nlptl behave`."""

    version: Literal[1] = 1
    identity: str  # of the classifier
    test: str  # digest of the texts from which these were drawn, with their labels
    on: str  # which texts
    learnt: bool  # whether the classifier has learnt these texts, so that it is right more often than on new ones
    texts: Count  # that the slices divide
    edited_texts: Count  # of these, on which the edits were tried
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)]
    edits: tuple[EditResult, ...]
    slices: tuple[SliceResult, ...]
    sentences: tuple[str, ...]  # what this shows, the gravest first

    def write(self, folder: Path) -> None:
        """Write behaviour.json."""
        write_result(folder / BEHAVIOUR, self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> BehaviourResult | None:
        """Read behaviour.json of a run; None if there is none, or if it is of another version.

        Raises ArtifactError where it is damaged or was changed.
        """
        content = read_result(folder / BEHAVIOUR, again="Run `nlptl behave` again.")
        if content is None or content.get("version") != VERSION:
            return None
        try:
            return cls.model_validate(content)
        except ConfigError as error:
            raise ArtifactError(f"{folder / BEHAVIOUR}: is damaged ({error}). Run `nlptl behave` again.") from None
