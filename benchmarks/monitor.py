"""Whether `nlptl monitor` estimates the accuracy on another domain, and stays silent where nothing has changed.

    python benchmarks/monitor.py DIR

DIR holds amazon_mdsd, imdb and cr as JSON lines. The classifier is a linear head over frozen MiniLM vectors, made by the stage
finetune from rows of one domain; it is watched on up to 1,000 rows of each other one, and on 17 samples of 200 further rows of its
own, for each of three amounts of labels. The truth is counted by the rows' labels. The bar is over the 12 pairs of
Amazon's domains and both ways between imdb and cr. Development used other sets: see nlptl/evaluation/unlabelled_accuracy.py.
Vectors are kept in runs/benchmarks/monitor-vectors. Where nlptl is not installed: PYTHONPATH=. python benchmarks/monitor.py ….
Writes benchmarks/results/monitor.json.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arms
import numpy as np
import torch
from abstain import KeptVectors
from encoder_vectors import opened
from fewshot_sets import shots_of
from monitor_sets import AMAZON, DOMAINS, Domain, domain_of
from texts import Parts, Rows

from nlptl.context import RunContext
from nlptl.evaluation.unlabelled_accuracy import estimated_accuracy
from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head
from nlptl.runs.monitoring.monitoring import NewTexts, watched
from nlptl.runs.monitoring.outcome import MonitorResult
from nlptl.runs.monitoring.reference import Answers, Reference, left_out_answers
from nlptl.stages.finetune import FineTune

SEED, SAMPLES, SAMPLE, FEW = 0, 17, 200, 200
NAMES = ("negative", "positive")
WITHIN, SHARE, FALSE_ALARMS = 0.03, 0.9, 0.05
NAMED = {*((one, other) for one in AMAZON for other in AMAZON if one != other), ("imdb", "cr"), ("cr", "imdb")}


@dataclass(frozen=True)
class Labels:
    """How many labelled rows of its domain a classifier has."""

    name: str
    each: int  # to learn from, of each label
    tested: int  # that it is tested on


AMOUNTS = (
    Labels("64 each", 64, 0), Labels("64 each, 500 in a test", 64, 500), Labels("300 each", 300, 0),
)  # fmt: skip
TINY = (Labels("8 each", 8, 0), Labels("8 each, 20 in a test", 8, 20))


@dataclass(frozen=True)
class Watched:
    """A classifier with the texts of before, and further rows of its domain."""

    classifier: TextClassifier
    reference: Reference
    further: Rows

    def watch(self, rows: Rows) -> MonitorResult:
        new = NewTexts(rows.name, tuple(rows.texts()))
        context = RunContext(seed=SEED, device="cpu")
        return watched(
            self.classifier, self.reference, new, encoder=self.classifier.encoder, identity="", of=len(rows), context=context
        )  # fmt: skip

    def accuracy(self, rows: Rows) -> float:
        found = self.classifier.labels_of(self.classifier.probabilities(rows.texts()))
        return float(np.mean([one == label for one, label in zip(found, rows.labels(), strict=True)]))


def main(argv: Sequence[str]) -> Path | None:
    some = {"nargs": "+", "default": [], "choices": DOMAINS, "help": "measure these first; nothing is published"}
    parser = arms.arguments(__doc__, out=arms.OUT, domains=some)
    options = parser.parse_args(argv)
    arms.device_of("cpu")
    torch.set_num_threads(1)
    arms.begin("about 20 minutes on one quiet core, half of it for encoding")
    kept = arms.Kept("monitor", {"tiny": options.tiny})
    weights = Path(options.weights or "minilm")
    names = ("cr", "kitchen") if options.tiny else tuple(options.domains) or DOMAINS
    domains = {name: domain_of(options.folder, name, weights=weights, tiny=options.tiny) for name in names}
    vectors = {text: vector for one in domains.values() for text, vector in one.vectors.items()}
    encoder = KeptVectors.of(opened(weights.name, weights.parent, by_sentence=False), vectors)
    rows: list[arms.Row] = []
    for kind, source, amount in parts_of(names, tiny=options.tiny):
        made = None
        for key in keys_of(kind, names, source, tiny=options.tiny):
            row = kept.find(source, amount.name, kind, key)
            if row is None:
                made = made or watched_classifier(encoder, domains[source], amount)
                row = shifted(made, domains[key]) if kind == "pair" else unshifted(made, int(key))
                kept.add(row, source, amount.name, kind, key)
            rows.append({"source": source, "labels": amount.name, "what": kind, "on": key, **row})
    if options.domains:
        print(f"{len(rows)} rows measured; without --domains the others follow", flush=True)
        return None
    path = arms.publish(
        "monitor", tiny=options.tiny, out=options.out, command="python benchmarks/monitor.py DIR", seeds=[SEED], rows=rows,
        bars=bars(rows),
    )  # fmt: skip
    kept.remove()
    return path


def parts_of(names: Sequence[str], *, tiny: bool) -> Iterator[tuple[str, str, Labels]]:
    """Yield what is measured, the source, and its labels: all pairs first."""
    for kind in ("pair", "unshifted"):
        for name in names:
            yield from ((kind, name, one) for one in (TINY if tiny else AMOUNTS))


def keys_of(kind: str, names: Sequence[str], source: str, *, tiny: bool) -> list[str]:
    """Return the targets of a source, or the numbers of its samples."""
    if kind == "pair":
        return [target for target in names if target != source]
    return [str(number) for number in range(2 if tiny else SAMPLES)]


def watched_classifier(encoder: KeptVectors, domain: Domain, amount: Labels) -> Watched:
    """Train on a domain, and keep further rows of it apart."""
    labelled = shots_of(domain.training, amount.each, SEED)
    known = set(labelled.texts())
    rest = [row for row, text in enumerate(domain.watched.texts()) if text not in known]
    rest = np.random.default_rng(SEED).permutation(rest).tolist()
    test, further = domain.watched.select(rest[: amount.tested]), domain.watched.select(rest[amount.tested :])
    given = TextClassifier(encoder, Head(encoder.dim, len(NAMES)), NAMES).eval()
    stage = FineTune(update={"method": "head", "solver": "auto"})
    data: Any = Parts(names=NAMES, labelled=labelled)
    classifier = stage.run(given, data=data, context=RunContext(seed=SEED, device="cpu"))
    answers = left_out_answers(classifier)
    if len(test):
        ids = classifier.label_ids(test.labels()).numpy()
        answers = Answers.of(classifier.probabilities(test.texts()), ids, NAMES, how="a test")
    return Watched(classifier, Reference((*labelled.texts(), *test.texts()), (), answers), further)


def shifted(made: Watched, target: Domain) -> arms.Row:
    """Watch all rows of another domain, and estimate from fewer ones too."""
    result, rows = made.watch(target.watched), target.watched
    assert result.accuracy is not None
    assert result.thresholded is not None
    assert made.reference.answers is not None
    few = rows.select(np.random.default_rng(SEED).permutation(len(rows))[:FEW].tolist())
    confidences = made.classifier.probabilities(few.texts()).max(axis=1)
    of_few = estimated_accuracy(made.reference.answers.held_out, confidences, auc=auc_of(result)).accuracy
    return {
        **told(result, made.accuracy(rows)), "texts": len(rows),
        "few": {"texts": len(few), "truth": round(made.accuracy(few), 4), "estimate": round(of_few.value, 4)},
    }  # fmt: skip


def auc_of(result: MonitorResult) -> float | None:
    return None if result.inputs is None or result.inputs.auc is None else result.inputs.auc.value


def unshifted(made: Watched, number: int) -> arms.Row:
    """Watch a sample of further rows of the same domain."""
    size = min(SAMPLE, len(made.further))
    rows = made.further.select(np.random.default_rng([SEED, number]).permutation(len(made.further))[:size].tolist())
    return {**told(made.watch(rows), made.accuracy(rows)), "texts": size}


def told(result: MonitorResult, truth: float) -> dict[str, Any]:
    """Return what a watch estimated, beside the truth."""
    assert result.accuracy is not None
    assert result.thresholded is not None
    assert result.held_out is not None
    found, change = result.accuracy, result.change
    assert found.low is not None
    assert found.high is not None
    assert change is not None
    confidences = result.held_out.value + change.value
    return {
        "truth": round(truth, 4), "held_out": round(result.held_out.value, 4), "estimate": round(found.value, 4),
        "interval": [round(found.low, 4), round(found.high, 4)], "thresholded": round(result.thresholded.value, 4),
        "difference_of_confidences": round(confidences, 4), "average_confidence": round(result.confidence_now, 4),
        "change": round(change.value, 4), "causes": list(result.causes), "alarm": result.alarm,
    }  # fmt: skip


def bars(rows: Sequence[Mapping[str, Any]]) -> list[arms.Row]:
    """Return the promises, for each amount of labels."""
    found: list[arms.Row] = []
    for amount in dict.fromkeys(row["labels"] for row in rows):
        some = [row for row in rows if row["labels"] == amount]
        pairs = [row for row in some if row["what"] == "pair" and (row["source"], row["on"]) in NAMED]
        quiet = [row["alarm"] for row in some if row["what"] == "unshifted"]
        if pairs:
            near = [abs(row["estimate"] - row["truth"]) <= WITHIN for row in pairs]
            name = f"{amount}: estimates within 3 points, of {len(pairs)} shifts"
            found.append({"name": name, "value": round(float(np.mean(near)), 3), "at_least": SHARE})
            found += [{"name": f"{amount}: {what}", "value": round(value, 3)} for what, value in beside(pairs).items()]
        name = f"{amount}: alarms on {len(quiet)} samples without a shift"
        found.append({"name": name, "value": round(float(np.mean(quiet)), 3), "at_most": FALSE_ALARMS})
    return found


def beside(pairs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what is told beside the bar: errors in points of this estimate and others, and what the intervals hold."""

    def error(name: str) -> float:
        return 100 * float(np.mean([abs(row[name] - row["truth"]) for row in pairs]))

    held = [row["interval"][0] <= row["truth"] <= row["interval"][1] for row in pairs]
    return {
        "mean error, points": error("estimate"),
        "mean error of thresholded confidence": error("thresholded"),
        "mean error of the accuracy before": error("held_out"),
        "intervals that hold the truth": float(np.mean(held)),
    }


if __name__ == "__main__":
    print(main(sys.argv[1:]))
