"""Time that the encoder takes for texts on this machine, measured once a fine-tuning and only if asked for.

What is measured stands among the checkpoints, so that a resumed fine-tuning chooses as the first one did.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence

from nlptl.models.classifier import TextClassifier
from nlptl.training.checkpoints import Checkpoints
from nlptl.training.distributed import broadcast, processes

PER_CHARACTER = "seconds_per_character"
MEASURED_TEXTS = 64  # by which the speed is measured


class EncodingSpeed:
    """Seconds a character, forwards once through all layers."""

    def __init__(self, given: TextClassifier, texts: Sequence[str], checkpoints: Checkpoints | None = None) -> None:
        """The speed is measured on some of `texts` when first needed, and kept in `checkpoints`."""
        self._given, self._texts, self._checkpoints = given, texts, checkpoints

    def seconds_for(self, texts: Sequence[str]) -> float:
        """Return the estimated time of one forward pass over texts; all processes reckon with that of process 0."""
        return self._per_character * max(1, sum(map(len, texts)))

    @functools.cached_property
    def _per_character(self) -> float:
        state = self._checkpoints.newest() if self._checkpoints else None
        kept = state[1].get(PER_CHARACTER) if state and isinstance(state[1], dict) else None
        if isinstance(kept, float) and 0 < kept < float("inf"):
            return broadcast(kept)
        found = self._measured()
        if self._checkpoints is not None and processes().is_main:
            self._checkpoints.keep(1, lambda: ({}, {PER_CHARACTER: found}), last=True)
        return found

    def _measured(self) -> float:
        some = list(self._texts[:: max(1, len(self._texts) // MEASURED_TEXTS)])[:MEASURED_TEXTS]
        self._given.encoder.encode(some[:4])  # the first call sets up threads and buffers
        begin = time.perf_counter()
        self._given.encoder.encode(some)
        return broadcast((time.perf_counter() - begin) / max(1, sum(map(len, some))))
