"""What `update: auto` makes of thousands of labels within its ten minutes, beside what learns from as many elsewhere.

    python benchmarks/many_labels.py DIR

DIR holds the sets as JSON lines. 3,000 training rows of each set are drawn at random, of imdb 12,000 as well, and up to 2,000
test rows are scored. Arms, all from the same texts and weights: scikit-learn's logistic regression on tf-idf of words and pairs
of words, the same on frozen sentence vectors, transformers' Trainer on all layers (three epochs, batches of 16, rate 5e-5), and
nlptl's auto under minutes: 10. Seconds are those of the CPU over the cores, so that other work on the machine disturbs
them little; auto plans by the clock. Development used training rows alone (--dev). Interrupted, it goes on after the runs that
are kept. Where nlptl is not installed: PYTHONPATH=. python benchmarks/many_labels.py …. Writes
benchmarks/results/many-labels.json (…-cuda.json on a GPU).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import arms
import numpy as np
from fewshot_arms import AUTO, LR, OURS_AUTO, TFIDF, TRAINER, TRAINER_BATCH, ours
from fewshot_linear import regression, words
from fewshot_scores import score
from fewshot_sets import SETS, Material, material
from fewshot_task import Task, timed
from finetune import Job, encoded, peer_trainer, precision_of
from texts import sample, weights_folder

from nlptl.evaluation.intervals import paired_difference

SIZES: Mapping[str, Sequence[int]] = {
    "sentiment": (3_000,), "offensive": (3_000,), "hahackathon": (3_000,), "imdb": (3_000, 12_000),
}  # fmt: skip
ARMS = (TFIDF, LR, TRAINER, AUTO)
EPOCHS, TEST, LONGEST = 3, 2_000, 256
MINUTES, TOLERANCE = 10.0, 1.2  # of auto, and by how much it may miss them
SEED = 0


def main(argv: Sequence[str]) -> Path:
    parser = arms.arguments(__doc__, sets={"nargs": "+", "default": list(SIZES), "choices": list(SIZES)})
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, help="default: all")
    parser.add_argument("--dev", action="store_true", help="score training rows that nothing learns from")
    options = parser.parse_args(argv)
    device = arms.device_of(options.device)
    arms.begin("about 90 minutes on two quiet cores")
    made = {name: material(options.folder, name, dev=options.dev, tiny=options.tiny) for name in options.sets}
    texts = next(iter(made.values())).train.texts()
    folder, weights = weights_folder(options.weights, texts, scratch=arms.SCRATCH, tiny=options.tiny)
    settings = {"folder": str(folder), "device": device, "longest": 64 if options.tiny else LONGEST}
    kept = arms.Kept("many-labels", {"weights": weights, "device": device, "dev": options.dev, "tiny": options.tiny})
    rows: list[arms.Row] = []
    for task, count in tasks(made, tiny=options.tiny):
        for arm in options.arms:
            row = kept.find(task.data_set, count, arm)
            if row is None:
                row = measured(arm, settings, task, made[task.data_set], tiny=options.tiny)
                kept.add(row, task.data_set, count, arm)
            rows.append({"set": task.data_set, "labels": count, "arm": arm, **row})
            print(f"{task.data_set}, {count} labels, {arm}: {row['score']:.4f} in {row['seconds']:.0f} s", flush=True)
    path = arms.publish(
        arms.result_name("many-labels", device),
        tiny=options.tiny or options.dev,
        command="python benchmarks/many_labels.py DIR",
        seeds=[SEED],
        rows=[{**row, "weights": weights, "device": arms.device_name(device)} for row in rows],
        bars=list(bars(rows, made)),
    )
    kept.remove()
    return path


def tasks(made: Mapping[str, Material], *, tiny: bool) -> Iterator[tuple[Task, int]]:
    """Yield what is learnt from, and how many labels that is."""
    for name, each in made.items():
        test = sample(each.test, min(len(each.test), TEST), seed=SEED)
        for size in (40,) if tiny else SIZES[name]:
            labelled = sample(each.train, min(size, len(each.train)), seed=SEED)
            yield Task(name, SEED, labelled, test, each.names, SETS[name].label_names), len(labelled)


def measured(arm: str, settings: Mapping[str, Any], task: Task, made: Material, *, tiny: bool) -> arms.Row:
    """Return the row of one run in a process of its own."""
    makers: Mapping[str, Callable[..., arms.Run]] = {TFIDF: words, LR: regression, TRAINER: three_epochs, AUTO: ours}
    given = {**settings, "update": {**OURS_AUTO, "minutes": MINUTES}} if arm == AUTO else settings
    worker = arms.SameProcess(makers[arm], given) if tiny else arms.OwnProcess(makers[arm], given)
    try:
        row = worker.run(task)
    finally:
        worker.close()
    truth = np.array([made.names.index(label) for label in task.test.labels()])
    found = score(truth, row["predicted"], SETS[task.data_set].metric, made.names)
    cores = len(os.sched_getaffinity(0))
    share = {"cpu_over_cores": round(row["cpu_seconds"] / cores, 1)}
    right = "".join(str(int(hit)) for hit in truth == np.array(row["predicted"]))
    kept = {key: value for key, value in row.items() if key not in ("predicted", "confidence")}
    return {**kept, **share, "score": round(float(found), 5), "right": right}


def three_epochs(*, folder: str, device: str, longest: int) -> arms.Run:
    """Return a run of transformers' Trainer on all layers."""
    import transformers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)

    def run(task: Task) -> arms.Row:
        job = Job(
            folder, device, "full", task.names, task.labelled, task.test, TRAINER_BATCH, longest, precision_of(device)
        )
        transformers.set_seed(task.seed)
        trainer, _ = peer_trainer(job, tokenizer, [], epochs=EPOCHS, seed=task.seed)
        row: arms.Row = {}
        with timed(row, "seconds"):
            trainer.train_dataset = encoded(tokenizer, task.labelled, job)
            trainer.train()
        with timed(row, "predict_seconds"):
            predicted = trainer.predict(encoded(tokenizer, task.test, job)).predictions.argmax(axis=1)
        return {**row, "predicted": predicted.tolist()}

    return run


def bars(rows: Sequence[arms.Row], made: Mapping[str, Material]) -> Iterator[dict[str, Any]]:
    """Yield, for each set and size, accuracy of auto less each other arm's in points, and its minutes."""
    where = {(row["set"], row["labels"], row["arm"]): row for row in rows}
    for (name, count, arm), row in where.items():
        auto = where.get((name, count, AUTO))
        if auto is None:
            continue
        if arm == AUTO:
            minutes = round(row["cpu_over_cores"] / 60, 2)
            yield {
                "name": f"{name}, {count:,} labels: minutes of auto", "value": minutes, "at_most": MINUTES * TOLERANCE,
            }  # fmt: skip
            continue
        hits = [np.array([[float(hit) for hit in each["right"]]]) for each in (row, auto)]
        found = paired_difference(*hits).difference
        yield {
            "name": f"{name}, {count:,} labels: auto less {arm}, points of accuracy, upper end",
            "value": round(100 * found.high, 2), "at_least": 0.0,
            "range": f"{100 * found.value:+.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]",
            "set": name, "labels": count, "test": len(made[name].test),
        }  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
