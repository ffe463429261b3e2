"""JudgedChain: a chain of stages whose fits are judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from nlptl.artifact import digest_of
from nlptl.runs.chain import Chain
from nlptl.stages.stage import Stage

Learns = Literal["labels", "names", "shares"]


@dataclasses.dataclass(frozen=True)
class JudgedChain:
    """One way to a classifier."""

    kind: str
    name: str  # in tables
    stages: tuple[Stage, ...]  # none where only the shares of the labels are learnt
    learns: Learns = "labels"  # labelled rows, the names of the labels alone, or how frequent each label is
    may_be_chosen: bool = True  # else a bar that the others must beat
    slow: bool = False  # whether one training takes minutes
    reads_all: bool = (
        True  # whether its encoder stages read all labelled texts, unlabelled, and not those of a fit alone
    )

    @property
    def encoder_stages(self) -> tuple[Stage, ...]:
        """Stages that see no labels: their result is shared by all fits."""
        return tuple(stage for stage in self.stages if stage.gives == "encoder")

    @property
    def encoder_key(self) -> str:
        """Digest by which chains share an encoder."""
        return digest_of([stage.model_dump(mode="json") for stage in self.encoder_stages])


def chain_of(stages: Sequence[Stage | dict[str, Any]], *, seed: int = 0) -> Chain:
    """Return stages as a checked chain without files: the data come with each fit."""
    names = {"a": "one", "b": "two"}  # which satisfy the check that there are labels
    return Chain.model_validate({"seed": seed, "data": {"label_names": names}, "stages": list(stages)})
