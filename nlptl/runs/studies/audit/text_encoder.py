"""The encoder by whose vectors an audit compares texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nlptl.data import TextData
from nlptl.data.languages import guess_language
from nlptl.data.samples import sample
from nlptl.runs.chain import ExternalDigests
from nlptl.runs.judging.encoder_at_hand import encoder_at_hand, word_vectors
from nlptl.runs.judging.judged_chain import chain_of
from nlptl.runs.judging.segmenter_at_hand import segmenter_at_hand
from nlptl.stages.stage import Stage

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.models.encoder import Encoder

MAX_PILE = 20_000  # texts from which an encoder learns for an audit
MAX_FOR_LANGUAGE = 1_000
FEW_TEXTS = 30  # below which word vectors are learnt of words that occur once too: hardly one occurs twice


class PartsEncoder(Protocol):
    """Encoding of parts of texts, here or elsewhere."""

    def __call__(
        self, encoder: Encoder, parts: Iterable[Sequence[str]], /
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the number of each part with its vectors, in any order."""


def encoded_here(encoder: Encoder, parts: Iterable[Sequence[str]]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the number of each part with its vectors, in order."""
    for number, texts in enumerate(parts):
        yield number, encoder.encode(texts)


@dataclasses.dataclass(frozen=True)
class AuditEncoder:
    """Encoder that is made when a text is to be encoded: kept vectors need none."""

    name: str  # for people
    identity: str  # digest of what shapes its vectors
    is_pretrained: bool  # whether it knows more than the texts that are audited
    make: Callable[[], Encoder] = dataclasses.field(repr=False)
    remark: str = ""  # what a person may do for a better one

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder, made once."""
        return self.make()


def encoder_of_stages(stages: Sequence[Stage], data: TextData, context: RunContext, *, name: str) -> AuditEncoder:
    """Return the encoder that the encoder stages of a chain make; it learns from `MAX_PILE` texts at most."""
    pile = data.unlabelled
    if pile is not None and len(pile) > MAX_PILE:
        drawn = np.sort(np.random.default_rng(context.seed).permutation(len(pile))[:MAX_PILE])
        pile = pile.select(drawn)
    some = TextData(labelled=data.labelled, unlabelled=pile)
    identities = chain_of(stages, seed=context.seed).identities(some, ExternalDigests())

    def make() -> Encoder:
        artifact: Any = None
        for stage in stages:
            artifact = stage.run(artifact, data=some, context=context)
        made: Encoder = artifact
        return made.to(context.torch_device()) if made.token_model.kind == "transformer" else made

    return AuditEncoder(name, identities[-1].own, stages[0].stage == "bert", make)


def encoder_for(data: TextData, context: RunContext) -> AuditEncoder:
    """Return the well-known encoder that is here and knows the language of the texts, else vectors of their words."""
    tables = [table for table in (data.labelled, data.unlabelled, data.test) if table is not None]
    language = guess_language([text for table in tables for text in sample(table, MAX_FOR_LANGUAGE)])
    code = None if language is None else language.code
    found, words = encoder_at_hand(code), word_vectors(segmenter=segmenter_at_hand(code).name)
    settings: list[dict[str, Any]] = [{"stage": "bert", "weights": found.weights}] if found.weights else words
    if not found.weights and sum(map(len, tables)) < FEW_TEXTS:
        settings[0]["min_count"] = 1
    stages = chain_of(settings).stages
    name = found.weights.rpartition("/")[2] if found.weights else "vectors of the words in these texts"
    return dataclasses.replace(encoder_of_stages(stages, data, context, name=name), remark=found.remark)
