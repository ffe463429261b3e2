"""The two arms of the word-vector benchmarks: gensim as its users call it, and nlptl's engine on the CPU.

The clock of an arm starts before it reads a file of texts and stops when its vectors are in memory: vocabulary, encoding
and training. Imports, compiling and a training on 50 lines to warm up come before it and are told apart.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import arms
import numpy as np
import word2vec_quality as quality

if TYPE_CHECKING:
    from gensim.models import KeyedVectors, Word2Vec

    from nlptl.pretraining.word2vec.engines import SkipGramTask, TrainedVectors

WINDOW, NEGATIVES, SAMPLE, RATE = 5, 5, 1e-3, 0.025  # gensim's defaults, written out
WARM_UP = 50  # lines
KERNEL_SETTINGS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Settings of a machine's owner that slow or speed up one library's kernels; the arms run without them."""


@dataclass(frozen=True)
class Job:
    """One training."""

    arm: str
    """nlptl, gensim list or gensim file: how gensim gets its texts."""
    file: Path
    """One text a line."""
    dim: int
    epochs: int
    seed: int
    threads: int = 2
    min_count: int = 5
    deterministic: bool = False
    buckets: int | None = None
    """Vectors for n-grams of 3 to 6 characters; None: words alone."""
    judge: quality.Judge | None = None
    """What the vectors are asked once the clock has stopped."""


@dataclass(frozen=True)
class Made:
    """What an arm has trained."""

    vectors: KeyedVectors
    """By word, frequent ones first; with n-grams made of them."""
    counted: arms.Row
    unseen: quality.Unseen | None = None


def keep_kernels() -> None:
    """Drop the settings of numerical kernels; processes that start from here on do not see them."""
    for name in KERNEL_SETTINGS:
        os.environ.pop(name, None)


def training(*, job: Job) -> arms.Run:
    """Import and compile what the job needs, and return the run."""
    train = train_ours if job.arm == "nlptl" else train_gensim
    begin = time.perf_counter()
    with job.file.open(encoding="utf-8") as file:
        lines = [line for _, line in zip(range(WARM_UP), file, strict=False)]
    few = job.file.with_name(f"warm-up-{os.getpid()}.txt")
    few.write_text("".join(lines), encoding="utf-8")
    compiling = train(job, few, min_count=1, epochs=1).counted.get("compile_seconds", 0.0)
    few.unlink()
    warm_up = round(time.perf_counter() - begin, 2)
    about = {"compile_seconds": compiling, "warm_up_seconds": warm_up, "idle_memory_mib": peak_mib()}

    def run(_: Any) -> arms.Row:
        begin, cpu = time.perf_counter(), time.process_time()
        made = train(job, job.file, min_count=job.min_count, epochs=job.epochs)
        wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
        row = {
            **made.counted, "seconds": round(wall, 3), "cpu_seconds": round(cpu, 2), "trained_memory_mib": peak_mib(),
            **about, **rates(job, made.counted["kept_words"], made.counted["train_seconds"]),
            "vocabulary": len(made.vectors), "digest": hashlib.sha256(made.vectors.vectors.tobytes()).hexdigest()[:16],
        }  # fmt: skip
        return row if job.judge is None else {**row, "scores": quality.scores(job.judge, made.vectors, made.unseen)}

    return run


def train_ours(job: Job, file: Path, *, min_count: int, epochs: int) -> Made:
    from nlptl.pretraining.word2vec.corpus import corpus_of
    from nlptl.pretraining.word2vec.tokenizer import TextSettings, untrained_tokenizer

    begin = time.perf_counter()
    texts = file.read_text(encoding="utf-8").splitlines()
    batches = [texts[begin : begin + 1_000] for begin in range(0, len(texts), 1_000)]
    tokenizer = untrained_tokenizer(TextSettings())
    with corpus_of(tokenizer, batches, min_count=min_count, threads=job.threads) as corpus:
        del texts, batches
        ready, cpu = time.perf_counter(), time.process_time()
        trained = train(corpus, task_of(job, epochs))
        cpu = time.process_time() - cpu
        names = corpus.words
    counted = {
        "vocabulary_seconds": round(ready - begin, 3), "train_seconds": round(trained.train_seconds, 6),
        "train_cpu_seconds": round(cpu, 2), "kept_words": int(trained.kept_words),
        "compile_seconds": round(trained.compile_seconds, 2),
    }  # fmt: skip
    return Made(to_gensim(names[1:], trained.vectors[1:]), counted, unseen_of(job, trained))


def to_gensim(words: list[str], vectors: Any) -> KeyedVectors:
    """Return gensim KeyedVectors of words and vectors (V, D)."""
    from gensim.models import KeyedVectors

    keyed = KeyedVectors(vectors.shape[1])
    keyed.add_vectors(words, vectors)
    return keyed


def train(corpus: Any, task: SkipGramTask) -> TrainedVectors:
    """Train with nlptl's engine on the CPU."""
    from nlptl.pretraining.word2vec import cpu_engine
    from nlptl.pretraining.word2vec.engines import Callbacks

    return cpu_engine.train(corpus, task, start=None, callbacks=Callbacks())


def task_of(job: Job, epochs: int) -> SkipGramTask:
    from nlptl.pretraining.word2vec.engines import SkipGramTask

    return SkipGramTask(
        dim=job.dim, window=WINDOW, negatives=NEGATIVES, subsample=SAMPLE, epochs=epochs, learning_rate=RATE,
        seed=job.seed, deterministic=job.deterministic, threads=job.threads, spelling=spelling_of(job),
    )  # fmt: skip


def spelling_of(job: Job) -> Any:
    if job.buckets is None:
        return None
    from nlptl.inference.spelling import Spelling

    return Spelling(min=3, max=6, buckets=job.buckets)


def unseen_of(job: Job, trained: TrainedVectors) -> quality.Unseen | None:
    """Return what gives vectors to words that were never seen: the mean of their n-grams' vectors, as fastText."""
    if job.buckets is None:
        return None
    from nlptl.inference.spelling import bucket_ids

    spelling, buckets = spelling_of(job), trained.buckets
    assert buckets is not None

    def vectors(words: list[str]) -> np.ndarray:
        ids, offsets = bucket_ids(words, spelling)
        rows = np.searchsorted(buckets.ids, ids).clip(max=len(buckets.ids) - 1)
        known = (buckets.ids[rows] == ids)[:, None]  # n-grams that the training never met are zero
        table = np.where(known, buckets.vectors[rows], np.float32(0))
        empty = np.zeros(buckets.vectors.shape[1], np.float32)
        parts = itertools.pairwise(offsets)
        return np.array([table[a:b].mean(axis=0) if b > a else empty for a, b in parts])

    return vectors


def train_gensim(job: Job, file: Path, *, min_count: int, epochs: int) -> Made:
    """Train as Word2Vec(sentences, sg=1, …) does, whose two steps are called one by one to be timed."""
    begin = time.perf_counter()
    if job.arm == "gensim list":
        with file.open(encoding="utf-8") as texts:
            given: arms.Row = {"corpus_iterable": [line.split() for line in texts]}
    else:
        given = {"corpus_file": str(file)}
    model = gensim_model(job, min_count, epochs)
    model.build_vocab(**given)
    total = {"total_examples": model.corpus_count, "total_words": model.corpus_total_words, "epochs": epochs}
    ready, cpu = time.perf_counter(), time.process_time()
    kept, _ = model.train(**given, **total)
    seconds, cpu = time.perf_counter() - ready, time.process_time() - cpu
    counted = {
        "vocabulary_seconds": round(ready - begin, 3), "train_seconds": round(seconds, 6),
        "train_cpu_seconds": round(cpu, 2), "kept_words": int(kept),
    }  # fmt: skip
    if job.buckets is None:
        return Made(model.wv, counted)
    plain = to_gensim(model.wv.index_to_key, model.wv.vectors)
    return Made(plain, counted, lambda words: np.array([model.wv.get_vector(word) for word in words]))


def gensim_model(job: Job, min_count: int, epochs: int) -> Word2Vec:
    from gensim.models import FastText, Word2Vec

    settings: arms.Row = {
        "sg": 1, "hs": 0, "vector_size": job.dim, "window": WINDOW, "negative": NEGATIVES, "sample": SAMPLE,
        "alpha": RATE, "min_count": min_count, "epochs": epochs, "seed": job.seed, "workers": job.threads,
    }  # fmt: skip
    if job.buckets is None:
        return Word2Vec(**settings)
    return FastText(**settings, min_n=3, max_n=6, bucket=job.buckets)


def rates(job: Job, kept: int, seconds: float) -> arms.Row:
    """Return the speeds of a training that kept so many words, over all epochs, after subsampling.

    Pairs are computed, not counted: each kept word has window + 1 on average, as its window is drawn from 1 to `window`
    to either side, less at the ends of texts, whose lengths shrink by the share of words kept.
    """
    with job.file.open(encoding="utf-8") as file:
        lengths = np.array([len(line.split()) for line in file], dtype=np.float64)
    words = int(lengths.sum())
    pairs = job.epochs * pairs_of(lengths * kept / (job.epochs * words))
    return {
        "words": words, "kept_words_per_second": round(kept / seconds, 1),
        "raw_words_per_second": round(job.epochs * words / seconds, 1), "pairs_per_second": round(pairs / seconds, 1),
    }  # fmt: skip


def pairs_of(lengths: np.ndarray) -> float:
    """Return the pairs expected in texts of these lengths: mean over windows b of b n 2 - b (b + 1), n (n - 1) if b ≥ n."""
    total = 0.0
    for window in range(1, WINDOW + 1):
        inside = 2 * window * lengths - window * (window + 1)
        total += np.where(lengths - 1 > window, inside, np.maximum(0.0, lengths * (lengths - 1))).sum()
    return total / WINDOW


def peak_mib() -> float:
    """Return what this process took at its peak; pages of files that it maps count."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, 1)
