"""Corpus of word ids in one memory-mapped file, so that a corpus larger than memory trains.

Shapes: V words of the vocabulary, N words of the corpus.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError
from nlptl.inference.segmenting import cut_batches, without_segmenter
from nlptl.pretraining.word2vec.spool import Spool, mapped_ids, unnamed_file
from nlptl.pretraining.word2vec.tokenizer import UNKNOWN_ID, set_vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_SCAN_THREADS = 16  # each holds a table of chunks and a block of text


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Texts as word ids, concatenated."""

    ids: NDArray[np.int32]  # (N,) all known words
    offsets: NDArray[np.int64]  # (texts + 1,) start of each text in `ids`
    counts: NDArray[np.int64]
    """(V,) count of each id; counts[0] is the number of unknown words, which are not in `ids`."""
    words: Sequence[str] = ()
    """(V,) vocabulary by id, the unknown word first. Optional: only n-grams, phrases and messages spell words."""

    @property
    def unknown_share(self) -> float:
        """Share of unknown words, from 0 to 1."""
        return float(self.counts[UNKNOWN_ID] / max(1, self.counts.sum()))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def check_words(self, *, min_count: int, what: str, where: str) -> None:
        """Raise DataError, which names `where`, unless two words occur `min_count` times, as `what` needs."""
        count = int((self.counts[UNKNOWN_ID + 1 :] > 0).sum())
        if count >= 2:
            return
        found = "1 word" if count == 1 else f"{count} words"
        rare = min_count > 1
        if rare:
            found += f" that {'occurs' if count == 1 else 'occur'} at least {min_count} times"
        raise DataError(
            f"{where}: found {found}; {what} needs two. {'Lower min_count, or add text' if rare else 'Add text'}."
        )

    def texts(self) -> Iterator[NDArray[np.int32]]:
        """Yield the ids of each text."""
        for begin, end in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield self.ids[begin:end]


@contextlib.contextmanager
def corpus_of(
    tokenizer: Tokenizer, batches: Iterable[Sequence[str] | Any], *, min_count: int, known_words: Sequence[str] = (),
    threads: int | None = None,
) -> Iterator[Corpus]:  # fmt: skip
    """Set the vocabulary of `tokenizer` and yield the texts as a Corpus, whose file has no name and ends with its last use.

    The vocabulary holds every word that occurs `min_count` times, most frequent first, ties by spelling, then the other
    `known_words`. `batches` are lists of texts or Arrow string arrays. Neither they nor `threads` (None takes all cores)
    change the result. Raises DataError if the disk is full.
    """
    from nlptl.pretraining.word2vec.scanned_pile import ScannedPile

    threads = threads or min(available_cores(), MAX_SCAN_THREADS)
    with contextlib.closing(Spool()) as spool, ThreadPoolExecutor(threads) as pool, unnamed_file() as file:
        pile = ScannedPile(spool, without_segmenter(tokenizer), pool, threads)
        pile.read(cut_batches(tokenizer, batches, pool))
        words, counts = pile.words.vocabulary(min_count, known_words)
        set_vocabulary(tokenizer, words)
        lengths = pile.encode(words, file)
        ids = mapped_ids(file)
    offsets = np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths]))
    yield Corpus(ids=ids, offsets=offsets, counts=counts, words=words)


def blocks(begins: NDArray[np.int64], *, size: int) -> Iterator[tuple[int, int]]:
    """Yield blocks of texts (first, end) of at most `size` words, or of one longer text."""
    first = 0
    while first < len(begins) - 1:
        last = max(int(np.searchsorted(begins, begins[first] + size, side="right")) - 1, first + 1)
        yield first, last
        first = last


def available_cores() -> int:
    """Return how many cores this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
