"""What skip-gram draws: which occurrences are kept, and noise words in constant time.

Shapes: V words of the vocabulary, of which number 0 is the unknown word and is never drawn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NOISE_POWER = 0.75
FULL = 2**32


class Sampling(NamedTuple):
    """Probabilities as 32-bit integers, to be compared with 32 random bits."""

    keep: NDArray[np.uint32]
    """(V,) an occurrence of a word stays if 32 random bits are at most this; 2**32 - 1 keeps all."""
    threshold: NDArray[np.uint32]
    """(V,) Walker's alias method (Walker 1977): slot j, drawn evenly from 1 to V - 1, gives j if 32 random bits are
    below threshold[j]."""
    alias: NDArray[np.int32]
    """(V,) and else alias[j]."""


def sampling_of(counts: NDArray[np.int64], subsample: float) -> Sampling:
    """Return the tables for words that occur counts (V,) times; counts[0] is of unknown words and counts for nothing."""
    counts = counts.copy()
    counts[0] = 0
    threshold, alias = alias_table(counts.astype(np.float64) ** NOISE_POWER)
    return Sampling(_as_bits(keep_probability(counts, subsample)), threshold, alias)


def keep_probability(counts: NDArray[np.int64], subsample: float) -> NDArray[np.float64]:
    """Return the share of each word's occurrences that stays (V,): sqrt(t/f) + t/f, at most 1, as word2vec has it.

    f is the word's share of all known words and t is `subsample`; 0 keeps all.
    """
    ratio = subsample * counts[1:].sum() / np.maximum(counts, 1)
    return np.ones(len(counts)) if subsample == 0 else np.minimum(1.0, np.sqrt(ratio) + ratio)


def alias_table(weights: NDArray[np.float64]) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Return threshold and alias (V,) that draw words 1 to V - 1 with probabilities proportional to weights (V,).

    Vose's method (1991): slots of less than the mean weight are filled up from words of more.
    """
    share = weights[1:] * (len(weights) - 1) / weights[1:].sum()
    threshold, alias = np.ones(len(share)), np.arange(len(share))
    small, large = list(np.flatnonzero(share < 1)), list(np.flatnonzero(share >= 1))
    shares = share.tolist()
    while small and large:
        slot, giver = small.pop(), large[-1]
        threshold[slot], alias[slot] = shares[slot], giver
        shares[giver] -= 1 - shares[slot]
        if shares[giver] < 1:
            small.append(large.pop())
    return (
        np.concatenate([np.zeros(1, np.uint32), _as_bits(threshold)]),
        np.concatenate([np.zeros(1, np.int32), alias.astype(np.int32) + 1]),
    )


def _as_bits(probability: NDArray[np.float64]) -> NDArray[np.uint32]:
    return np.minimum(probability * FULL, FULL - 1).astype(np.uint32)
