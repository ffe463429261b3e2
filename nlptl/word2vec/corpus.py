"""A pile of text as one memory-mapped array of word ids, so that a corpus larger than memory trains."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError
from nlptl.word2vec.tokenizer import UNKNOWN_ID

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ROWS = 1_000  # texts encoded at once: large enough for all cores, small enough for the caches


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Texts as word ids, laid end to end."""

    ids: NDArray[np.int32]
    """(N,) ids of all known words, text after text."""
    offsets: NDArray[np.int64]
    """(texts + 1,) where each text begins in `ids`."""
    counts: NDArray[np.int64]
    """(V,) how often each id occurs; counts[0] is the number of unknown words, which are not in `ids`."""
    words: Sequence[str] = ()
    """(V,) the vocabulary by id, of which the first stands for unknown words; may be missing where nobody spells them."""

    @property
    def unknown_share(self) -> float:
        """Share of the words that the vocabulary lacks, from 0 to 1."""
        return float(self.counts[UNKNOWN_ID] / max(1, self.counts.sum()))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def texts(self) -> Iterator[NDArray[np.int32]]:
        """Yield each text's ids."""
        for begin, end in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield self.ids[begin:end]


@contextlib.contextmanager
def encoded(tokenizer: Tokenizer, batches: Iterable[Sequence[str]]) -> Iterator[Corpus]:
    """Encode texts into a Corpus whose ids live in a temporary file until the block ends.

    Raises DataError when the disk is full; the temporary file is gone either way.
    """
    lengths: list[NDArray[np.int64]] = []
    counts = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    with tempfile.TemporaryDirectory(prefix="nlptl-corpus-") as folder:
        path = Path(folder) / "ids"
        try:
            with path.open("wb") as file:
                for rows in _of_size(batches, ROWS):
                    encodings = tokenizer.encode_batch_fast(rows, add_special_tokens=False)
                    texts = [np.asarray(encoding.ids, dtype=np.int32) for encoding in encodings]
                    ids = np.concatenate(texts) if texts else np.zeros(0, np.int32)
                    counts += np.bincount(ids, minlength=len(counts))
                    lengths.append(np.array([np.count_nonzero(text != UNKNOWN_ID) for text in texts], np.int64))
                    file.write(ids[ids != UNKNOWN_ID].tobytes())
        except OSError as error:
            raise DataError(
                f"{folder}: the encoded corpus cannot be written ({error.strerror}); it needs four bytes a word. "
                "Free space or set TMPDIR to another disk."
            ) from None
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate([*lengths, np.zeros(0, np.int64)]))])
        empty = path.stat().st_size == 0
        ids = np.zeros(0, np.int32) if empty else np.memmap(path, dtype=np.int32, mode="r")
        yield Corpus(ids=ids, offsets=offsets, counts=counts)


def _of_size(batches: Iterable[Sequence[str]], rows: int) -> Iterator[list[str]]:
    for batch in batches:
        for begin in range(0, len(batch), rows):
            yield list(batch[begin : begin + rows])
