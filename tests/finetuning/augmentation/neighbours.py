"""A word source that a test controls, in place of a vocabulary of a pile."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """Words that may replace a word; others are left alone."""

    by_word: Mapping[str, Sequence[str]]

    def odds(self, words: Sequence[str]) -> np.ndarray:
        return np.array([float(bool(self.by_word.get(word))) for word in words])

    def draw(self, word: str, generator: np.random.Generator) -> str:
        found = self.by_word[word]
        return found[int(generator.integers(len(found)))]
