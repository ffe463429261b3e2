"""A pile of text as one memory-mapped array of word ids, so that a corpus larger than memory trains.

Shapes: V words of the vocabulary, N words of the corpus.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError
from nlptl.pretraining.word2vec.tokenizer import UNKNOWN_ID, set_vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MOST_THREADS = 16  # each holds a table of chunks and a block of text


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
def corpus_of(
    tokenizer: Tokenizer,
    batches: Iterable[Sequence[str] | Any],
    *,
    min_count: int,
    known_words: Sequence[str] = (),
    threads: int | None = None,
) -> Iterator[Corpus]:
    """Give `tokenizer` the vocabulary of texts and encode them into a Corpus, whose ids live on disk until the block ends.

    The vocabulary is every word that occurs at least `min_count` times, most frequent first, ties by spelling, then
    those of `known_words` that are not among them. `batches` are lists of texts or Arrow string arrays. The result does not
    depend on the batches nor on `threads` (None takes all cores). Raises DataError when the disk is full; the
    temporary files are gone either way.
    """
    from nlptl.pretraining.word2vec.scanned_pile import ScannedPile

    with tempfile.TemporaryDirectory(prefix="nlptl-corpus-") as name:
        path = Path(name) / "ids"
        with ScannedPile(Path(name), tokenizer, threads or min(os.cpu_count() or 1, MOST_THREADS)) as pile:
            pile.read(batches)
            words, counts = pile.words.vocabulary(min_count, known_words)
            set_vocabulary(tokenizer, words)
            lengths = pile.encode(words, path)
        yield Corpus(ids=mapped_ids(path), offsets=offsets_of(lengths), counts=counts, words=words)


@contextlib.contextmanager
def told_when_full(folder: Path) -> Iterator[None]:
    """Tell an OSError while a corpus is written to `folder` in one sentence."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{folder}: the encoded corpus cannot be written ({error.strerror}); it needs four bytes a word. "
            "Free space or set TMPDIR to another disk."
        ) from None


def mapped_ids(path: Path) -> NDArray[np.int32]:
    """Map a file of ids (N,) into memory."""
    return np.zeros(0, np.int32) if path.stat().st_size == 0 else np.memmap(path, dtype=np.int32, mode="r")


def offsets_of(lengths: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return (texts + 1,) where texts of these lengths begin."""
    return np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths]))
