"""Reference engine: gensim's skip-gram (sg=1, hs=0) on word ids, in its fast corpus-file mode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nlptl.disk.drafts import temporary_folder
from nlptl.errors import DataError
from nlptl.pretraining.word2vec import engines
from nlptl.pretraining.word2vec.corpus import Corpus, available_cores
from nlptl.pretraining.word2vec.engines import Callbacks, FloatArray, SkipGramTask, TrainedVectors, initial_vectors

MAX_LINE_WORDS = 10_000  # gensim drops the rest of a longer line


def train(corpus: Corpus, task: SkipGramTask, *, start: FloatArray | None, callbacks: Callbacks) -> TrainedVectors:
    """Train with gensim; see Engine.

    It trains no subwords and writes no checkpoints: a kill loses the whole training. Below a million words, or with
    `deterministic`, one worker gives the same vectors on every run. Otherwise workers race.
    """
    from gensim.models import Word2Vec
    from gensim.models.callbacks import CallbackAny2Vec

    vectors = initial_vectors(len(corpus.counts), task, start)
    one = task.deterministic or len(corpus.ids) < engines.MIN_THREADED_WORDS
    model = Word2Vec(
        vector_size=task.dim, window=task.window, negative=task.negatives, sg=1, hs=0, min_count=1,
        sample=task.subsample, alpha=task.learning_rate, seed=task.seed % 2**32, compute_loss=False,
        workers=1 if one else task.threads or available_cores(),
    )  # fmt: skip
    frequencies = {str(index): int(count) for index, count in enumerate(corpus.counts) if index and count}
    model.build_vocab_from_freq(frequencies, corpus_count=len(corpus))
    rows = np.array([int(word) for word in model.wv.index_to_key])
    model.wv.vectors[:] = vectors[rows]

    class AfterEpoch(CallbackAny2Vec):  # type: ignore[misc]  # gensim ships no types
        epochs = 0

        def on_epoch_end(self, model: Word2Vec) -> None:
            self.epochs += 1
            callbacks.advance(len(corpus.ids))
            if callbacks.after_epoch is not None:
                contexts = _by_id(np.zeros_like(vectors), rows, model.syn1neg)
                callbacks.after_epoch(self.epochs, _by_id(vectors, rows, model.wv.vectors), contexts)

    with temporary_folder("gensim") as folder:
        path = folder / "corpus.txt"
        try:
            _write_lines(corpus, path)
        except OSError as error:
            reason = f"cannot write gensim's corpus file ({error.strerror})"
            raise DataError(f"{folder}: {reason}. Free space or set TMPDIR to another disk.") from None
        kept, _ = model.train(
            corpus_file=str(path), total_words=len(corpus.ids), total_examples=len(corpus), epochs=task.epochs,
            callbacks=[AfterEpoch()],
        )  # fmt: skip
    return TrainedVectors(vectors=_by_id(vectors, rows, model.wv.vectors), kept_words=int(kept))


def _by_id(base: FloatArray, rows: NDArray[np.int64], trained: FloatArray) -> FloatArray:
    result = base.copy()
    result[rows] = trained
    return result


def _write_lines(corpus: Corpus, path: Path) -> None:
    names = [str(index) for index in range(len(corpus.counts))]
    with path.open("w", encoding="ascii") as file:
        for ids in corpus.texts():
            for begin in range(0, len(ids), MAX_LINE_WORDS):
                file.write(" ".join([names[i] for i in ids[begin : begin + MAX_LINE_WORDS].tolist()]) + "\n")
