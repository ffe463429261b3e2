"""AuditResult: the content of audit.json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from nlptl.config import Config
from nlptl.errors import ArtifactError, ConfigError
from nlptl.evaluation.intervals import Estimate
from nlptl.evaluation.near_copies import MIN_SHARE
from nlptl.results import read_result, write_result
from nlptl.runs.folder import AUDIT
from nlptl.runs.studies.audit.scores import MIN_COSINE

VERSION = 1  # of audit.json; more refuses the files of before

FindingKind = Literal[
    "wrong_labels", "contradictions", "near_contradictions", "leaks", "near_leaks", "copies", "near_copies", "paraphrases",
    "outliers", "confused_labels", "rare_labels", "no_text", "wordless", "languages", "cut", "fragments", "regions", "next_labels",
]  # fmt: skip
Count = Annotated[int, Field(ge=0, le=10**12, strict=True)]


class AuditThresholds(Config):
    """Thresholds of an audit. Other ones need no new computation: the scores are kept."""

    suspects: float = Field(default=0.5, ge=0, lt=1)
    """Lead of the predicted label's probability over that of the given one, from which a label is told as wrong. More tells
    fewer labels, and more of them rightly."""
    near_copies: float = Field(default=0.8, ge=MIN_SHARE, le=1)
    """Share of their pairs of words that two texts have in common, from which they are near-copies. More tells fewer."""
    paraphrases: float = Field(default=0.95, ge=MIN_COSINE, le=1)
    """Cosine of two texts' vectors from which they say the same. More tells fewer."""
    outliers: float = Field(default=5.0, ge=1, le=100)
    """How far below the median a text's nearness to other texts lies, in robust standard deviations, from which it stands
    alone. More tells fewer."""


class AuditExample(Config):
    """One row of a finding, and its place."""

    file: str
    row: Count | None  # as a spreadsheet or an editor counts; None in a folder, where each text has a file
    text: str  # cut
    label: str = ""
    detail: str = ""  # such as the label that is predicted


class AuditFinding(Config):
    """One kind of thing that is odd about the data."""

    kind: FindingKind
    name: str  # in tables
    rows: Count  # that have it, or labels, or pairs of labels
    looked_at: Count  # of so many
    unit: str = "rows"
    examples: tuple[AuditExample, ...] = ()  # the worst ones first
    remedy: str = ""
    table: str = ""  # CSV with all of them, in the folder of the tables

    @property
    def share(self) -> float:
        """Share of what was looked at."""
        return self.rows / max(1, self.looked_at)


class ConfusedLabels(Config):
    """Two labels that held-out predictions confuse."""

    label: str
    other: str
    rows: Count  # of either label for which the other one is predicted
    looked_at: Count  # rows of both labels
    share: Estimate


class AuditLengths(Config):
    """Lengths of texts, in characters."""

    median: Count
    nine_tenths: Count  # of the texts have at most so many
    longest: Count


class AuditResult(Config):
    """What an audit has found."""

    version: Count = VERSION
    command: str  # that computes it again
    settings: dict[str, Any] | None  # that read the data, paths from this folder; None of data in Python
    data: dict[str, str]  # digest of each part as a run reads it
    audited: dict[str, str] = Field(
        default_factory=dict
    )  # the same with all rows, leaks among them, where a run reads fewer
    rows: dict[str, Count]  # of each part
    labels: dict[str, Count]  # rows of each, in all labelled parts
    encoder: str | None  # by whose vectors texts were compared
    judges: tuple[str, ...]  # by which labels were judged
    encoded: Count  # distinct texts whose vectors were compared
    thresholds: AuditThresholds
    findings: tuple[AuditFinding, ...]  # those of no row too
    confused: tuple[ConfusedLabels, ...]
    lengths: AuditLengths | None = None  # of all texts
    languages: dict[str, Count]  # of the texts that were looked at; "" where it is not clear
    remarks: tuple[str, ...]  # what was not looked at, and why
    seconds: Annotated[float, Field(ge=0, le=1e9)]

    def finding(self, kind: FindingKind) -> AuditFinding | None:
        """Return the finding of a kind; None where it was not looked for."""
        return next((one for one in self.findings if one.kind == kind), None)

    def write(self, folder: Path) -> None:
        """Write audit.json."""
        write_result(folder / AUDIT, self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> AuditResult | None:
        """Read audit.json of a folder; None if there is none.

        Raises ArtifactError where it is damaged, was changed, or is of another version.
        """
        path = folder / AUDIT
        content: dict[str, Any] | None = read_result(path, again="Audit the data again.")
        if content is None:
            return None
        found = content.get("version")
        if found != VERSION:
            raise ArtifactError(
                f"{path}: was written by version {found} of the audit; expected version {VERSION}. Audit the data again."
            )
        try:
            return cls.model_validate(content)
        except (ConfigError, ValueError):
            raise ArtifactError(f"{path}: holds other fields than an audit has. Audit the data again.") from None
