"""What reading long texts sentence by sentence brings a head over frozen vectors, beside reading them whole.

    python benchmarks/long_texts.py DIR

DIR holds imdb, amazon_mdsd (books, dvd, electronics, kitchen) and ag_news, whose texts are short, as JSON lines. Of each 500
test rows (of Amazon, which has none of its own, 500 rows) and 600 training rows are drawn; subject asks which of the four
kinds of goods an Amazon review is about. Every set is encoded twice by MiniLM: a text or a sentence is cut at 256 tokens, a
text that is read by sentence at 1,024. scikit-learn's logistic regression learns from 8 and 32 labels each in 20 draws (seeds
0 to 19). Development used training rows of imdb and other draws of Amazon's rows. Where nlptl is not installed:
PYTHONPATH=. python benchmarks/long_texts.py …. Writes benchmarks/results/long-texts.json (…-cuda.json on a GPU).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arms
import numpy as np
from adapt_domain import DOMAINS
from fewshot_sets import chosen, material
from texts import Parts, Rows, distinct_rows, read_rows, sample, weights_folder

from nlptl.context import RunContext
from nlptl.evaluation.intervals import hierarchical_mean, paired_difference
from nlptl.inference.sentences import sentences
from nlptl.models.encoder import Encoder
from nlptl.stages.bert import Bert
from nlptl.stages.sentence_vectors import SentenceVectors

SHOTS, SPLITS = (8, 32), 20
TRAIN, TEST, LONGEST = 600, 500, 256


@dataclass(frozen=True)
class Task:
    """One set of texts and the labels to be told apart."""

    name: str
    train: Rows
    test: Rows


def main(argv: Sequence[str]) -> Path:
    options = arms.arguments(__doc__).parse_args(argv)
    device = arms.device_of(options.device)
    arms.begin("about 6 minutes on two quiet cores")
    tasks = list(read_tasks(options.folder, tiny=options.tiny))
    texts = tasks[0].train.texts()
    folder, weights = weights_folder(options.weights, texts, scratch=arms.SCRATCH, tiny=options.tiny)
    nothing: Any = Parts()
    on: Any = device
    context = RunContext(device=on)
    whole = Bert(weights=str(folder), max_length=64 if options.tiny else LONGEST).run(data=nothing, context=context)
    by_sentence = SentenceVectors(by_sentence=True).run(whole, data=nothing, context=context)
    shots, splits = ((2,), 2) if options.tiny else (SHOTS, SPLITS)
    rows: list[arms.Row] = []
    hits: dict[tuple[str, int], list[np.ndarray]] = {}
    for task in tasks:
        for way, encoder in (("whole", whole), ("by sentence", by_sentence)):
            row, vectors = encoded(task, encoder)
            for count in shots:
                right = np.stack([learnt(task, vectors, count, seed) for seed in range(splits)])
                hits.setdefault((task.name, count), []).append(right)
                scores = [round(float(score), 4) for score in right.mean(axis=1)]
                rows.append({"set": task.name, "way": way, "shots": count, "scores": scores, **row})
            print(f"{task.name}: read {way} in {row['seconds']:.0f} s", flush=True)
    return arms.publish(
        arms.result_name("long-texts", device),
        tiny=options.tiny,
        command="python benchmarks/long_texts.py DIR",
        seeds=list(range(splits)),
        rows=[{**row, "weights": weights, "device": arms.device_name(device)} for row in rows],
        bars=[bar(name, count, *both) for (name, count), both in hits.items()],
    )


def read_tasks(folder: Path, *, tiny: bool) -> Iterator[Task]:
    train, test = (30, 20) if tiny else (TRAIN, TEST)
    for name in ("imdb",) if tiny else ("imdb", "ag_news"):
        made = material(folder, name, dev=False, tiny=False)
        yield Task(name, sample(made.train, train, seed=0), sample(made.test, test, seed=0))
    if tiny:
        return
    goods = {name: distinct_rows(read_rows(folder, "amazon_mdsd", name)) for name in DOMAINS}
    for name, rows in goods.items():
        yield parted(f"amazon {name}", rows, train, test)
    texts = [text for rows in goods.values() for text in rows.texts()]
    yield parted(
        "amazon, subject", Rows("", texts, [name for name, rows in goods.items() for _ in rows.texts()]), train, test
    )


def parted(name: str, rows: Rows, train: int, test: int) -> Task:
    """Draw both parts at random: in the files the labels stand one after the other."""
    order = [int(number) for number in np.random.default_rng(0).permutation(len(rows))]
    return Task(name, rows.select(order[:train]), rows.select(order[train : train + test]))


def encoded(task: Task, encoder: Encoder) -> tuple[arms.Row, tuple[np.ndarray, np.ndarray]]:
    begin = time.perf_counter()
    vectors = encoder.encode(task.train.texts()), encoder.encode(task.test.texts())
    seconds = round(time.perf_counter() - begin, 2)
    texts = task.train.texts()
    usual = float(np.median([len(sentences(text)) for text in texts]))
    return {"seconds": seconds, "sentences": usual, "test": len(task.test)}, vectors


def learnt(task: Task, vectors: tuple[np.ndarray, np.ndarray], shots: int, seed: int) -> np.ndarray:
    """Return which test rows (I,) a head gets right that was fitted to one draw of labels."""
    from sklearn.linear_model import LogisticRegression

    labels = np.array(task.train.labels())
    rows = chosen(task.train.labels(), shots, seed)
    centre = vectors[0][rows].mean(axis=0)
    spread = np.linalg.norm(vectors[0][rows] - centre, axis=1).mean()
    head = LogisticRegression(max_iter=1000).fit((vectors[0][rows] - centre) / spread, labels[rows])
    return np.asarray(head.predict((vectors[1] - centre) / spread) == np.array(task.test.labels()))


def bar(name: str, shots: int, whole: np.ndarray, apart: np.ndarray) -> dict[str, Any]:
    """Return what either way reaches (S, I) and their difference, in points."""
    values = [hierarchical_mean(right.astype(float)) for right in (whole, apart)]
    difference = paired_difference(whole.astype(float), apart.astype(float)).difference
    return {
        "name": f"{name}, {shots} labels each: by sentence less whole, points",
        "value": round(100 * difference.value, 2), "range": percent(difference), "set": name, "shots": shots,
        "whole": percent(values[0]), "by_sentence": percent(values[1]),
    }  # fmt: skip


def percent(found: Any) -> str:
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


if __name__ == "__main__":
    main(sys.argv[1:])
