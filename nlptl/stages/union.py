"""All stages of a chain, told apart by the setting `stage`."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.distil import Distil
from nlptl.stages.domain_adaptation import DomainAdaptation
from nlptl.stages.finetune import FineTune
from nlptl.stages.ngrams import NgramVectors
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram

AnyStage = Annotated[
    SkipGram | Bert | NgramVectors | SentenceVectors | ClassificationHead | DomainAdaptation | Distil | FineTune,
    Field(discriminator="stage"),
]


def stage_versions() -> dict[str, int]:
    """Return the version of every stage, by name."""
    return {stage.model_fields["stage"].default: stage.version for stage in get_args(get_args(AnyStage)[0])}


def stage_names() -> frozenset[str]:
    """Return the names of all stages."""
    return frozenset(stage.model_fields["stage"].default for stage in get_args(get_args(AnyStage)[0]))


def as_finetune(stage: object) -> FineTune:
    """Return a stage that is known to be finetune."""
    assert isinstance(stage, FineTune)
    return stage
