"""What the GPU kernel computes, written out plainly in numpy: its random numbers, its draws, one tile's loss and step."""

from __future__ import annotations

import dataclasses

import numpy as np

from nlptl.pretraining.word2vec.gpu_tuning import Tile

NOISE_STREAM = 1 << 30


def philox(key: int, counters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first two of Philox-4x32-10's four outputs for each counter (Salmon et al. 2011)."""
    word, mask = np.uint64, np.uint64(0xFFFFFFFF)
    c = [counters.astype(word), *(np.zeros(len(counters), word) for _ in range(3))]
    k = [word(key & 0xFFFFFFFF), word(key >> 32)]
    for _ in range(10):
        first, second = c[0] * word(0xD2511F53), c[2] * word(0xCD9E8D57)
        c = [
            (second >> word(32)) ^ c[1] ^ k[0], second & mask,
            (first >> word(32)) ^ c[3] ^ k[1], first & mask,
        ]  # fmt: skip
        k = [(k[0] + word(0x9E3779B9)) & mask, (k[1] + word(0xBB67AE85)) & mask]
    return c[0].astype(np.uint32), c[1].astype(np.uint32)


@dataclasses.dataclass(frozen=True)
class Draws:
    """What is drawn for one tile."""

    pairs: list[tuple[int, int]]
    """Context word and centre word."""
    noise: np.ndarray
    """(K,) noise words."""


def draws(
    words: np.ndarray, texts: np.ndarray, aliases: np.ndarray, cuts: np.ndarray,
    *, number: int, key: int, window: int, tile: Tile,
) -> Draws:  # fmt: skip
    places = range(number * tile.centres, min(len(words), (number + 1) * tile.centres))
    reach = 1 + scaled(philox(key, np.array(places))[0], window)
    pairs = [
        (int(words[near]), int(words[place]))
        for place, far in zip(places, reach, strict=True)
        for near in range(max(0, place - far), min(len(words), place + far + 1))
        if near != place and texts[near] == texts[place]
    ]
    column_bits, coin_bits = philox(key, NOISE_STREAM + number * tile.noise + np.arange(tile.noise))
    columns = scaled(column_bits, len(cuts))
    coins = coin_bits.astype(np.int32)
    coins = np.where(coins < 0, -coins - 1, coins).astype(np.float32) * np.float32(4.6566127342e-10)
    return Draws(pairs, np.where(coins < cuts[columns], columns, aliases[columns]))


def loss(inputs: np.ndarray, outputs: np.ndarray, drawn: Draws, negatives: int) -> float:
    """Return the sum over pairs of the loss in gpu_kernels.py."""
    weight = negatives / len(drawn.noise)
    total = 0.0
    for context, centre in drawn.pairs:
        total += np.logaddexp(0, -inputs[context] @ outputs[centre])
        total += sum(weight * np.logaddexp(0, inputs[context] @ outputs[n]) for n in drawn.noise if n != centre)
    return float(total)


def slopes(inputs: np.ndarray, outputs: np.ndarray, drawn: Draws, negatives: int) -> tuple[np.ndarray, np.ndarray]:
    """Return minus the loss's gradient by both tables, pair by pair as word2vec.c would, from the same state of them."""
    weight = negatives / len(drawn.noise)
    by_inputs, by_outputs = np.zeros_like(inputs), np.zeros_like(outputs)
    for context, centre in drawn.pairs:
        terms = [(centre, 1.0, 1.0), *((int(n), 0.0, weight) for n in drawn.noise if n != centre)]
        for word, label, times in terms:
            slope = times * (label - 1 / (1 + np.exp(-inputs[context] @ outputs[word])))
            by_inputs[context] += slope * outputs[word]
            by_outputs[word] += slope * inputs[context]
    return by_inputs, by_outputs


def scaled(bits: np.ndarray, below: int) -> np.ndarray:
    """Turn 32 random bits into a number below `below`."""
    return ((bits.astype(np.uint64) * np.uint64(below)) >> np.uint64(32)).astype(np.int64)
