"""Dynamic batching: a batch is whatever has queued while those before ran, and an idle model serves at once.

A model whose batches keep one core busy has a lane a core. What waits is shared among the lanes that are free.

Long requests are cut into shares and interleaved with others (a round robin), so that none waits for 10,000 texts of another.
How much a batch takes follows from the measured rate: BATCH_SECONDS of work. Nothing is padded here; a classifier packs
or sorts the texts of a batch itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from nlptl.interfaces.server.refusal import RequestRefused

BATCH_SECONDS = 0.05  # of work in a batch, by the measured rate
MIN_BUDGET, FIRST_BUDGET, MAX_BUDGET = 64, 1_024, 65_536  # tokens of a batch
SHARES = 4  # requests among which a full batch is divided at least
INLINE_SECONDS = 0.001  # a batch that takes less is computed where it stands: a thread would take longer to wake up
LEARNT_BATCHES = 5  # measured before a batch is computed so
MEMORY = 0.2  # weight of the newest batch in the measured rate
MAX_RETRY = 60  # seconds after which a refused client is told to come again, at most
CHARACTERS = 4  # of a token of ASCII, about; other scripts have CHARACTERS / 2

P = TypeVar("P")  # what is computed of a batch
R = TypeVar("R")  # what a client gets of a text
Compute = Callable[[Hashable, Sequence[str]], P]
Observe = Callable[[int, int, float], None]  # texts, tokens and seconds of a batch


def token_count(text: str, most: int | None) -> int:
    """Return about how many tokens a text has, of which the model reads `most`."""
    about = 2 + len(text) // (CHARACTERS if text.isascii() else CHARACTERS // 2)
    return about if most is None or about < most else most


class Job(Generic[P, R]):
    """Texts of one request, whose rows come in one batch or in several, which end in any order.

    Texts are computed together with those of other jobs of the same `kind`. `write` makes the rows of a part of a batch.
    """

    def __init__(self, texts: Sequence[str], *, kind: Hashable, write: Callable[[P, int, int], list[R]]) -> None:
        self.texts, self.kind, self.write = texts, kind, write
        self.rows: list[Any] = [None] * len(texts)
        self.done = 0  # texts whose rows are there
        self.future: asyncio.Future[list[R]] = asyncio.get_running_loop().create_future()
        self.sizes: list[int] = []  # tokens of each text
        self.drawn = 0  # texts that are in a batch, or were

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.future.done()


class Piece(Generic[P]):
    """Part of a job in a batch."""

    def __init__(self, job: Job[P, Any]) -> None:
        self.job, self.begin, self.end, self.tokens = job, job.drawn, job.drawn, 0

    def draw(self, budget: int) -> int:
        """Take texts of the job up to `budget` tokens, one at least where it has none. Return how many tokens."""
        job, taken = self.job, 0
        while job.drawn < len(job.texts) and (taken + job.sizes[job.drawn] <= budget or self.begin == job.drawn):
            taken += job.sizes[job.drawn]
            job.drawn += 1
        self.end, self.tokens = job.drawn, self.tokens + taken
        return taken

    @property
    def texts(self) -> Sequence[str]:
        """Texts of this part."""
        return self.job.texts[self.begin : self.end]


class Batcher(Generic[P]):
    """Queue of one model, which computes a batch a lane at a time, in a thread of the lane's own."""

    def __init__(
        self, compute: Compute[P], *, limit: int, max_tokens: int | None = None, max_budget: int = MAX_BUDGET,
        lanes: int = 1, observe: Observe | None = None,
    ) -> None:  # fmt: skip
        """Several `lanes` call `compute` at once."""
        self._compute, self._limit, self._max_tokens, self._max_budget = compute, limit, max_tokens, max_budget
        self._observe = observe
        self._jobs: deque[Job[P, Any]] = deque()
        self._threads = ThreadPoolExecutor(max_workers=lanes, thread_name_prefix="nlptl-batch")
        self._lanes = self._free = lanes  # all, and those without a batch
        self._called = 0  # lanes that are about to draw one
        self._batches = 0
        self._rate = FIRST_BUDGET / BATCH_SECONDS  # tokens a second of a lane
        self.texts_waiting = 0
        self.tokens_waiting = 0

    @property
    def retry_after(self) -> int:
        """Seconds until what waits now is done, by the measured rate."""
        return min(MAX_RETRY, max(1, math.ceil(self.tokens_waiting / (self._lanes * self._rate))))

    async def rows(self, job: Job[P, R]) -> list[R]:
        """Return a job's rows. Raises RequestRefused (429) where the queue is full. Cancelled, its texts leave the queue."""
        if not job.texts:
            return []
        if self.texts_waiting and self.texts_waiting + len(job.texts) > self._limit:
            raise RequestRefused(
                429, "queue_full", f"The queue is full: {self.texts_waiting:,} texts wait. Try again in {self.retry_after} s.",
                headers={"retry-after": str(self.retry_after)},
            )  # fmt: skip
        most = self._max_tokens
        job.sizes = [token_count(text, most) for text in job.texts]
        self._count(len(job.texts), sum(job.sizes))
        self._jobs.append(job)
        self._call_lanes()
        try:
            return await job.future
        finally:
            self._forget(job)

    def close(self) -> None:
        """Let the threads end after their batches."""
        self._threads.shutdown(wait=False)

    def _call_lanes(self) -> None:
        """Let free lanes draw, at most one a text."""
        for _ in range(min(self._free, self.texts_waiting - self._called)):
            self._free -= 1
            self._called += 1
            asyncio.get_running_loop().call_soon(self._next)

    def _forget(self, job: Job[P, Any]) -> None:
        """Take off the count what a job leaves behind that was cancelled or has failed."""
        if job.drawn < len(job.texts):
            self._count(job.drawn - len(job.texts), -sum(job.sizes[job.drawn :]))
            job.drawn = len(job.texts)

    def _count(self, texts: int, tokens: int) -> None:
        self.texts_waiting += texts
        self.tokens_waiting += tokens

    def _next(self) -> None:
        """Compute the next batch on a lane that was called, or let it rest."""
        pieces = self._drawn()
        self._called -= 1
        if not pieces:
            self._free += 1
            return
        tokens = sum(piece.tokens for piece in pieces)
        if self._batches >= LEARNT_BATCHES and tokens / self._rate < INLINE_SECONDS:
            self._finish(pieces, self._outcomes(pieces))
            return
        loop = asyncio.get_running_loop()

        def finish(done: Future[list[BaseException | None]]) -> None:
            with contextlib.suppress(RuntimeError):  # of a loop that has ended since: nobody waits any more
                loop.call_soon_threadsafe(self._finish, pieces, done.result())

        self._threads.submit(self._outcomes, pieces).add_done_callback(finish)

    def _drawn(self) -> list[Piece[P]]:
        """Return the parts of the next batch: of jobs of one kind, a share each, then what else fits in.

        The other lanes that were called find their share of what waits.
        """
        budget = int(min(self._max_budget, max(MIN_BUDGET, BATCH_SECONDS * self._rate)))
        if self._called > 1:
            budget = min(budget, math.ceil(self.tokens_waiting / self._called))
        left = budget
        drawn: list[Piece[P]] = []
        others: list[Job[P, Any]] = []
        while self._jobs and left > 0:
            job = self._jobs.popleft()
            if job.is_over or job.drawn == len(job.texts):
                continue
            if drawn and job.kind != drawn[0].job.kind:
                others.append(job)
                continue
            drawn.append(Piece(job))
            left -= drawn[-1].draw(min(left, max(1, budget // SHARES)))
        self._jobs.extendleft(reversed(others))
        for piece in drawn:
            if left > 0 and piece.job.drawn < len(piece.job.texts):
                left -= piece.draw(left)
        self._jobs.extend(piece.job for piece in drawn if piece.job.drawn < len(piece.job.texts))
        for piece in drawn:
            self._count(piece.begin - piece.end, -piece.tokens)
        return drawn

    def _outcomes(self, pieces: Sequence[Piece[P]]) -> list[BaseException | None]:
        """Compute a batch, in any thread; return what each part failed by. A text that makes the batch fail fails alone."""
        began = time.perf_counter()
        try:
            outcomes: list[BaseException | None] = [None] * len(pieces)
            self._write(pieces)
        except Exception as error:
            outcomes = [error] if len(pieces) == 1 else [self._outcomes([piece])[0] for piece in pieces]
        seconds = time.perf_counter() - began
        tokens = sum(piece.tokens for piece in pieces)
        # an estimate: lanes may overwrite one another's
        self._rate += MEMORY * (tokens / max(seconds, 1e-9) - self._rate)
        self._batches += 1
        if self._observe is not None:
            self._observe(sum(piece.end - piece.begin for piece in pieces), tokens, seconds)
        return outcomes

    def _write(self, pieces: Sequence[Piece[P]]) -> None:
        """Compute the texts of a batch together, and give each job its rows."""
        texts = [text for piece in pieces for text in piece.texts]
        found, begin = self._compute(pieces[0].job.kind, texts), 0
        written = []
        for piece in pieces:
            end = begin + piece.end - piece.begin
            written.append(piece.job.write(found, begin, end))
            begin = end
        for piece, rows in zip(pieces, written, strict=True):  # all or none, for a part that fails is tried again
            piece.job.rows[piece.begin : piece.end] = rows

    def _finish(self, pieces: Sequence[Piece[P]], outcomes: Sequence[BaseException | None]) -> None:
        """Answer the jobs that are complete, then go on."""
        for piece, error in zip(pieces, outcomes, strict=True):
            job = piece.job
            if job.is_over:
                continue
            if error is not None:
                job.future.set_exception(error)
                continue
            job.done += piece.end - piece.begin
            if job.done == len(job.texts):
                job.future.set_result(job.rows)
        self._free += 1
        self._call_lanes()
