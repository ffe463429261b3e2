"""Stage two: a fresh classification head for the label set."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from nlptl.artifact import Kind
from nlptl.context import RunContext
from nlptl.errors import DataError
from nlptl.stages.stage import ExpectedModel, Need, Part, Stage

if TYPE_CHECKING:
    from nlptl.data import TextData
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder


class ClassificationHead(Stage):
    """Attach an untrained head with one output a label."""

    stage: Literal["classification_head"] = "classification_head"
    """The name of this stage."""
    hidden: int = Field(default=0, ge=0, le=65_536)
    """Units of one hidden layer; 0 is a linear head, the safer choice for few labels."""
    activation: Literal["sigmoid", "gelu"] = "gelu"
    """Nonlinearity of the hidden layer."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of values dropped at random while training; more regularises more."""

    takes: ClassVar[Kind | None] = "encoder"
    gives: ClassVar[Kind] = "classifier"
    version: ClassVar[int] = 1

    @property
    def needs(self) -> frozenset[Need]:
        """Label names."""
        return frozenset({"labels"})

    @property
    def is_random(self) -> bool:
        """A hidden layer's weights are drawn."""
        return True

    def reads(self, data: TextData) -> frozenset[Part]:
        """Return what names the labels: labelled examples, else those of the source; label_names where further labels are."""
        named: frozenset[Part] = frozenset({"label_names"})
        if data.labelled is None and data.source is None:
            return named
        part: frozenset[Part] = frozenset({"labelled"} if data.labelled is not None else {"source"})
        return part | named if data.labels_without_rows else part

    def expected_model(self, before: ExpectedModel) -> ExpectedModel:
        """Add the head's hidden layer."""
        return dataclasses.replace(before, hidden=self.hidden)

    def run(self, given: Encoder, *, data: TextData, context: RunContext | None = None) -> TextClassifier:
        """Return a TextClassifier over a copy of `given` for the labels of `data`. Raises DataError where none are named."""
        from nlptl.models.classifier import TextClassifier
        from nlptl.models.heads import Head

        context = context or RunContext()
        if data.labelled is None and data.source is None and data.label_names is None:
            raise DataError(
                "classification_head: found no labelled examples; they name the labels. Give data.labelled."
            )
        labels = data.label_set.names
        thresholds = [0.5] * len(labels) if data.has_label_sets else None
        head = Head(
            given.dim,
            len(labels),
            hidden=self.hidden,
            activation=self.activation,
            dropout=self.dropout,
            thresholds=thresholds,
        )
        head.initialise(context.generator("classification_head"))
        return TextClassifier(copy.deepcopy(given), head.to(given.device), labels).eval()
