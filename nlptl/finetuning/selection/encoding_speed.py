"""Time that the encoder takes for texts on this machine, measured once a fine-tuning and only if asked for."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence

from nlptl.models.classifier import TextClassifier
from nlptl.training.distributed import broadcast

MEASURED_TEXTS = 64  # by which the speed is measured


class EncodingSpeed:
    """Seconds a character, forwards once through all layers."""

    def __init__(self, given: TextClassifier, texts: Sequence[str]) -> None:
        """The speed is measured on some of `texts` when first needed."""
        self._given, self._texts = given, texts

    def seconds_for(self, texts: Sequence[str]) -> float:
        """Return the estimated time of one forward pass over texts; all processes reckon with that of process 0."""
        return self._per_character * max(1, sum(map(len, texts)))

    @functools.cached_property
    def _per_character(self) -> float:
        some = list(self._texts[:: max(1, len(self._texts) // MEASURED_TEXTS)])[:MEASURED_TEXTS]
        self._given.encoder.encode(some[:4])  # the first call sets up threads and buffers
        begin = time.perf_counter()
        self._given.encoder.encode(some)
        return broadcast((time.perf_counter() - begin) / max(1, sum(map(len, some))))
