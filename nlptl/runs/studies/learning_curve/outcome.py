"""Result of a learning curve: the content of curve.json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from nlptl.config import Config
from nlptl.errors import ArtifactError, ConfigError
from nlptl.evaluation.intervals import Estimate
from nlptl.results import read_result, write_result
from nlptl.runs.folder import CURVE
from nlptl.runs.judging.fit_rows import Seconds
from nlptl.runs.judging.splits import JudgedBy

VERSION = 1  # of the content
Metric = Literal["accuracy", "macro-F1"]
Count = Annotated[int, Field(ge=0, le=10**9, strict=True)]


class CurvePoint(Config):
    """Mean score of the fits that learnt so many labelled texts."""

    labels: Count  # distinct texts learnt
    draws: Count
    score: Estimate  # its 95 % interval allows for the texts drawn and those judged


class CurvePrediction(Config):
    """What a score will be with more labelled texts of the same kind."""

    labels: Count
    score: Estimate  # median and 90 % prediction interval of one measurement
    gain: Estimate  # over all labelled texts at hand, 90 % interval


class MetricCurve(Config):
    """Curve of one score."""

    metric: Metric
    points: tuple[CurvePoint, ...]
    predictions: tuple[CurvePrediction, ...]  # none where the curve is too short to be extrapolated
    labels_for_a_point: Estimate | None  # further labels; an end is None where it is beyond what can be predicted
    sentence: str


class LabelCurve(Config):
    """F1 of one label, and what twice as many labelled texts would bring it."""

    label: str
    texts: Count  # labelled rows that have it
    f1: tuple[CurvePoint, ...]
    recall: tuple[CurvePoint, ...]
    gain: Estimate | None  # of the F1, 90 % interval; None where the curve is too short


class PileWorth(Config):
    """How many labels the pile is worth."""

    difference: Estimate | None  # of the scores with and without the pile, with all labelled texts; 95 % interval
    labels: Estimate | None  # further labels that bring as much; None where the difference is not shown
    sentence: str


class CurveResult(Config):
    """Result of a learning curve."""

    version: Literal[1] = 1
    identity: str  # digest of data, settings and versions
    data: dict[str, str]  # digest of each part that was read
    metric: Metric  # that was asked for
    labels: tuple[str, ...]
    texts: Count  # distinct labelled texts
    judged: JudgedBy
    judged_how: str
    fits: Count
    planned: Count
    method: str  # sentence on what was fitted, where it is not the pipeline's own method; else empty
    curves: tuple[MetricCurve, ...]  # that of `metric` first
    label_curves: tuple[LabelCurve, ...]
    pile: PileWorth | None  # None where the pipeline reads none
    sentences: tuple[str, ...]  # what a person should know, the most important first
    seconds: Seconds

    def write(self, folder: Path) -> None:
        """Write curve.json."""
        write_result(folder / CURVE, self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> CurveResult | None:
        """Read curve.json of a folder; None if there is none.

        Raises ArtifactError where it is damaged, was changed, or was written by another version.
        """
        content = read_result(folder / CURVE, again="Run `nlptl curve` again.")
        if content is None:
            return None
        if content.get("version") != VERSION:
            raise ArtifactError(
                f"{folder / CURVE}: holds a learning curve of version {content.get('version')!r}; expected version {VERSION}. "
                "Run `nlptl curve` again, which keeps the fits that still hold."
            )
        try:
            return cls.model_validate(content)
        except ConfigError as error:
            raise ArtifactError(f"{folder / CURVE}: is no learning curve. {error} Run `nlptl curve` again.") from None
