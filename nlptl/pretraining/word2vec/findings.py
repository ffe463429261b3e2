"""Findings of a skip-gram training: losses, changed and nearest neighbours.

Shapes: V words, D dimension.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.context import Record, RunContext
from nlptl.models.neighbours import nearest
from nlptl.pretraining.word2vec.corpus import Corpus
from nlptl.pretraining.word2vec.engines import Callbacks, FloatArray, SkipGramTask
from nlptl.pretraining.word2vec.quality import SampledLoss, frequent_words, neighbourhood_change
from nlptl.progress import Task

SHOWN_WORDS = 5  # frequent words with their neighbours
COMPARED_WORDS = 1_000  # frequent words whose neighbours before and after are compared


def recording_callbacks(corpus: Corpus, task: SkipGramTask, progress: Task, context: RunContext) -> Callbacks:
    """Return callbacks that record the loss of each epoch, also of epochs before a resume, and keep checkpoints."""
    measure = SampledLoss(corpus, window=task.window, negatives=task.negatives, seed=context.seed)
    notes: dict[str, list[float | None]] = {"losses": []}

    def after_epoch(epoch: int, vectors: FloatArray, contexts: FloatArray) -> None:
        notes["losses"].append(measure(vectors, contexts))
        for number in (*range(len(context.record.history) + 1, epoch), epoch):
            loss = notes["losses"][number - 1]
            context.record.row(epoch=number, **({} if loss is None else {"loss": round(loss, 6)}))
        progress.advance(0, f"epoch {epoch}/{task.epochs}{'' if loss is None else f', loss {loss:.3f}'}")

    return Callbacks(progress.advance, after_epoch, context.checkpoints("skip-gram"), notes)


def add_change(corpus: Corpus, before: FloatArray, after: FloatArray, record: Record) -> None:
    """Record the number of new words, and how neighbours of old ones changed from `before` to `after` (V, D)."""
    known = ~np.isnan(before[:, 0])
    new = int((~known[1:]).sum())
    record.add_finding("new_words", new, f"{known.sum()} words continue from their vectors, {new} are new.")
    rows = np.flatnonzero(known)
    rows = rows[np.argsort(-corpus.counts[rows], kind="stable")][:COMPARED_WORDS]
    if len(rows) > 1:
        change = neighbourhood_change(corpus.words, before, after, rows)
        record.add_finding("neighbourhoods", dataclasses.asdict(change), change.sentence())


def add_neighbours(words: Sequence[str], vectors: FloatArray, counts: NDArray[np.int64], record: Record) -> None:
    """Record the nearest neighbours of some frequent words."""
    shown = frequent_words(words, counts, count=SHOWN_WORDS)
    neighbours = {words[i]: nearest(words, vectors, i, count=5) for i in shown}
    told = "; ".join(f"{word}: {', '.join(near for near, _ in found)}" for word, found in neighbours.items())
    record.add_finding("neighbours", neighbours, f"Nearest neighbours: {told}." if told else "")
