"""Random numbers without kept state: each is a function of its keys, or drawn under a passing seed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

_GAMMA, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def keyed_uniform(*keys: int | NDArray[np.integer]) -> NDArray[np.float64]:
    """Return uniform numbers in [0, 1) that depend only on `keys`, which are broadcast against each other.

    splitmix64 (Steele et al. 2014) mixes them in order: a mask stays the same after a resume and in any batch or process.
    """
    mixed = np.zeros(1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for key in keys:
            mixed = _scrambled(mixed ^ np.asarray(key).astype(np.int64).view(np.uint64))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _scrambled(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(_GAMMA)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(_FIRST)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_SECOND)
    return values ^ (values >> np.uint64(31))


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators of the CPU and of `device` inside the block. Their states are restored at its end."""
    import torch

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        seed_generators(seed, device)
        yield


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed the generators of the CPU and of `device`, and no other GPU's."""
    import torch

    torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU as well
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
