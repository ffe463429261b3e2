"""What static students keep of the accuracy of MiniLM, which taught them on the pile, and how many tweets a second they read.

    python benchmarks/distil.py DIR [--sets hahackathon ag_news imdb] [--splits 3] [--texts 10000] [--tests 2000]

DIR holds imdb, ag_news, hahackathon and tweeteval/emotion as JSON lines. In each split the teacher, MiniLM under finetune auto,
learns 64 rows a label, and labels texts of the pile: those of the unlabelled file and of all other training rows, without their
labels. Two students learn these labels, by words (skip-gram on the pile) and by n-grams; beside them word vectors learn the
labelled rows alone. All are scored on the same test rows. The speed is that of word vectors on 200,000 tweets, by `nlptl
predict` from file to file and by predict_proba. Each split is kept in runs/benchmarks/distil.jsonl, and the labels of its pile
as they come, so that an interrupted benchmark goes on. Writes benchmarks/results/distil.json. About seventy minutes on two cores.
"""

from __future__ import annotations

import csv
import itertools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import arms
import numpy as np
from fewshot_sets import not_in, shots_of
from results import write_result
from texts import Rows, read_rows, sample, weights_folder

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.evaluation.intervals import hierarchical_mean, paired_difference
from nlptl.models.classifier import TextClassifier
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.distil import Distil
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram

SETS = {
    "hahackathon": ("tweets", True),
    "ag_news": ("plain", False),
    "imdb": ("plain", True),
}  # preset, unlabelled file
SPLITS, SHOTS, TWEETS, SPEED_RUNS = 3, 64, 200_000, 5
TARGET = 100_000.0  # tweets a second
TEACHER, ALONE = "MiniLM, finetune auto (teacher)", "word vectors, labels alone"
STUDENTS: dict[str, dict[str, Any]] = {
    "word vectors, distilled": {"kind": "skipgram"},
    "n-grams, distilled": {"kind": "ngrams"},
}


def main(argv: Sequence[str]) -> Path:
    parser = arms.arguments(__doc__)
    parser.add_argument("--sets", nargs="+", choices=[*SETS], default=[*SETS])
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--texts", type=int, default=10_000, help="of the pile, that the teacher labels")
    parser.add_argument("--tests", type=int, default=2_000, help="test rows, the same in all splits")
    parser.add_argument("--out", type=Path, help="folder of the result, in place of benchmarks/results")
    options = parser.parse_args(argv)
    arms.device_of(options.device)
    arms.begin("Two to four minutes a split of hahackathon and ag_news, fourteen of imdb.")
    scratch = arms.SCRATCH / ("distil-tiny" if options.tiny else "distil")
    settings = {name: value for name, value in vars(options).items() if name not in ("sets", "splits", "out")}
    kept = arms.Kept("distil-tiny" if options.tiny else "distil", {**settings, "folder": str(options.folder)})
    for name, split in itertools.product(options.sets, range(options.splits)):
        if kept.find(name, split) is None:
            kept.add(measured(name, split, options, scratch / f"{name}-{split}"), name, split)
    if kept.find("speed") is None:
        kept.add(speed(options, scratch / "speed"), "speed")
    rows = [kept.find(*key) for key in [*itertools.product(options.sets, range(options.splits)), ("speed",)]]
    found = [row for row in rows if row]
    for line in told(found):
        print(line)
    restricted = [] if options.splits == SPLITS else ["--splits", str(options.splits)]
    everything = [*map(without_hits, found), *({"summary": line} for line in told(found))]
    path = write_result(
        "distil", command=["python", "benchmarks/distil.py", "DIR", *restricted], seeds=[*range(options.splits)],
        rows=everything, bars=bars(found), packages=[*arms.PACKAGES[:3], "scipy", "numpy"],
        folder=scratch / "results" if options.tiny and options.out is None else options.out,
    )  # fmt: skip
    kept.remove()
    return path


def measured(name: str, split: int, options: Any, scratch: Path) -> dict[str, Any]:
    """Return what each arm gets right of the same test rows, in one split."""
    preset, has_pile = SETS[name]
    test = sample(read_rows(options.folder, name, "test"), options.tests, seed=0)
    train = not_in(read_rows(options.folder, name, "train"), test)
    labelled = shots_of(train, 8 if options.tiny else SHOTS, split)
    rest = not_in(train, labelled)
    pile = rest.texts() + (not_in(read_rows(options.folder, name, "unlabelled"), test).texts() if has_pile else [])
    data = TextData(unlabelled=pile, labelled=(labelled.texts(), labelled.labels()), test=(test.texts(), test.labels()))
    weights, what = weights_folder(options.weights, pile, scratch=scratch, tiny=options.tiny)
    device = "cpu" if options.device == "auto" else options.device
    context = RunContext(
        seed=split, device=device, checkpoint_folder=scratch / "checkpoints", run_identity=f"{name}/{split}"
    )
    teacher = taught(data, weights, context)
    vectors = {**({"dim": 16, "epochs": 2, "min_count": 1} if options.tiny else {}), "text": {"preset": preset}}
    found: dict[str, Any] = {"set": name, "split": split, "pile": len(pile), "teacher": what, "arms": {}}
    for arm, student in STUDENTS.items():
        one = RunContext(
            seed=split, device=device, checkpoint_folder=context.checkpoint_folder, run_identity=f"{name}/{split}"
        )
        given = {**student, **(vectors if student["kind"] == "skipgram" else {})}
        stage = Distil(student=given, texts=options.texts)
        began = time.perf_counter()
        classifier = stage.run(teacher, data=data, context=one)
        report = one.record.report["distil"]
        found["arms"][arm] = scored(classifier, test, seconds=time.perf_counter() - began, report=report)
    found["arms"][TEACHER] = scored(teacher, test)
    found["arms"][ALONE] = scored(alone(data, vectors, context), test)
    shutil.rmtree(scratch / "checkpoints", ignore_errors=True)
    print(name, split, {arm: round(float(np.mean(one["hits"])), 3) for arm, one in found["arms"].items()}, flush=True)
    return found


def taught(data: TextData, weights: Path, context: RunContext) -> TextClassifier:
    """Return the teacher, which is kept until its split is done."""
    place = context.checkpoint_folder.parent / "teacher" if context.checkpoint_folder else None
    if place is not None and place.is_dir():
        return TextClassifier.load(place)
    few = TextData(labelled=data.labelled)  # the pile teaches the student alone
    encoder = Bert(weights=str(weights)).run(None, data=few, context=context)
    given = ClassificationHead().run(encoder, data=few, context=context)
    made = FineTune(update={"method": "auto"}).run(given, data=few, context=context)
    if place is not None:
        made.save(place)
    return made


def alone(data: TextData, vectors: dict[str, Any], context: RunContext) -> TextClassifier:
    """Return word vectors of the same pile under a head that learns the labelled rows."""
    encoder = SentenceVectors().run(
        SkipGram(**vectors).run(None, data=data, context=context), data=data, context=context
    )
    few = TextData(labelled=data.labelled)
    given = ClassificationHead().run(encoder, data=few, context=context)
    return FineTune(update={"method": "auto"}).run(given, data=few, context=context)


def scored(classifier: TextClassifier, test: Rows, **more: Any) -> dict[str, Any]:
    predicted = classifier.labels_of(classifier.probabilities(test.texts()))
    return {"hits": [int(one == label) for one, label in zip(predicted, test.labels(), strict=True)], **more}


def speed(options: Any, scratch: Path) -> dict[str, Any]:
    """Return tweets a second of word vectors, by the command and in Python, in turn."""
    rows = read_rows(options.folder, "tweeteval/emotion", "train")
    data = TextData(unlabelled=rows.texts(), labelled=(rows.texts(), rows.labels()))
    context = RunContext(seed=0, device="cpu")
    vectors = SkipGram(min_count=2, epochs=2, text={"preset": "tweets"}).run(None, data=data, context=context)
    head = ClassificationHead().run(
        SentenceVectors().run(vectors, data=data, context=context), data=data, context=context
    )
    classifier = FineTune(update={"method": "head", "solver": "logistic"}).run(head, data=data, context=context)
    shutil.rmtree(scratch, ignore_errors=True)
    classifier.save(scratch / "classifier")
    tweets = [*itertools.islice(itertools.cycle(rows.texts()), 2_000 if options.tiny else TWEETS)]
    with (scratch / "tweets.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([tweet] for tweet in tweets)])
    found: dict[str, list[float]] = {"predict": [], "of which start": [], "predict_proba": []}
    for _ in range(SPEED_RUNS):
        found["predict"].append(command(scratch, "--file", "tweets.csv", "--out", "out.csv", "--force"))
        found["of which start"].append(command(scratch, tweets[0]))
        fresh = TextClassifier.load(scratch / "classifier")
        begin = time.perf_counter()
        fresh.predict_proba(tweets)
        found["predict_proba"].append(time.perf_counter() - begin)
    shutil.rmtree(scratch)
    return {"tweets": len(tweets), "distinct": len(set(tweets)), "seconds": found}


def command(folder: Path, *arguments: str) -> float:
    """Return the seconds of `nlptl predict`, its start included."""
    begin = time.perf_counter()
    words = [sys.executable, "-m", "nlptl", "predict", "classifier", *arguments, "--quiet"]
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def bars(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the promises of speed, medians and ranges; what is kept of the accuracy is reported as it comes."""
    (row,) = (row for row in rows if "seconds" in row)
    seconds = {name: np.array(values) for name, values in row["seconds"].items()}
    found = {
        "tweets/s by predict without its start": seconds["predict"] - seconds["of which start"],
        "tweets/s by predict_proba": seconds["predict_proba"],
    }
    return [
        {"name": name, "value": round(row["tweets"] / float(np.median(one))), "at_least": TARGET,
         "range": [round(row["tweets"] / float(one.max())), round(row["tweets"] / float(one.min()))]}
        for name, one in found.items()
    ]  # fmt: skip


def told(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return each arm's accuracy and what it keeps of the teacher's, over the splits of each set."""
    lines = []
    for name in dict.fromkeys(row["set"] for row in rows if "set" in row):
        of_set = [row["arms"] for row in rows if row.get("set") == name]
        teacher = np.array([row[TEACHER]["hits"] for row in of_set], dtype=float)
        for arm in of_set[0]:
            own = np.array([row[arm]["hits"] for row in of_set], dtype=float)
            difference = paired_difference(teacher, own, seed=0).difference
            share = own.mean() / max(teacher.mean(), 1e-9)
            lines.append(
                f"{name}: {arm}: {hierarchical_mean(own, seed=0)}, {difference} beside the teacher, {share:.1%} of it"
            )
    return lines


def without_hits(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with accuracies in place of single hits."""
    if "arms" not in row:
        return row
    plain = {
        arm: {"accuracy": float(np.mean(one["hits"])), **{key: value for key, value in one.items() if key != "hits"}}
        for arm, one in row["arms"].items()
    }
    return {**row, "arms": plain}


if __name__ == "__main__":
    print(json.dumps(str(main(sys.argv[1:]))))
