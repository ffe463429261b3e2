"""Work on one shard: its rows are read, answered and written as a part; a text that makes a failure is told by its row."""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.errors import DataError, NlptlError, first_line
from nlptl.interfaces.piles.parts import Parts, Receipt
from nlptl.interfaces.piles.pile_options import Device
from nlptl.interfaces.piles.shard_rows import PileReading, Shard
from nlptl.interfaces.prediction_input import InputRows, WithoutText
from nlptl.runs.engines.artifacts import ArtifactAtHand

if TYPE_CHECKING:
    from nlptl.data.row_checks import Origin

Texts = Sequence[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardJob(ABC):
    """Job whose tasks are the shards of a pile, and whose results are receipts of parts."""

    artifact: ArtifactAtHand
    device: Device
    reading: PileReading
    parts: Parts
    after_batch: Callable[[int], None] | None = None  # in this process alone

    @abstractmethod
    def open(self) -> Callable[[Shard], Receipt]:
        """Load the artifact, and return what works off a shard."""

    def told(self, shard: Shard) -> str:
        """Return the name of a shard in a sentence."""
        return shard.told()

    def written(
        self, shard: Shard, write: Callable[[Path, Iterator[InputRows]], dict[str, object]], reads: Callable[[Texts], object]
    ) -> Receipt:  # fmt: skip
        """Write the part of a shard by `write`, which returns what the receipt tells of it beside its rows.

        Raises DataError with the row of the first text that `reads` cannot read, where `write` fails.
        """
        begin, without_text = time.monotonic(), WithoutText()
        with self.reading.of(shard, without_text) as (origin, batches), self.parts.written() as path:
            rows = _Watched(batches, self.after_batch)
            try:
                told = write(path, iter(rows))
            except (NlptlError, MemoryError):
                raise
            except Exception as error:
                raise _told_by_row(error, rows.last, origin, reads) from error
            receipt = Receipt(
                number=shard.number, rows=rows.count, size=0, without_text=without_text.count,
                first_without_text=without_text.first, seconds=round(time.monotonic() - begin, 3),
            )  # fmt: skip
            return self.parts.finish(path, receipt.model_copy(update=told))


class _Watched:
    """Batches as they pass, with the last one and the rows so far."""

    def __init__(self, batches: Iterator[InputRows], after_batch: Callable[[int], None] | None) -> None:
        self._batches, self._after = batches, after_batch
        self.last, self.count = InputRows([], []), 0

    def __iter__(self) -> Iterator[InputRows]:
        for batch in self._batches:
            self.last = batch
            yield batch
            self.count += len(batch.texts)
            if self._after is not None:
                self._after(len(batch.texts))


def _told_by_row(error: Exception, rows: InputRows, origin: Origin, reads: Callable[[Texts], object]) -> Exception:
    """Return the error for the first text of a batch that cannot be read; the same error where each can be."""
    texts = [(line, text) for line, text in zip(rows.lines, rows.texts, strict=True) if text is not None]
    while len(texts) > 1:
        half = texts[: len(texts) // 2]
        texts = half if _fails(reads, half) else texts[len(half) :]
    if not texts or not _fails(reads, texts):
        return error
    return DataError(
        f"{origin.at(texts[0][0])}: the text cannot be read ({type(error).__name__}: {first_line(error)}); expected one that the "
        "model reads. Remove the row, or change its text."
    )


def _fails(reads: Callable[[Texts], object], texts: list[tuple[int, str]]) -> bool:
    try:
        reads([text for _, text in texts])
    except Exception:
        return True
    return False
