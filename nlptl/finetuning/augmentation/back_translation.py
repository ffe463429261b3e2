"""Back-translation: into another language and back, by two sequence-to-sequence models (Sennrich et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from nlptl.finetuning.augmentation.augment_settings import BackTranslation
from nlptl.models.seq2seq import Seq2Seq


class RoundTrip:
    """Round trip through two models, which both sample their words (Xie et al. 2020)."""

    def __init__(self, forward: Seq2Seq, backward: Seq2Seq, settings: BackTranslation) -> None:
        self._forward, self._backward, self._settings = forward, backward, settings

    @classmethod
    def open(cls, settings: BackTranslation, *, device: torch.device, where: str) -> RoundTrip:
        """Load both models; ConfigError for a folder without a model."""
        forward, backward = (
            Seq2Seq.open(Path(getattr(settings, name)).expanduser(), device=device, where=f"{where}.{name}")
            for name in ("forward", "backward")
        )
        return cls(forward, backward, settings)

    def __call__(self, text: str, generators: Sequence[np.random.Generator]) -> list[str]:
        """Return a round trip of the text for each generator; the text itself if it is too long."""
        return [self._there_and_back(text, int(generator.integers(2**62))) for generator in generators]

    def _there_and_back(self, text: str, seed: int) -> str:
        settings = self._settings
        there = self._forward.write(settings.forward_prefix + text, seed=seed, temperature=settings.temperature)
        if not there:
            return text
        read = settings.backward_prefix + there
        return self._backward.write(read, seed=seed + 1, temperature=settings.temperature) or text
