"""Back-translation: into another language and back, by two sequence-to-sequence models (Sennrich et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nlptl.finetuning.augmentation.augment_settings import BackTranslation
from nlptl.models.seq2seq import Seq2Seq

if TYPE_CHECKING:
    import torch


class RoundTrip:
    """Round trip through two models; both sample their words (Xie et al. 2020), so that versions differ."""

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
        """Return the text after a round trip for each generator; unchanged if it is too long for a model."""
        seeds = [int(generator.integers(2**62)) for generator in generators]
        return [self._there_and_back(text, seed) for seed in seeds]

    def _there_and_back(self, text: str, seed: int) -> str:
        settings = self._settings
        there = self._forward.write(settings.forward_prefix + text, seed=seed, temperature=settings.temperature)
        if not there:
            return text
        back = self._backward.write(settings.backward_prefix + there, seed=seed + 1, temperature=settings.temperature)
        return back or text
