"""Stage two: how token vectors become one sentence vector, fitted on the pile where the method asks for it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from nlptl.artifact import Kind
from nlptl.config import Config
from nlptl.errors import DataError
from nlptl.stages.stage import Part, RunContext, watched

if TYPE_CHECKING:
    from torch import Tensor

    from nlptl.data import TextData, TextTable
    from nlptl.models.encoder import Encoder
    from nlptl.models.pooling import Pooling


FITTED_ON: tuple[Part, ...] = ("unlabelled", "labelled")  # the first of these that is there


class SentenceVectors(Config):
    """Choose and fit the pooling of an encoder."""

    stage: Literal["sentence_vectors"] = "sentence_vectors"
    """The name of this stage."""
    pooling: Literal["mean", "max", "tfidf", "sif"] = "sif"
    """mean: plain average. max: strongest value a dimension. tfidf: average weighted by rarity over texts. sif:
    average weighted by rarity over words, without the pile's common component (Arora et al. 2017)."""
    sif_a: float = Field(default=1e-3, gt=0, le=1)
    """SIF's a: words more frequent than this share count for less; smaller lets only rare words speak."""
    remove_common: bool = True
    """SIF: remove the component that all texts of the pile share."""

    takes: ClassVar[Kind | None] = "encoder"
    gives: ClassVar[Kind] = "encoder"
    version: ClassVar[int] = 1

    @property
    def needs(self) -> frozenset[Part]:
        """Nothing must be there."""
        return frozenset()

    def reads(self, data: TextData) -> frozenset[Part]:
        """The pile for tfidf and sif, or the labelled texts where there is no pile."""
        if self.pooling in ("mean", "max"):
            return frozenset()
        present: tuple[Part, ...] = tuple(part for part in FITTED_ON if getattr(data, part) is not None)
        return frozenset(present[:1])

    def check(self, *, where: str) -> None:
        """Nothing can be wrong beyond the types."""

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse data without any text to fit on."""
        if self.pooling in ("tfidf", "sif") and not self.reads(data):
            raise DataError(
                f"{where}: found no texts for {self.pooling} pooling; it is fitted on data.unlabelled. "
                "Give some, or use pooling: mean."
            )

    def outside(self) -> Mapping[str, str]:
        """Nothing outside the data shapes the result."""
        return {}

    def run(self, given: Encoder, *, data: TextData, context: RunContext | None = None) -> Encoder:
        """Return a copy of `given` with this pooling; tfidf and sif need texts to fit on (DataError without)."""
        from nlptl.models.encoder import Encoder

        context = context or RunContext()
        token_model = copy.deepcopy(given.token_model)
        return Encoder(given.tokenizer, token_model, self._pooling(given, data, context)).eval()

    def _pooling(self, given: Encoder, data: TextData, context: RunContext) -> Pooling:
        from nlptl.models.pooling import Pooling, idf_weights, sif_weights

        if self.pooling in ("mean", "max"):
            return Pooling(self.pooling)
        self.check_data(data, where="sentence_vectors")
        (part,) = self.reads(data)
        pile: TextTable = getattr(data, part)
        if self.pooling == "tfidf":
            return Pooling("tfidf", token_weights=idf_weights(_text_frequency(given, pile, context), len(pile)))
        weights = sif_weights(given.token_model.counts, self.sif_a)
        plain = Pooling("sif", token_weights=weights)
        if not self.remove_common:
            return plain
        return Pooling("sif", token_weights=weights, common_component=_common_component(given, plain, pile, context))


def _text_frequency(given: Encoder, pile: TextTable, context: RunContext) -> Tensor:
    """Return in how many texts each word stands (V,)."""
    import torch

    frequency = torch.zeros(len(given.token_model.counts), dtype=torch.int64)
    for batch in watched([pile], "fitting the pooling", context):
        for ids in given.token_ids(batch):
            frequency[list(set(ids))] += 1
    return frequency


def _common_component(given: Encoder, pooling: Pooling, pile: TextTable, context: RunContext) -> Tensor:
    """Return the first right singular vector (D,) of the pile's weighted sentence vectors."""
    import torch

    from nlptl.models.encoder import Encoder
    from nlptl.models.pooling import first_component

    encoder = Encoder(given.tokenizer, given.token_model, pooling).eval()
    moment = torch.zeros(given.dim, given.dim, dtype=torch.float64)
    for batch in watched([pile], "fitting the pooling", context):
        vectors = torch.from_numpy(encoder.encode(batch)).double()
        moment += vectors.T @ vectors
    return first_component(moment)
