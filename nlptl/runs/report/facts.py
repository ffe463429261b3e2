"""RunReport: what a report shows of a run. It holds facts; how they look is settled elsewhere.

Shapes: N judged texts, K labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from nlptl.evaluation.intervals import Estimate, Interval
from nlptl.evaluation.label_sets import LabelSetEvaluation
from nlptl.evaluation.scores import Evaluation, LabelScores
from nlptl.runs.reading.judged import Judged
from nlptl.runs.report.studies import Studies


@dataclasses.dataclass(frozen=True)
class Headline:
    """Accuracy by which a classifier is judged, and the bar of guessing."""

    accuracy: Estimate
    texts: int
    on: str  # which texts, such as "test.csv, 40 texts that it did not learn from"
    guess: str = ""  # most frequent label of the examples; empty if not known
    guessing: float | None = None  # accuracy of always answering it
    more: str = ""  # a further score in a sentence
    by_sets: bool = False  # whether a text is right only with all of its labels
    by_f1: str = ""  # how it stands to the bar of guessing, where only F1 tells that; without a full stop


@dataclasses.dataclass(frozen=True)
class Rival:
    """One way to a classifier, beside others on the same texts."""

    name: str
    accuracy: Estimate
    is_this: bool = False  # whether the report is about it
    macro_f1: Estimate | None = None
    difference: Estimate | None = None  # of its accuracy from that of `Standing.reference`
    seconds: float | None = None
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Standing:
    """A classifier beside other ways, and what that shows."""

    rivals: tuple[Rival, ...]
    reference: str  # name of the rival from which the differences are counted; empty without differences
    on: str  # the texts, and how often
    sentences: tuple[str, ...]  # what it shows
    simple: str = ""  # name of the rival that stands for the simple way; empty without one
    unmeasured: str = ""  # why the classifier is not measured against the simple way; empty where it is


@dataclasses.dataclass(frozen=True)
class ReliabilityBin:
    """Judged texts whose prediction has a probability between two bounds."""

    low: float
    high: float
    texts: int
    confidence: float  # mean probability of the predicted label
    right: Interval  # share of right predictions


@dataclasses.dataclass(frozen=True)
class WordWeight:
    """Part of a text, and by how much it raises the logit of the predicted label above that of the true one."""

    start: int
    end: int
    weight: float


@dataclasses.dataclass(frozen=True)
class Mistake:
    """Judged text with a wrong prediction."""

    text: int  # its place among the judged texts
    words: tuple[WordWeight, ...]  # empty where no explanation is known
    how: str = ""  # by which method the weights were found


@dataclasses.dataclass(frozen=True)
class MapPoint:
    """Text on the map of sentence vectors."""

    x: float  # 0 to 1, as `y`
    y: float
    text: str
    label: str
    place: str
    part: str  # "labelled" or "judged"
    predicted: str = ""  # empty for a text that was learnt from


@dataclasses.dataclass(frozen=True)
class EmbeddingMap:
    """Sentence vectors of texts in two dimensions."""

    points: tuple[MapPoint, ...]
    texts: int  # of which the points are a sample
    how: str
    by_sets: bool = False  # whether each label of a point may be several, joined


@dataclasses.dataclass(frozen=True)
class LossCurve:
    """Loss of one training by epoch."""

    stage: str
    name: str  # of the training within its stage; may be empty
    epochs: tuple[float, ...]
    losses: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class StageFacts:
    """What one stage cost, chose and found."""

    folder: str
    seconds: float
    trainable_parameters: int
    total_parameters: int
    device: str
    seed: int | None
    sentences: tuple[str, ...]
    flops: float | None
    weight_change: Mapping[str, float]  # |W - W0| / |W0| by layer, lowest first


@dataclasses.dataclass(frozen=True)
class Provenance:
    """What the classifier was made of."""

    weights: str  # name or path; empty where none were loaded
    revision: str
    licence: str
    versions: Mapping[str, str]
    seed: int | None
    device: str
    identity: str
    pipeline: str  # its settings, as YAML


@dataclasses.dataclass(frozen=True)
class PartFacts:
    """Profile of one part of the data."""

    name: str
    source: str
    rows_read: int
    rows_used: int
    labels: Mapping[str, int]  # rows used of each label; empty without labels
    lengths: tuple[
        int, ...
    ]  # characters of a text at the quantiles 0, .25, .5, .75, .95 and 1; empty if not read again
    digest: str


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """Profile of the data."""

    parts: tuple[PartFacts, ...]
    sentences: tuple[str, ...]  # what a person should know of the data
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Advice:
    """Next step: a sentence, and the command that takes it."""

    sentence: str
    command: str = ""


@dataclasses.dataclass(frozen=True)
class RunReport:
    """All facts of a run's report. A part that is not known is None or empty."""

    run: Path
    name: str
    verdict: str
    proof: str  # what shows the verdict, in a sentence or two
    labels: tuple[str, ...]  # of the classifier; empty for an encoder
    judged: Judged | None
    evaluation: Evaluation | None
    label_sets: LabelSetEvaluation | None  # scores where a text may have several labels
    headline: Headline | None
    standing: Standing | None
    reliability: tuple[ReliabilityBin, ...]
    mistakes: tuple[Mistake, ...]
    map: EmbeddingMap | None
    curves: tuple[LossCurve, ...]
    stages: tuple[StageFacts, ...]
    data: DataFacts
    provenance: Provenance
    advice: tuple[Advice, ...]
    commands: Mapping[str, str]  # by section: the command that makes its figures again
    remarks: tuple[str, ...]  # what the report could not show, and why
    price_per_hour: float | None = None
    studies: Studies = dataclasses.field(default_factory=Studies)

    @property
    def per_label(self) -> tuple[LabelScores, ...]:
        """Scores of each label; empty where nothing was judged."""
        found = self.evaluation or self.label_sets
        return () if found is None else found.per_label
