"""Skip-gram on a GPU: speed of the GPU engine, against gensim on all cores, and what the vectors are worth.

    python benchmarks/word2vec_gpu.py TEXT.gz [--wordsim DIR] [--repeats 5] [--seeds 3] [--sweep] [--out DIR]

TEXT.gz is one line of lower-case words, like text8. DIR holds EN-MEN-TR-3k.txt and questions-words.txt (3,000 word pairs
with human ratings, 19,544 analogies). Texts are lines of 1,000 words, words are those that occur five times, and window,
negatives and subsampling are gensim's defaults for skip-gram. Every repeat trains one epoch and several, so that the
difference tells an epoch apart from what is done once; compiling is told by itself. "Kept" words are those that
subsampling leaves, as gensim counts; "raw" are all, as word2vec.c counts. Needs torch and triton; gensim is the peer where
it is installed, else the project's CPU engine, which needs numba, stands in for the quality; the notes name what is missing.
Where nlptl is not installed: PYTHONPATH=. python benchmarks/word2vec_gpu.py …. Writes benchmarks/results/word2vec-gpu.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import arms
import numpy as np
import results
from words import Words, analogy, men, read_words

from nlptl.pretraining.word2vec.corpus import Corpus
from nlptl.pretraining.word2vec.engines import Callbacks, SkipGramTask

TASK = SkipGramTask(dim=100, window=5, negatives=5, subsample=1e-3, epochs=5, learning_rate=0.025, seed=1)
PACKAGES = ("torch", "triton", "numpy", "gensim", "nlptl")
KEPT_PER_SECOND, RATIO = 100e6, 20
NOISE = {"analogy": 0.009, "men": 0.019}  # 95 % of one measurement


def main(argv: Sequence[str]) -> Path:
    options = parsed(argv)
    task, dims, seeds = TASK, (100, 300), tuple(range(1, options.seeds + 1))
    if options.tiny:
        task, dims, seeds = dataclasses.replace(TASK, dim=8, epochs=2), (8, 24), (1,)
        os.environ.setdefault("TRITON_INTERPRET", "1")  # read when the kernels are imported, which is later
    arms.begin("about 5 minutes on a large GPU with 16 cores")
    begin = time.perf_counter()
    words = read_words(options.text, least=1 if options.tiny else 5, line=1_000)
    rows: list[dict[str, Any]] = [{"arm": "reading and encoding", "seconds": time.perf_counter() - begin}]
    print(f"{len(words.corpus.ids)} words, {len(words.names)} different, in {rows[0]['seconds']:.1f} s", flush=True)
    rows += [first_call(words.corpus, dataclasses.replace(task, dim=dim)) for dim in dims]
    rows += sweep(words.corpus, task) if options.sweep else []
    gensim = not arms.missing(["gensim"])
    notes = left_out(quality=options.wordsim is not None)
    print(*notes, sep="\n", end="\n" if notes else "", flush=True)
    for repeat in range(options.repeats):
        for dim in dims:
            rows.append(speed(words.corpus, dataclasses.replace(task, dim=dim), repeat))
        if gensim:
            rows.append(gensim_speed(words, dataclasses.replace(task, epochs=1), repeat))
        print(*(shown(row) for row in rows[-3:] if row.get("repeat") == repeat), sep="\n", flush=True)
    found = speed_bars(rows, dims)
    if options.wordsim:
        quality = quality_rows(words, task, seeds, options.wordsim, gensim=gensim)
        rows += quality
        found += quality_bars(quality)
    return publish(rows, found, seeds, notes, tiny=options.tiny, out=options.out)


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("text", type=Path, metavar="TEXT.gz")
    parser.add_argument("--wordsim", type=Path, metavar="DIR")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--seeds", type=int, default=3, help="trainings of each arm whose vectors are judged; default 3"
    )
    parser.add_argument("--sweep", action="store_true", help="also try other layouts of the work, an epoch each")
    parser.add_argument("--out", **arms.OUT)
    parser.add_argument(
        "--tiny", action="store_true", help="try the script out in Triton's interpreter; result in runs/"
    )
    return parser.parse_args(argv)


def left_out(*, quality: bool) -> list[str]:
    """Return one sentence for each peer that is not installed."""
    notes = []
    if arms.missing(["gensim"]):
        notes.append("gensim is not installed: its rows are left out.")
        if quality and not arms.missing(["numba"]):
            notes.append("nlptl's CPU engine stands in for gensim in the comparison of quality.")
        elif quality:
            notes.append("numba is not installed: nlptl's CPU engine is left out of the comparison of quality.")
    return notes


def first_call(corpus: Corpus, task: SkipGramTask) -> dict[str, Any]:
    """Compile the kernel and measure how long that takes, on the corpus' beginning."""
    lines = min(len(corpus), 3)
    part = dataclasses.replace(corpus, ids=corpus.ids[: corpus.offsets[lines]], offsets=corpus.offsets[: lines + 1])
    device = device_name()  # which also wakes the GPU up: that is no compiling
    begin = time.perf_counter()
    train_on_gpu(part, dataclasses.replace(task, epochs=1))
    return {"arm": "first call", "dim": task.dim, "device": device, "seconds": time.perf_counter() - begin}


def sweep(corpus: Corpus, task: SkipGramTask) -> list[dict[str, Any]]:
    """Train an epoch under each of some tunings, compiled before; what is done once is in the seconds."""
    from nlptl.pretraining.word2vec.gpu_tuning import Tuning

    one, rows = dataclasses.replace(task, epochs=1), []
    for warps, segments, noise in itertools.product((4, 8), (1, 2), (1, 2)):
        tuning = Tuning(warps=warps, segments_per_processor=segments, noise_per_centre=noise)
        train_on_gpu(corpus, one, tuning)
        begin = time.perf_counter()
        kept = train_on_gpu(corpus, one, tuning).kept_words
        seconds = time.perf_counter() - begin
        rows.append({"arm": "sweep", "dim": task.dim, "seconds": seconds, "kept_per_second": kept / seconds})
        rows[-1] |= {"warps": warps, "segments_per_processor": segments, "noise_per_centre": noise}
        print(shown(rows[-1]), flush=True)
    return rows


def speed(corpus: Corpus, task: SkipGramTask, repeat: int) -> dict[str, Any]:
    """Train one epoch and `task.epochs`; an epoch's time is the difference by their number."""
    seconds, kept = {}, {}
    for epochs in (1, task.epochs):
        begin = time.perf_counter()
        kept[epochs] = train_on_gpu(corpus, dataclasses.replace(task, epochs=epochs)).kept_words
        seconds[epochs] = time.perf_counter() - begin
    more = max(1e-9, seconds[task.epochs] - seconds[1]) / (task.epochs - 1)
    words = (kept[task.epochs] - kept[1]) / (task.epochs - 1)
    return {
        "arm": "nlptl gpu", "dim": task.dim, "repeat": repeat, "device": device_name(), "epochs": task.epochs,
        "seconds": seconds[task.epochs], "epoch_seconds": more, "kept_per_second": words / more,
        "raw_per_second": len(corpus.ids) / more, "pairs_per_second": pairs(words, len(corpus), task.window) / more,
        "kept_per_second_with_start": kept[task.epochs] / seconds[task.epochs],
        **bound(task),
    }  # fmt: skip


def pairs(kept: float, texts: int, window: int) -> float:
    """Return how many pairs are expected of `kept` words in `texts` texts, each longer than the window."""
    return sum(2 * (kept - texts * far) * (window - far + 1) / window for far in range(1, window + 1))


def bound(task: SkipGramTask) -> dict[str, float]:
    """Return bytes of rows read and added a kept word, and the speed at which main memory alone would allow it.

    The second-level cache holds the frequent words' rows, so that the bound can be passed.
    """
    from nlptl.pretraining.word2vec.gpu_tuning import Tuning, row_width, tile_for

    tile = tile_for(task, Tuning())
    # Each row is read and added to; at either end of a tile a window reaches half as far as it may, on average.
    moved_rows = 2 * (2 * tile.centres + task.window + 1 + tile.noise) / tile.centres
    moved = moved_rows * row_width(task.dim) * 4
    return {"bytes_a_kept_word": moved, "memory_bound_kept_per_second": bandwidth() / moved}


def bandwidth() -> float:
    """Return bytes a second that a large copy reads and writes; 0 where there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        return 0.0
    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    seconds = []
    for _ in range(5):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return 2.0 * 2**30 / min(seconds)


def gensim_speed(words: Words, task: SkipGramTask, repeat: int) -> dict[str, Any]:
    """Train one epoch with gensim on all cores, in its fast mode on a file; the vocabulary is built before."""
    with tempfile.TemporaryDirectory() as folder:
        model, path, threads = gensim_model(words, task, Path(folder))
        begin = time.perf_counter()
        kept, raw = model.train(
            corpus_file=path, total_words=len(words.corpus.ids), total_examples=len(words.corpus), epochs=task.epochs
        )
        seconds = time.perf_counter() - begin
    return {
        "arm": "gensim", "dim": task.dim, "repeat": repeat, "threads": threads, "epochs": task.epochs,
        "seconds": seconds, "kept_per_second": kept / seconds, "raw_per_second": raw / seconds,
    }  # fmt: skip


def gensim_model(words: Words, task: SkipGramTask, folder: Path) -> tuple[Any, str, int]:
    from gensim.models import Word2Vec

    path = folder / "corpus.txt"
    with path.open("w", encoding="utf-8") as file:
        for ids in words.corpus.texts():
            file.write(" ".join([words.names[i] for i in ids.tolist()]) + "\n")
    threads = len(os.sched_getaffinity(0))
    model = Word2Vec(
        vector_size=task.dim, window=task.window, negative=task.negatives, sg=1, min_count=1, sample=task.subsample,
        alpha=task.learning_rate, seed=task.seed, workers=threads,
    )  # fmt: skip
    model.build_vocab(corpus_file=str(path))
    return model, str(path), threads


def speed_bars(rows: Sequence[dict[str, Any]], dims: Sequence[int]) -> list[dict[str, Any]]:
    def of(arm: str, dim: int) -> list[float]:
        return [row["kept_per_second"] for row in rows if row["arm"] == arm and row["dim"] == dim]

    bars: list[dict[str, Any]] = [
        {"name": f"kept words a second, dim {dim}", **arms.told(of("nlptl gpu", dim), 0)} for dim in dims
    ]
    bars[0]["at_least"] = KEPT_PER_SECOND
    peer = of("gensim", dims[0])
    if peer:
        ratios = [ours / theirs for ours, theirs in zip(of("nlptl gpu", dims[0]), peer, strict=True)]
        name = f"times gensim's kept words a second, all cores, dim {dims[0]}"
        bars.append({"name": name, **arms.told(ratios), "at_least": RATIO})
    return bars


def quality_rows(
    words: Words, task: SkipGramTask, seeds: Sequence[int], folder: Path, *, gensim: bool
) -> list[dict[str, Any]]:
    """Train both arms from each seed and measure their vectors."""
    makers: dict[str, Callable[[SkipGramTask], np.ndarray]] = {
        "nlptl gpu": lambda task: train_on_gpu(words.corpus, task).vectors
    }
    if gensim:
        makers["gensim"] = lambda task: gensim_vectors(words, task)
    elif not arms.missing(["numba"]):
        makers["nlptl cpu"] = lambda task: cpu_vectors(words.corpus, task)
    rows = []
    for seed in seeds:
        for arm, make in makers.items():
            vectors = make(dataclasses.replace(task, seed=seed))
            scores = {"analogy": analogy(words.names, vectors, folder), "men": men(words.names, vectors, folder)}
            rows.append({"part": "quality", "arm": arm, "dim": task.dim, "seed": seed, "epochs": task.epochs, **scores})
            print(shown(rows[-1]), flush=True)
    return rows


def quality_bars(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the mean differences to the peer; a bar is missed where ours is worse by more than the noise of one score."""
    peers = {row["arm"] for row in rows} - {"nlptl gpu"}
    bars: list[dict[str, Any]] = []
    for peer in sorted(peers):
        for score, noise in NOISE.items():
            ours, theirs = ([row[score] for row in rows if row["arm"] == arm] for arm in ("nlptl gpu", peer))
            differences = [mine - other for mine, other in zip(ours, theirs, strict=True)]
            bars.append({
                "name": f"{score}, difference to {peer}", "value": round(statistics.mean(differences), 4),
                "at_least": -noise, "range": [round(min(differences), 4), round(max(differences), 4)],
            })  # fmt: skip
    return bars


def gensim_vectors(words: Words, task: SkipGramTask) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        model, path, _ = gensim_model(words, task, Path(folder))
        model.train(
            corpus_file=path, total_words=len(words.corpus.ids), total_examples=len(words.corpus), epochs=task.epochs
        )
    vectors = np.zeros((len(words.names), task.dim), np.float32)
    rows = [row for row, name in enumerate(words.names) if name in model.wv]
    vectors[rows] = [model.wv[words.names[row]] for row in rows]
    return vectors


def cpu_vectors(corpus: Corpus, task: SkipGramTask) -> np.ndarray:
    engine = importlib.import_module("nlptl.pretraining.word2vec.cpu_engine")
    vectors: np.ndarray = engine.train(corpus, task, start=None, callbacks=Callbacks()).vectors
    return vectors


def train_on_gpu(corpus: Corpus, task: SkipGramTask, tuning: Any = None) -> Any:
    from nlptl.pretraining.word2vec.gpu_engine import train

    return train(corpus, task, start=None, callbacks=Callbacks(), tuning=tuning)


def device_name() -> str:
    import torch

    return arms.device_name("cuda" if torch.cuda.is_available() else "cpu")


def shown(row: dict[str, Any]) -> str:
    return "  " + ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else str(value) for name, value in row.items()
    )


def publish(
    rows: list[dict[str, Any]], bars: list[dict[str, Any]], seeds: Sequence[int], notes: Sequence[str],
    *, tiny: bool, out: Path | None,
) -> Path:  # fmt: skip
    for bar in bars:
        told = "" if "at_least" not in bar else ", met" if results.is_met(bar) else ", MISSED"
        print(f"  {bar['name']}: {bar['value']}, {bar['range']}{told}", flush=True)
    here = [name for name in PACKAGES if importlib.util.find_spec(name) and installed(name)]
    command = "python benchmarks/word2vec_gpu.py TEXT.gz --wordsim DIR"
    return results.write_result(
        "word2vec-gpu", command=command, seeds=seeds, rows=rows, bars=bars, packages=here, notes=notes,
        folder=out or (arms.SCRATCH if tiny else None),
    )  # fmt: skip


def installed(name: str) -> bool:
    """Say whether the package has a version to tell; nlptl itself may run from its folder."""
    return next(iter(importlib.metadata.distributions(name=name)), None) is not None


if __name__ == "__main__":
    print(main(sys.argv[1:]))
