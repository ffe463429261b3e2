"""Vectors of unseen words, composed of their character n-grams (Bojanowski et al. 2017).

Shapes: S buckets in use, D dimension, M unseen words of a batch.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlptl.inference.spelling import Spelling, bucket_ids

MAX_REMEMBERED = 200_000  # unseen words that are remembered from call to call: about 70 MB


class Subwords(nn.Module):
    """v(w) = (1/|G(w)|) sum over the n-grams g in G(w) of buckets[hash(g)]: fastText's rule for unseen words.

    Only buckets that occurred in training are kept, so a word without a kept n-gram stays unknown. Unseen words are
    numbered as they occur, in this copy only; inside `held` no number is forgotten. Copies share the buckets' memory.
    """

    bucket_ids: Tensor

    def __init__(self, spelling: Spelling, bucket_ids: Tensor, buckets: Tensor) -> None:
        """`buckets` (S, D) float32 are the vectors of the spelling's buckets `bucket_ids` (S,) int32, ascending."""
        super().__init__()
        if bucket_ids.shape != buckets.shape[:1] or not bool((bucket_ids[1:] > bucket_ids[:-1]).all()):
            raise ValueError(f"{len(bucket_ids)} ascending bucket_ids expected for {len(buckets)} buckets")
        self.spelling = spelling
        self.register_buffer("bucket_ids", bucket_ids)
        self.buckets = nn.Parameter(buckets, requires_grad=False)
        self._numbers: dict[str, int | None] = {}
        self._grams: list[tuple[NDArray[np.int64], int]] = []  # rows of a word's buckets, and the number of its n-grams
        self._lock = threading.Lock()
        self._holders = 0

    def numbers(self, words: Iterable[str]) -> dict[str, int | None]:
        """Return each word's number, counted from 0, or None for a word without a kept n-gram."""
        wanted = dict.fromkeys(words)
        with self._lock:
            new = [word for word in wanted if word not in self._numbers]
            ids, offsets = bucket_ids(new, self.spelling)
            known = self.bucket_ids.cpu().numpy()
            rows = np.searchsorted(known, ids).clip(max=max(0, len(known) - 1))
            met = known[rows] == ids if len(known) else np.zeros(len(ids), np.bool_)
            for word, begin, end in zip(new, offsets[:-1], offsets[1:], strict=True):
                grams = rows[begin:end][met[begin:end]]
                self._numbers[word] = len(self._grams) if len(grams) else None
                if len(grams):
                    self._grams.append((grams, int(end - begin)))
            return {word: self._numbers[word] for word in wanted}

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the vectors (M, D) of the words with these numbers (M,)."""
        distinct, places = torch.unique(numbers, return_inverse=True)
        grams = [self._grams[number] for number in distinct.tolist()]
        device = self.buckets.device
        ids = torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *(rows for rows, _ in grams)])).to(device)
        offsets = torch.tensor([0, *(len(rows) for rows, _ in grams)][:-1], dtype=torch.int64, device=device).cumsum(0)
        sums = nn.functional.embedding_bag(ids, self.buckets, offsets, mode="sum")
        sizes = torch.tensor([size for _, size in grams], dtype=sums.dtype, device=device)
        return (sums / sizes[:, None])[places]

    def all_buckets(self) -> Tensor:
        """Return the vectors of all buckets of the spelling. Those that did not occur in training are zero."""
        table = self.buckets.new_zeros(self.spelling.buckets, self.buckets.shape[1])
        table[self.bucket_ids.long()] = self.buckets.detach()
        return table

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep all numbers inside the block. If no other block is open, numbers beyond `MAX_REMEMBERED` are forgotten first."""
        with self._lock:
            if not self._holders and len(self._numbers) > MAX_REMEMBERED:
                self._numbers, self._grams = {}, []
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1

    def __deepcopy__(self, memo: dict[int, Any]) -> Subwords:
        copied = Subwords(self.spelling, self.bucket_ids, self.buckets.detach())
        memo[id(self)] = copied
        with self._lock:
            copied._numbers, copied._grams = dict(self._numbers), list(self._grams)
        return copied.train(self.training)
