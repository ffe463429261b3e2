"""What continuing on an unlabelled pile brings: 100 labels of imdb on the encoder as it came, and trained on.

    python benchmarks/imdb_continue.py DIR [--texts 1500] [--device auto|cpu|cuda]

DIR holds imdb as JSON lines. The stage bert continues once, with the objective that it chooses for these weights and one
pass over --texts of the unlabelled rows, cut at 128 tokens; else at its defaults. Then, on ten splits of 50 training
rows a label (the same for both arms), the stage finetune fits a head at its defaults on either encoder. The test is
1,000 of imdb's test rows, none of which stands in its training or unlabelled rows. Nothing is promised: the result is
reported as it comes. The interval covers the luck of the split and of the test rows, not that of the continuation.
An interrupted run goes on, in the middle of the continuation too; --fresh begins again. Where nlptl is not installed:
PYTHONPATH=. python benchmarks/imdb_continue.py …. Writes benchmarks/results/imdb-continue.json (…-cuda.json on a GPU).
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arms
import numpy as np
from texts import IMDB, Parts, Rows, label_names, plain, read_rows, sample, weights_folder

from nlptl.context import RunContext
from nlptl.evaluation.intervals import hierarchical_mean, paired_difference
from nlptl.models.encoder import Encoder
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune

SPLITS = range(10)
SHOTS = 50  # a label
TEST = 1000
LONGEST = 128
SEED = 13  # of the continuation
AS_IT_CAME, CONTINUED = "as it came", "continued"


@dataclass(frozen=True)
class Size:
    """How much is read and tested."""

    texts: int
    shots: int
    test: int
    splits: Sequence[int]
    longest: int


def main(argv: Sequence[str]) -> Path:
    parser = arms.arguments(
        __doc__,
        texts={"type": int, "default": 1500},
        fresh={"action": "store_true", "help": "drop what is kept of an interrupted run"},
    )
    options = parser.parse_args(argv)
    device = arms.device_of(options.device)
    size = Size(40, 4, 12, range(2), 32) if options.tiny else Size(options.texts, SHOTS, TEST, SPLITS, LONGEST)
    arms.begin(f"about {5 + round(options.texts / 200)} minutes on two quiet cores")
    train, pile, test = material(options.folder, size)
    folder, weights = weights_folder(options.weights, pile.texts(), scratch=arms.SCRATCH, tiny=options.tiny)
    about = {"weights": weights, "device": arms.device_name(device)}
    scratch = arms.SCRATCH / f"imdb-continue{'-tiny' if options.tiny else ''}"
    if options.fresh and scratch.exists():
        shutil.rmtree(scratch)
    encoders = {
        AS_IT_CAME: Bert(weights=str(folder), max_length=size.longest).run(data=Parts(), context=context(device)),
        CONTINUED: continued(folder, pile, size, device, scratch, about),
    }
    story = json.loads((scratch / "continue.json").read_text(encoding="utf-8"))
    print(f"continued: {story['sentence']}", flush=True)
    kept = arms.Kept(scratch.name, {"texts": size.texts, "longest": size.longest, **about, "story": story})
    hits = measure(encoders, train, test, size, device, kept)
    rows = [
        {"arm": arm, "split": split, "accuracy": round(float(np.mean(found)), 5), **about}
        for arm, by_split in hits.items()
        for split, found in zip(size.splits, by_split, strict=True)
    ]
    path = arms.publish(
        arms.result_name("imdb-continue", device),
        tiny=options.tiny,
        command="python benchmarks/imdb_continue.py DIR",
        seeds=[SEED, *size.splits],
        rows=[{"arm": "continuation", "texts": size.texts, **story, **about}, *rows],
        bars=[bar(hits, size)],
    )
    kept.remove()
    shutil.rmtree(scratch)
    return path


def context(device: Any, seed: int = SEED, **more: Any) -> RunContext:
    return RunContext(seed=seed, device=device, **more)


def material(folder: Path, size: Size) -> tuple[Rows, Rows, Rows]:
    """Return training rows, the pile, and test rows that stand in neither."""
    train, pile, test = (read_rows(folder, IMDB, part) for part in ("train", "unlabelled", "test"))
    seen = {plain(text) for rows in (train, pile) for text in rows.texts()}
    new = test.select([number for number, text in enumerate(test.texts()) if plain(text) not in seen])
    print(f"{len(test) - len(new)} test rows stand in the training or unlabelled rows and are left out", flush=True)
    return train, sample(pile, size.texts, seed=0), sample(new, size.test, seed=0)


def continued(folder: Path, pile: Rows, size: Size, device: str, scratch: Path, about: arms.Row) -> Encoder:
    """Return the encoder that was trained on, by an interrupted run if it came so far; its story stands beside it."""
    identity = json.dumps([str(folder), size.texts, size.longest, about])
    if (scratch / "encoder").is_dir() and (scratch / "identity").read_text(encoding="utf-8") == identity:
        return Encoder.load(scratch / "encoder")
    settings: Any = {"objective": "auto", "epochs": 1}
    stage = Bert(weights=str(folder), max_length=size.longest, include_labelled=False, **{"continue": settings})
    running = context(device, checkpoint_folder=scratch / "checkpoints", run_identity=identity)
    begin = time.perf_counter()
    encoder = stage.run(data=Parts(unlabelled=pile), context=running)  # type: ignore[arg-type]
    story = {**running.record.report["continue"], "stage_seconds": round(time.perf_counter() - begin, 1)}
    story["sentence"] = running.record.sentences[-1]
    shutil.rmtree(scratch / "encoder", ignore_errors=True)
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / "continue.json").write_text(json.dumps(story), encoding="utf-8")
    (scratch / "identity").write_text(identity, encoding="utf-8")
    encoder.save(scratch / "encoder")
    return encoder


def measure(
    encoders: dict[str, Encoder], train: Rows, test: Rows, size: Size, device: str, kept: arms.Kept
) -> dict[str, list[list[int]]]:
    """Return right (1) or wrong (0) of each test row, for each arm and split."""
    hits: dict[str, list[list[int]]] = {arm: [] for arm in encoders}
    names = label_names(train)
    for arm, encoder in encoders.items():
        missing = [split for split in size.splits if kept.find(arm, split) is None]
        vectors = encoder.encode(test.texts()) if missing else np.zeros(0)  # they serve all splits: the encoder stays
        for split in size.splits:
            if split in missing:
                found = right(encoder, vectors, few(train, names, size.shots, split), test, names, split, device)
                kept.add({"hits": found}, arm, split)
                print(f"{arm}, split {split}: accuracy {np.mean(found):.3f}", flush=True)
            row = kept.find(arm, split)
            hits[arm].append(row["hits"] if row else [])
    return hits


def few(train: Rows, names: Sequence[str], shots: int, split: int) -> Rows:
    """Return `shots` rows of each label, drawn by the split's number."""
    drawn = random.Random(split)
    labels = train.labels()
    chosen = [
        row
        for name in names
        for row in drawn.sample([number for number, label in enumerate(labels) if label == name], shots)
    ]
    return train.select(sorted(chosen))


def right(
    encoder: Encoder, vectors: np.ndarray, labelled: Rows, test: Rows, names: tuple[str, ...], split: int, device: str
) -> list[int]:
    import torch

    data: Any = Parts(names=names, labelled=labelled)
    running = context(device, seed=split)
    given = ClassificationHead().run(encoder, data=data, context=running)
    trained = FineTune(update={"method": "head"}).run(given, data=data, context=running)  # type: ignore[arg-type]
    with torch.inference_mode():  # the encoder has not moved: its vectors of the test are at hand
        ids = trained.head(torch.from_numpy(vectors).to(trained.head.centre.device)).argmax(dim=1).tolist()
    return [int(names[guess] == label) for guess, label in zip(ids, test.labels(), strict=True)]


def bar(hits: dict[str, list[list[int]]], size: Size) -> arms.Row:
    before, after = (np.array(hits[arm], dtype=float) for arm in (AS_IT_CAME, CONTINUED))
    found = paired_difference(before, after, seed=0)
    return {
        "name": f"imdb, {2 * size.shots} labels: accuracy after continuing less that before",
        "value": round(found.difference.value, 5),
        "range": str(found.difference),
        "ours": str(hierarchical_mean(after, seed=0)),
        "peer": str(hierarchical_mean(before, seed=0)),
        "better_equal_worse": [found.wins, found.ties, found.losses],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
