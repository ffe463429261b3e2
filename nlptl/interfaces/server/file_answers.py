"""Answers to the texts of a table, through the queue of its model, so that other clients get their turn in between."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence

from nlptl.interfaces.prediction_lines import Answer
from nlptl.interfaces.server.batching import Batcher, Job
from nlptl.interfaces.server.prediction_rows import PredictedBatch
from nlptl.interfaces.server.refusal import RequestRefused

TEXTS_AT_ONCE = 512  # of a table in the queue
TRIES = 20  # at a full queue, each after the time that it asks for


class FileAnswers:
    """Answers to texts of one table, in their order, all by one version of a model."""

    def __init__(self, queue: Batcher[PredictedBatch], kind: Hashable, loop: asyncio.AbstractEventLoop) -> None:
        self._queue, self._kind, self._loop = queue, kind, loop

    def __call__(self, texts: Sequence[str]) -> list[Answer]:
        """Return the answer to each text. It waits, so it belongs into a thread of its own."""
        return asyncio.run_coroutine_threadsafe(self._answers(texts), self._loop).result()

    async def _answers(self, texts: Sequence[str]) -> list[Answer]:
        found = list[Answer]()
        for begin in range(0, len(texts), TEXTS_AT_ONCE):
            found += await self._some(texts[begin : begin + TEXTS_AT_ONCE])
        return found

    async def _some(self, texts: Sequence[str]) -> list[Answer]:
        """Return some answers, as soon as the queue has room."""
        for tries_left in reversed(range(TRIES)):
            try:
                return await self._queue.rows(Job(texts, kind=self._kind, write=answers_of))
            except RequestRefused as refusal:
                if refusal.status != 429 or not tries_left:
                    raise
                await asyncio.sleep(float(refusal.headers.get("retry-after", 1)))
        raise AssertionError("the last try returns or raises")


def answers_of(batch: PredictedBatch, begin: int, end: int) -> list[Answer]:
    """Return the predictions of the texts from `begin` to `end` as answers."""
    shares = batch.probabilities[begin:end].tolist()
    if batch.sets is not None:
        return [Answer(one.label, row, one) for one, row in zip(batch.sets[begin:end], shares, strict=True)]
    return [*map(Answer, batch.labels[begin:end], shares)]
