"""The predictions of every pipeline, to tell whether a change of the code changes a result.

    python benchmarks/predictions.py OUT.json

Runs each file under pipelines/ at its own seed, without its comparison, in a temporary folder, on one thread of the CPU.
OUT.json holds the probabilities that the last classifier gives the test texts, those of `compare.tests` among them.
`auto` gets more minutes than it can use, so that no choice depends on the clock. It takes about four minutes.

    python benchmarks/predictions.py --compare BEFORE.json AFTER.json

prints for each pipeline the largest difference of a probability and how many labels differ. It fails if any label does.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
MINUTES = 100_000  # far more than any choice takes
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
Prediction = dict[str, Any]
"""Of one pipeline: "labels" (K,), and "probabilities" (n, K), rounded, of n texts."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, metavar="OUT.json", help="The file to write.")
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar="JSON", help="Compare two such files, and run nothing."
    )
    asked = parser.parse_args(arguments)
    if (asked.out is None) == (asked.compare is None):
        parser.error("give either OUT.json, to run the pipelines, or --compare with two files")
    if asked.compare is not None:
        before, after = (json.loads(path.read_text(encoding="utf-8")) for path in asked.compare)
        raise SystemExit(compared(before, after))
    out = asked.out.resolve()
    os.environ.update(dict.fromkeys(THREADS, "1"))  # these are read when numpy, torch and numba load, which is later
    os.environ.update({"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"})
    os.chdir(ROOT)  # the pipelines name their data from here
    found = {path.stem: predicted(path) for path in sorted(Path("pipelines").glob("*.yaml"))}
    out.write_text(json.dumps(found) + "\n", encoding="utf-8")


def predicted(path: Path) -> Prediction:
    """Run the pipeline of a file and return what its last classifier says of its test texts."""
    import torch

    from nlptl import Pipeline, TextClassifier

    torch.set_num_threads(1)
    begin = time.perf_counter()
    texts = test_texts(yaml.safe_load(path.read_text(encoding="utf-8")), folder=path.parent)
    with tempfile.TemporaryDirectory() as folder:
        Pipeline.from_yaml(path, assignments=assignments(path)).run(Path(folder) / path.stem)
        stages = (Path(folder) / path.stem).glob("[0-9]*-*")  # 1-bert, 2-classification_head, ...
        classifier = TextClassifier.load(max(stages, key=lambda stage: int(stage.name.partition("-")[0])))
        probabilities = classifier.predict_proba(texts)
    print(f"{path.stem}: {len(texts)} texts, {time.perf_counter() - begin:.0f} s", flush=True)
    return {"labels": list(classifier.labels), "probabilities": probabilities.round(6).tolist()}


def assignments(path: Path) -> list[str]:
    """Return what is changed of a pipeline file: it compares nothing, and `auto` need not hurry."""
    stages = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
    hurried = [number for number, stage in enumerate(stages) if stage.get("update", {}).get("method") == "auto"]
    return ["compare=null", *(f"stages.{number}.update.minutes={MINUTES}" for number in hurried)]


def test_texts(raw: Mapping[str, Any], *, folder: Path) -> list[str]:
    """Return the texts that the pipeline file `raw` in `folder` is tested on, once each."""
    files = {raw["data"]["test"], *raw.get("compare", {}).get("tests", {}).values()}
    texts: dict[str, None] = {}
    for file in sorted(files):
        with (folder / file).open(encoding="utf-8", newline="") as lines:
            texts.update(dict.fromkeys(row["text"] for row in csv.DictReader(lines)))
    return list(texts)


def compared(before: Mapping[str, Prediction], after: Mapping[str, Prediction]) -> int:
    """Print how far the predictions are apart; returns 1 where a label differs or cannot be compared, else 0."""
    failed = False
    for name in sorted({*before, *after}):
        told, differs = difference(before.get(name), after.get(name))
        print(f"{name}: {told}")
        failed = failed or differs
    return int(failed)


def difference(before: Prediction | None, after: Prediction | None) -> tuple[str, bool]:
    """Tell how far the predictions of one pipeline are apart, and whether any label differs or cannot be compared."""
    import numpy as np

    if before is None or after is None:
        return f"only in the {'second' if before is None else 'first'} file", True
    first, second = (np.asarray(one["probabilities"]) for one in (before, after))
    if before["labels"] != after["labels"] or first.shape != second.shape:
        return f"{first.shape} and {second.shape} probabilities of {before['labels']} and {after['labels']}", True
    labels = int((first.argmax(axis=1) != second.argmax(axis=1)).sum())
    return f"largest difference {abs(first - second).max():.6f}, {labels} of {len(first)} labels differ", labels > 0


if __name__ == "__main__":
    main()
