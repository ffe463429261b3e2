"""One run of the few-label benchmarks: what is learnt from, what is predicted, and how both are put into a row."""

from __future__ import annotations

import contextlib
import time
import unittest.mock
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import arms
import numpy as np
from texts import Rows

CERTAIN = 255  # the probability 1 as a byte


@dataclass(frozen=True)
class Task:
    """One run: what is learnt from, what is predicted."""

    data_set: str
    seed: int
    labelled: Rows
    test: Rows
    names: tuple[str, ...]
    label_names: Mapping[str, str]
    pile: Rows | None = None
    setfit_minutes: float = 30.0
    step_seconds: float | None = None
    """Of SetFit on this set, where it was timed before."""

    def ids(self) -> list[int]:
        return [self.names.index(label) for label in self.labelled.labels()]


WARM_UP = Task(
    "warm-up", 0,
    Rows("warm-up", [f"a {kind} example, number {number}" for kind in ("good", "bad") for number in range(8)],
         ["good"] * 8 + ["bad"] * 8),
    Rows("warm-up", ["one more good example", "one more bad example"], ["good", "bad"]), ("bad", "good"), {},
)  # fmt: skip


@contextlib.contextmanager
def timed(row: arms.Row, name: str) -> Iterator[None]:
    """Put the wall seconds of a block into the row, and the CPU's own: other work disturbs them less."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    row[name] = round(time.perf_counter() - wall, 3)
    row[f"cpu_{name}"] = round(time.process_time() - cpu, 3)


@contextlib.contextmanager
def encoding_timed(row: arms.Row) -> Iterator[None]:
    """Put the wall seconds in which a block encodes texts into the row."""
    from nlptl.models.encoder import Encoder

    encode, seconds, depth = Encoder.encode, [], []

    def watched(self: Encoder, *given: Any, **more: Any) -> Any:
        begin = time.perf_counter()
        depth.append(self)
        try:
            return encode(self, *given, **more)
        finally:
            depth.pop()
            if not depth:  # one call may make another
                seconds.append(time.perf_counter() - begin)

    with unittest.mock.patch.object(Encoder, "encode", watched):
        yield
    row["encoding_seconds"] = round(sum(seconds), 3)


def guesses(probabilities: np.ndarray, numbers: np.ndarray) -> arms.Row:
    """Return the labels that probabilities (I, K) give, `numbers` (K,) being their columns', and how sure they are.

    The confidence is the probability of the label predicted, a byte (two hexadecimal digits) a text.
    """
    confidence = np.rint(CERTAIN * probabilities.max(axis=1)).astype(np.uint8)
    return {"predicted": numbers[probabilities.argmax(axis=1)].tolist(), "confidence": confidence.tobytes().hex()}
