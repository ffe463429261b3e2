"""Random draws of skip-gram: subsampling, and noise words in constant time.

Shapes: V words. Word 0 is the unknown word and is never drawn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NOISE_POWER = 0.75
FULL = 2**32


class Sampling(NamedTuple):
    """Probabilities as 32-bit integers, to be compared with 32 random bits."""

    keep: NDArray[np.uint32]  # (V,) an occurrence is kept if 32 random bits are at most this; 2**32 - 1 keeps all
    threshold: NDArray[np.uint32]  # (V,) slot j, uniform in 1..V - 1, gives j if 32 random bits are below threshold[j]
    alias: NDArray[np.int32]  # (V,) the word that slot j gives otherwise


def sampling_of(counts: NDArray[np.int64], subsample: float) -> Sampling:
    """Return the tables for word counts (V,)."""
    probabilities, alias = alias_table(noise_weights(counts)[1:])
    threshold = np.concatenate([np.zeros(1, np.uint32), _as_bits(probabilities)])
    aliases = np.concatenate([np.zeros(1, np.int32), alias.astype(np.int32) + 1])
    return Sampling(_as_bits(keep_probability(counts, subsample)), threshold, aliases)


def noise_weights(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weights (V,) of words as noise: counts ** 0.75, 0 for the unknown word."""
    weights: NDArray[np.float64] = counts.astype(np.float64) ** NOISE_POWER
    weights[0] = 0.0
    return weights


def keep_probability(counts: NDArray[np.int64], subsample: float) -> NDArray[np.float64]:
    """Return the probability (V,) of keeping an occurrence: min(1, sqrt(t/f) + t/f), as in word2vec.

    f is the word's share of all known words and t is `subsample`; 0 keeps all.
    """
    ratio = subsample * counts[1:].sum() / np.maximum(counts, 1)
    return np.ones(len(counts)) if subsample == 0 else np.minimum(1.0, np.sqrt(ratio) + ratio)


def alias_table(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities and aliases (n,) that draw i by weights (n,) in constant time (Walker 1977).

    A uniform slot j gives j with probability[j], else alias[j]. Built by Vose's method (1991): heavy slots fill up light
    ones, the last first, so that rounding never leaves over a last slot of weight 0.
    """
    share = weights * len(weights) / weights.sum()
    probabilities, alias = np.ones(len(share)), np.arange(len(share))
    light, heavy = list(np.flatnonzero(share < 1)), list(np.flatnonzero(share >= 1))
    shares = share.tolist()
    while light and heavy:
        slot, giver = light.pop(), heavy[-1]
        probabilities[slot], alias[slot] = shares[slot], giver
        shares[giver] -= 1 - shares[slot]
        if shares[giver] < 1:
            light.append(heavy.pop())
    return probabilities, alias


def _as_bits(probability: NDArray[np.float64]) -> NDArray[np.uint32]:
    return np.minimum(probability * FULL, FULL - 1).astype(np.uint32)
