"""What practices of transfer learning bring on data/tweets, one change at a time; docs/ideas.md quotes it.

    python benchmarks/ideas.py [--kept]

Each draw takes 8 posts a label of data/tweets/train.csv and scores the other training posts; the test posts are never read.
All arms of a draw learn the same posts over MiniLM with the same seed, and each idea is an arm beside another one that differs
by one setting. Everything that learns by gradient passes over its posts ten times, in steps of eight. Two arms learn a rare
label, from 12, 10 and 2 posts. The pile of continued pretraining and of distillation is all training posts without labels, so
the scored ones are in it. Intervals are 95 %, by resampling draws and posts together. Seconds are those of the processor.
Arms that leave the encoder as it is have more draws, since they cost little. Each run is kept in runs/benchmarks/ideas.jsonl,
so that an interrupted benchmark goes on; --kept writes what is kept and trains nothing. An idea of fewer than three draws has no
figure. Writes benchmarks/results/ideas.json; about six minutes of one core.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arms
import numpy as np
from numpy.typing import NDArray
from results import write_result

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.evaluation.intervals import hierarchical_mean, paired_difference
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.distil import Distil
from nlptl.stages.finetune import FineTune

DATA = arms.ROOT / "data"
NAME = "ideas"
FEW = {"humorous": 8, "neither": 8, "offensive": 8}
RARE = {"humorous": 12, "neither": 10, "offensive": 2}
STEPS = {"epochs": 10, "batch_size": 8}
FULL = {"method": "full", **STEPS}
ALTERED = [{"kind": "word_dropout"}, {"kind": "typos"}]
UPDATES: dict[str, dict[str, Any]] = {
    "words": {"method": "words"},
    "head": {"method": "head", "solver": "logistic"},
    "head, iterative": {"method": "head"},
    "partial": {"method": "partial", **STEPS},
    "full": FULL,
    "full, one rate": {**FULL, "layer_decay": 1.0},
    "full, gradual unfreezing": {**FULL, "gradual_unfreezing": True},
    "full, no warm-up": {**FULL, "warmup": 0.0},
    "full, no dropout": {**FULL, "dropout": 0.0},
    "full, label smoothing": {**FULL, "label_smoothing": 0.1},
    "lora": {"method": "lora", **STEPS},
    "contrastive": {"method": "contrastive"},
    "contrastive, altered posts": {"method": "contrastive", "augment": ALTERED},
    "partial, chosen epochs": {"method": "partial"},
}
WEIGHED: dict[str, dict[str, Any]] = {
    "rare label": {"method": "head"},
    "rare label, balanced": {"method": "head", "label_weights": "balanced"},
}
FROM_REVIEWS, CONTINUED, DISTILLED, MEAN = "head, from film reviews", "head, continued", "distilled", "head and full"
FROZEN = ("words", "head", "head, iterative", *WEIGHED, FROM_REVIEWS, CONTINUED, DISTILLED)
FROZEN_DRAWS, DRAWS = 6, 3
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Idea:
    """An arm set beside another one."""

    name: str
    arm: str
    beside: str
    measure: str = "accuracy"


IDEAS = (
    Idea("frozen encoder with a new head less words alone", "head", "words"),
    Idea("two top layers less the head alone", "partial", "head"),
    Idea("all layers less the head alone", "full", "head"),
    Idea("contrastive training less the head alone", "contrastive", "head"),
    Idea("LoRA less all layers", "lora", "full"),
    Idea("rates that fall by layer less one rate", "full", "full, one rate"),
    Idea("gradual unfreezing less all layers at once", "full, gradual unfreezing", "full"),
    Idea("warm-up less none", "full", "full, no warm-up"),
    Idea("dropout less none", "full", "full, no dropout"),
    Idea("label smoothing less none", "full, label smoothing", "full"),
    Idea("label smoothing less none: log-loss", "full, label smoothing", "full", "log-loss"),
    Idea("epochs chosen by held-out posts less ten epochs", "partial, chosen epochs", "partial"),
    Idea("altered posts less none", "contrastive, altered posts", "contrastive"),
    Idea("mean of head and all layers less all layers", MEAN, "full"),
    Idea("calibrated head less iterative head: log-loss", "head", "head, iterative", "log-loss"),
    Idea("balanced weights less none: recall of the rare label", "rare label, balanced", "rare label", "recall"),
    Idea("balanced weights less none: accuracy", "rare label, balanced", "rare label"),
    Idea("encoder from film reviews less as it came", FROM_REVIEWS, "head"),
    Idea("encoder continued on the pile less as it came", CONTINUED, "head"),
    Idea("distilled word vectors less their teacher", DISTILLED, "head"),
)


@dataclass(frozen=True)
class Draw:
    """Posts that are learnt and posts that are scored."""

    number: int
    texts: list[str]
    labels: list[str]
    scored: list[str]
    truth: list[str]


def main(argv: Sequence[str]) -> Path:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", choices=every_arm(), default=every_arm(), help="to try the script out")
    parser.add_argument("--kept", action="store_true", help="train nothing")
    parser.add_argument("--weights", default="minilm")
    options = parser.parse_args(argv)
    arms.device_of("cpu")
    kept = arms.Kept(NAME, {"weights": options.weights})
    encoders = Encoders(options.weights)
    if not options.kept:
        for arm, number in runs(options.arms):
            measure(arm, number, kept, encoders)
    rows = [row for arm, number in runs(options.arms) if (row := kept.find(arm, number)) is not None]
    path = write_result(
        NAME,
        command="python benchmarks/ideas.py" + " --kept" * options.kept,
        seeds=range(FROZEN_DRAWS),
        rows=[{key: value for key, value in row.items() if key not in ("probabilities", "truth")} for row in rows],
        bars=list(bars(rows)),
        packages=arms.installed(),
    )
    if len(rows) == len(runs(every_arm())):
        kept.remove()
    return path


def runs(names: Sequence[str]) -> list[tuple[str, int]]:
    """Return arms and draws, those that cost little first."""
    every = itertools.product(names, range(FROZEN_DRAWS))
    wanted = [(arm, number) for arm, number in every if arm in FROZEN or number < DRAWS]
    return sorted(wanted, key=lambda run: run[0] not in FROZEN)


def every_arm() -> list[str]:
    """Return the arms that are trained."""
    return [*UPDATES, *WEIGHED, FROM_REVIEWS, CONTINUED, DISTILLED]


def posts(name: str) -> list[tuple[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def draw_posts(number: int, wanted: Mapping[str, int]) -> Draw:
    """Return the posts of a draw; the same for the same number and counts."""
    rows = posts("tweets/train.csv")
    taken: set[int] = set()
    order = [int(place) for place in np.random.default_rng(number).permutation(len(rows))]
    for label, count in wanted.items():
        taken.update([place for place in order if rows[place][1] == label][:count])
    learnt, scored = ([rows[place] for place in order if (place in taken) == side] for side in (True, False))
    return Draw(number, *(list(column) for pairs in (learnt, scored) for column in zip(*pairs, strict=True)))


class Encoders:
    """The encoder as it came, trained on the reviews, and continued on the pile; each is made when first asked for."""

    def __init__(self, weights: str) -> None:
        self._weights = weights
        self._made: dict[str, Encoder] = {}

    def of(self, arm: str) -> Encoder:
        make: dict[str, Callable[[], Encoder]] = {FROM_REVIEWS: self._from_reviews, CONTINUED: self._continued}
        name = arm if arm in make else ""
        if name not in self._made:
            self._made[name] = make.get(name, self._as_it_came)()
        return self._made[name]

    def _as_it_came(self) -> Encoder:
        return Bert(weights=self._weights).run(data=TextData(), context=context(0))

    def _continued(self) -> Encoder:
        pile = TextData(unlabelled=[text for text, _ in posts("tweets/train.csv")])
        stage = Bert(weights=self._weights, **{"continue": {"objective": "tsdae", "epochs": 2}})
        return stage.run(data=pile, context=context(0))

    def _from_reviews(self) -> Encoder:
        texts, labels = zip(*posts("reviews/held_out.csv"), strict=True)
        data = TextData(labelled=(list(texts), list(labels)))
        head = ClassificationHead().run(self.of(""), data=data, context=context(0))
        update = {"method": "full", "epochs": 2}
        return FineTune(update=update).run(head, data=data, context=context(0)).encoder


def context(seed: int) -> RunContext:
    return RunContext(seed=seed, device="cpu")


def measure(arm: str, number: int, kept: arms.Kept, encoders: Encoders) -> None:
    """Train an arm on a draw and keep what it reaches, unless that is kept."""
    if kept.find(arm, number) is not None:
        return
    draw = draw_posts(number, RARE if arm in WEIGHED else FEW)
    encoder = encoders.of(arm)
    begin = time.process_time()
    classifier = trained(arm, encoder, draw)
    seconds = time.process_time() - begin
    row = {"arm": arm, "draw": number, "cpu_seconds": round(seconds, 2), **scores(classifier, draw)}
    kept.add(row, arm, number)
    print(f"draw {number}, {arm}: {row['accuracy']:.3f}", flush=True)


def trained(arm: str, encoder: Encoder, draw: Draw) -> TextClassifier:
    data = TextData(labelled=(draw.texts, draw.labels), unlabelled=[text for text, _ in posts("tweets/train.csv")])
    few = TextData(labelled=(draw.texts, draw.labels))
    update = {**UPDATES, **WEIGHED}.get(arm, UPDATES["head"])
    given = ClassificationHead().run(encoder, data=few, context=context(draw.number))
    found = FineTune(update=update).run(given, data=few, context=context(draw.number))
    if arm != DISTILLED:
        return found
    student = {"kind": "skipgram", "window": 40, "min_count": 1, "text": {"preset": "tweets"}}
    return Distil(student=student).run(found, data=data, context=context(draw.number))


def scores(classifier: TextClassifier, draw: Draw) -> arms.Row:
    found = np.asarray(classifier.predict_proba(draw.scored), float)
    truth = [classifier.labels.index(label) for label in draw.truth]
    hits = found.argmax(axis=1) == truth
    log_loss = -np.log(np.maximum(found[range(len(truth)), truth], 1e-12)).mean()
    return {
        "accuracy": round(float(hits.mean()), 5),
        "log_loss": round(float(log_loss), 5),
        "probabilities": found.round(5).tolist(),
        "truth": truth,
    }


def bars(rows: Sequence[arms.Row]) -> list[arms.Row]:
    """Return the difference of each idea whose two arms ran, in points; log-loss as it is."""
    by_arm: dict[str, dict[int, arms.Row]] = {}
    for row in rows:
        by_arm.setdefault(row["arm"], {})[row["draw"]] = row
    if {"head", "full"} <= by_arm.keys():
        both = by_arm["head"].keys() & by_arm["full"].keys()
        by_arm[MEAN] = {number: mean_of(by_arm["head"][number], by_arm["full"][number]) for number in both}
    return [
        bar(idea, by_arm)
        for idea in IDEAS
        if len(by_arm.get(idea.arm, {}).keys() & by_arm.get(idea.beside, {}).keys()) >= DRAWS
    ]


def mean_of(first: arms.Row, second: arms.Row) -> arms.Row:
    """Return a run whose probabilities are the means of two; its seconds are those of both."""
    means = (np.array(first["probabilities"]) + np.array(second["probabilities"])) / 2
    seconds = round(first["cpu_seconds"] + second["cpu_seconds"], 2)
    return {**first, "probabilities": means.tolist(), "cpu_seconds": seconds}


def bar(idea: Idea, by_arm: Mapping[str, Mapping[int, arms.Row]]) -> arms.Row:
    """Return the difference over the draws that both arms have."""
    draws = sorted(by_arm[idea.arm].keys() & by_arm[idea.beside].keys())
    before, after = (
        [by_text(by_arm[arm][number], idea.measure) for number in draws] for arm in (idea.beside, idea.arm)
    )
    found = paired_difference(before, after, seed=0)
    digits = 3 if idea.measure == "log-loss" else 1
    value, low, high = (
        round(number, digits) for number in (found.difference.value, found.difference.low, found.difference.high)
    )
    return {
        "name": idea.name,
        "value": value,
        "range": f"{value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]",
        "arms": {idea.beside: told(before, digits), idea.arm: told(after, digits)},
        "cpu_seconds": {
            arm: round(float(np.median([by_arm[arm][number]["cpu_seconds"] for number in draws])), 2)
            for arm in (idea.beside, idea.arm)
        },
        "draws": len(draws),
        "scored": len(after[0]),
    }


def told(values: Sequence[Floats], digits: int) -> str:
    found = hierarchical_mean(values, seed=0)
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def by_text(row: arms.Row, measure: str) -> Floats:
    """Return a number for each scored post: 100 where it is right, or its log-loss; for recall those of the rare label."""
    found, truth = np.array(row["probabilities"]), np.array(row["truth"])
    if measure == "log-loss":
        return -np.log(np.maximum(found[range(len(truth)), truth], 1e-12))
    hits = 100.0 * (found.argmax(axis=1) == truth)
    return hits[truth == sorted(RARE).index("offensive")] if measure == "recall" else hits


if __name__ == "__main__":
    main(sys.argv[1:])
