"""Encoding of texts by an engine: parts of a few thousand texts go to workers, which load the encoder by its folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from nlptl.disk.drafts import temporary_folder
from nlptl.runs.engines.artifacts import ArtifactAtHand
from nlptl.runs.engines.engine import Engine

if TYPE_CHECKING:
    from nlptl.models.encoder import Encoder

Vectors = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class TextPart:
    """Some texts, by the number of their part."""

    number: int
    texts: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class EncodeTexts:
    """Job that encodes parts of texts."""

    artifact: ArtifactAtHand
    device: Literal["auto", "cpu", "cuda"]

    def open(self) -> Callable[[TextPart], Vectors]:
        """Load the encoder, and return what encodes a part."""
        from nlptl.context import RunContext
        from nlptl.models.encoder import Encoder

        with self.artifact.folder() as folder:
            encoder = Encoder.load(folder)
        if encoder.token_model.kind == "transformer":
            encoder = encoder.to(RunContext(device=self.device).torch_device())
        return lambda part: encoder.encode(part.texts)

    def told(self, part: TextPart) -> str:
        """Return the name of a part in a sentence."""
        return f"part {part.number + 1} of the texts"


@dataclasses.dataclass(frozen=True)
class EngineEncoding:
    """Encoding of parts of texts by an engine."""

    engine: Engine
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __call__(self, encoder: Encoder, parts: Iterable[Sequence[str]]) -> Iterator[tuple[int, Vectors]]:
        """Yield the number of each part with its vectors, in any order. Workers read the encoder from a folder."""
        with temporary_folder("encoder") as folder:
            encoder.save(folder / "encoder")
            artifact = ArtifactAtHand.of(folder / "encoder", travels=self.engine.is_elsewhere)
            tasks = (TextPart(number, tuple(texts)) for number, texts in enumerate(parts))
            for part, vectors in self.engine.map(EncodeTexts(artifact, self.device), tasks):
                yield part.number, vectors
