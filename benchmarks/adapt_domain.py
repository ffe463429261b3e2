"""What domain adaptation brings: twelve pairs of domains of Amazon reviews, source only beside adapted.

    python benchmarks/adapt_domain.py DIR [--device auto|cpu|cuda] [--layers]

DIR holds amazon_mdsd (Blitzer et al. 2007): books, dvd, electronics and kitchen as JSON lines. Copies are dropped, 400 rows
of each domain are the test, the same for all; of the others, for each pair and split, 1,000 of the source are learnt from
with their labels and 1,000 of the target without. Reviews are cut at 128 tokens. The stage domain_adaptation runs over
MiniLM as it came: method none, coral, and auto at its defaults. Other splits draw other rows, so that the intervals
cover the luck of training and test rows. The bars: auto at least equals none on the mean of the twelve, and no pair is
worse by more than its interval. --layers adds continue, adversarial and adapters on fewer rows, an hour on two cores.
The stage's settings were chosen on splits of the training rows; test rows were looked at by this script alone.
Each domain is encoded once and kept; an interrupted run goes on. Where nlptl is not installed: PYTHONPATH=. python
benchmarks/adapt_domain.py …. Writes benchmarks/results/adapt-domain.json (…-cuda.json on a GPU).
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arms
import numpy as np
import results
import torch
from numpy.typing import NDArray
from texts import Parts, Rows, distinct_rows, plain, read_rows, sample, weights_folder

from nlptl.artifact import digest_of
from nlptl.context import RunContext
from nlptl.evaluation.intervals import hierarchical_mean, paired_difference
from nlptl.models.encoder import Encoder
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.domain_adaptation import DomainAdaptation

DOMAINS = ("books", "dvd", "electronics", "kitchen")
NAMES = ("negative", "positive")
NONE, CORAL, AUTO = "none", "coral", "auto"
LAYERS = ("continue", "adversarial", "adapters")


@dataclass(frozen=True)
class Size:
    """How much is read, learnt from and tested."""

    learnt: int
    """Rows of the source, and as many of the target without labels."""
    test: int
    splits: Sequence[int]
    longest: int
    layers: int
    """Rows for the methods that move layers."""


FULL = Size(learnt=1000, test=400, splits=range(2), longest=128, layers=400)
TINY = Size(learnt=24, test=10, splits=range(2), longest=32, layers=16)


@dataclass(frozen=True)
class Domain:
    """One domain's rows."""

    train: Rows
    test: Rows
    copies: int
    """Rows that were dropped because an earlier one has the same text."""


class Remembering(Encoder):
    """An encoder that gives the vectors of texts that it has seen from memory: it does not move under a head."""

    known: dict[str, NDArray[np.float32]]

    def encode(self, texts: Sequence[str], **more: Any) -> NDArray[np.float32]:
        if all(text in self.known for text in texts) and len(texts):
            return np.stack([self.known[text] for text in texts])
        return super().encode(texts, **more)

    def __deepcopy__(self, memo: Any) -> Remembering:
        return self


def main(argv: Sequence[str]) -> Path:
    parser = arms.arguments(
        __doc__, layers={"action": "store_true", "help": "also the methods that move layers, on fewer rows"}
    )
    options = parser.parse_args(argv)
    device = arms.device_of(options.device)
    size = TINY if options.tiny else FULL
    arms.begin("about 15 minutes on two quiet cores")
    domains = read_domains(options.folder, size)
    every = [text for domain in domains.values() for rows in (domain.train, domain.test) for text in rows.texts()]
    folder, weights = weights_folder(options.weights, every[:200], scratch=arms.SCRATCH, tiny=options.tiny)
    about = {"weights": weights, "device": arms.device_name(device)}
    scratch = f"adapt-domain{'-tiny' if options.tiny else ''}"
    plain_encoder = Bert(weights=str(folder), max_length=size.longest).run(data=Parts(), context=context(device))
    vectors = arms.SCRATCH / f"{scratch}-vectors-{size.longest}"
    encoder = remembering(plain_encoder, domains, vectors)
    kept = arms.Kept(scratch, {"learnt": size.learnt, "test": size.test, **about})
    run = functools.partial(measured, domains=domains, device=device, kept=kept)
    rows = list(run((AUTO, NONE, CORAL), encoder=encoder, splits=size.splits, learnt=size.learnt))
    if options.layers:
        rows += run((NONE, *LAYERS), encoder=plain_encoder, splits=size.splits[:1], learnt=size.layers)
    path = arms.publish(
        arms.result_name("adapt-domain", device),
        tiny=options.tiny,
        command="python benchmarks/adapt_domain.py DIR" + " --layers" * options.layers,
        seeds=list(size.splits),
        rows=[{**{key: row[key] for key in row if key != "hits"}, **about} for row in rows],
        bars=list(bars(rows, size)),
    )
    kept.remove()
    shutil.rmtree(vectors)
    return path


def context(device: Any, seed: int = 0) -> RunContext:
    return RunContext(seed=seed, device=device)


def read_domains(folder: Path, size: Size) -> dict[str, Domain]:
    """Return each domain without copies, its test rows drawn once, its training rows clear of any domain's test."""
    parted = {}
    for name in DOMAINS:
        read = read_rows(folder, "amazon_mdsd", name)
        rows = distinct_rows(read)
        order = [int(number) for number in np.random.default_rng(0).permutation(len(rows))]
        copies = len(read) - len(rows)
        parted[name] = rows.select(sorted(order[size.test :])), rows.select(sorted(order[: size.test])), copies
    tested = {plain(text) for _, test, _ in parted.values() for text in test.texts()}
    domains = {}
    for name, (train, test, copies) in parted.items():
        clear = train.select([number for number, text in enumerate(train.texts()) if plain(text) not in tested])
        domains[name] = Domain(clear, test, copies)
        print(f"{name}: {copies} copies dropped, {len(clear)} rows to learn from, {len(test)} to test", flush=True)
    return domains


def remembering(encoder: Encoder, domains: dict[str, Domain], folder: Path) -> Remembering:
    """Return the encoder with the vectors of all texts at hand.

    They are kept in a folder, each domain's under a name that tells weights, texts and versions.
    """
    made = Remembering(encoder.tokenizer, encoder.token_model, encoder.pooling, normalized=encoder.normalized).eval()
    made.known = {}
    folder.mkdir(parents=True, exist_ok=True)
    maker = digest_of_encoder(encoder)
    for name, domain in domains.items():
        texts = [*domain.train.texts(), *domain.test.texts()]
        path = folder / f"{name}-{digest_of([maker, texts])[:16]}.npy"
        if not path.is_file():
            begin = time.perf_counter()
            draft = path.with_suffix(".draft")
            with draft.open("wb") as file:
                np.save(file, encoder.encode(texts))
            draft.replace(path)
            print(f"{name}: encoded in {time.perf_counter() - begin:.0f} s", flush=True)
        made.known.update(zip(texts, np.load(path, allow_pickle=False), strict=True))
    return made


def digest_of_encoder(encoder: Encoder) -> str:
    """Return a digest of what decides on an encoder's vectors: weights, tokenizer, pooling and versions."""
    found = hashlib.sha256()
    for name, tensor in encoder.state_dict().items():
        found.update(name.encode() + tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    pooling = [encoder.pooling.mode, encoder.normalized]
    return digest_of([found.hexdigest(), encoder.tokenizer.to_str(), pooling, results.versions(arms.installed())])


def measured(
    methods: Sequence[str], *, encoder: Encoder, domains: dict[str, Domain], device: str, kept: arms.Kept,
    splits: Sequence[int], learnt: int,
) -> Iterator[arms.Row]:  # fmt: skip
    """Yield right (1) or wrong (0) on the target's test rows for each pair, split and method.

    The first method chooses the head's penalty, as each would by itself from the same rows; the others are told it.
    """
    for split, (source, target) in itertools.product(splits, itertools.permutations(DOMAINS, 2)):
        l2: Any = "auto"
        for method in methods:
            key = (method, source, target, split, learnt)
            if kept.find(*key) is None:
                found = adapted(method, l2, encoder, domains[source], domains[target], learnt, split, device)
                about = {"arm": method, "pair": f"{source} to {target}", "split": split, "learnt": learnt}
                kept.add({**about, **found}, *key)
                print(f"{method}, {source} to {target}, split {split}: {found['accuracy']:.3f}", flush=True)
            row = kept.find(*key)
            assert row is not None
            l2 = row["l2"]
            yield row


def adapted(
    method: str, l2: Any, encoder: Encoder, source: Domain, target: Domain, learnt: int, split: int, device: str
) -> arms.Row:
    """Run the stage once; the test rows are looked at after it has returned."""
    pile = sample(target.train, learnt, seed=split)
    data: Any = Parts(
        names=NAMES, source=sample(source.train, learnt, seed=split), unlabelled=Rows(pile.name, pile.texts())
    )
    running = context(device, seed=split)
    given = ClassificationHead().run(encoder, data=data, context=running)
    begin = time.perf_counter()
    stage = DomainAdaptation(adapt={"method": method}, l2=l2)
    classifier = stage.run(given, data=data, context=running)
    seconds = time.perf_counter() - begin
    hits = [
        int(p == label) for p, label in zip(classifier.predict(target.test.texts()), target.test.labels(), strict=True)
    ]
    report = running.record.report
    return {
        "taken": report.get("choice", {}).get("method", method),
        "accuracy": round(float(np.mean(hits)), 5),
        "source_accuracy": round(report["accuracy"]["source"]["value"], 5),
        "told_apart": round(report["shift"]["accuracy"]["value"], 5),
        "mmd_squared": round(report["shift"]["mmd_squared"], 6),
        "l2": report["head"]["l2"],
        "seconds": round(seconds, 2),
        "hits": hits,
    }


def bars(rows: Sequence[arms.Row], size: Size) -> Iterator[arms.Row]:
    """Yield what was promised of auto, then the same differences of the others, for the mean and for each pair."""
    hits = {(row["arm"], row["learnt"], row["pair"], row["split"]): row["hits"] for row in rows}
    pairs = [f"{source} to {target}" for source, target in itertools.permutations(DOMAINS, 2)]

    def scored(arm: str, pair: str) -> NDArray[np.float64]:
        return np.array([hits[arm, size.learnt, pair, split] for split in size.splits], dtype=float)

    by_pair = {arm: {pair: scored(arm, pair) for pair in pairs} for arm in (NONE, CORAL, AUTO)}
    means = {arm: mean_by_text(by_pair[arm]) for arm in by_pair}
    yield {**difference("mean of 12 pairs: auto less none", means[NONE], means[AUTO]), "at_least": 0}
    each = {pair: difference(pair, by_pair[NONE][pair], by_pair[AUTO][pair]) for pair in pairs}
    worse = [pair for pair, bar in each.items() if bar["interval"][1] < 0]
    yield {
        "name": "pairs worse by more than their interval",
        "value": len(worse),
        "at_most": 0,
        "range": ", ".join(worse),
    }
    yield difference("mean of 12 pairs: coral less none", means[NONE], means[CORAL])
    for pair, bar in each.items():
        taken = [row["taken"] for row in rows if (row["arm"], row["pair"]) == (AUTO, pair)]
        told = [row["told_apart"] for row in rows if (row["arm"], row["pair"]) == (NONE, pair)]
        coral = difference(pair, by_pair[NONE][pair], by_pair[CORAL][pair])["range"]
        yield {**bar, "adapted": sum(one != NONE for one in taken), "splits": len(taken), "coral": coral,
               "told_apart": round(float(np.mean(told)), 3)}  # fmt: skip
    for arm in LAYERS:
        if any(row["arm"] == arm for row in rows):
            yield few_rows(arm, hits, pairs, size)


def few_rows(arm: str, hits: dict[tuple[Any, ...], list[int]], pairs: Sequence[str], size: Size) -> arms.Row:
    before, after = (
        mean_by_text({pair: np.array([hits[name, size.layers, pair, size.splits[0]]], dtype=float) for pair in pairs})
        for name in (NONE, arm)
    )
    return difference(f"mean of 12 pairs, {size.layers} rows: {arm} less none", before, after)


def mean_by_text(by_pair: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return (splits, test texts of all targets): each text's mean over the sources, since pairs share their tests."""
    targets: dict[str, list[NDArray[np.float64]]] = {}
    for pair, scores in by_pair.items():
        targets.setdefault(pair.split(" to ")[1], []).append(scores)
    return np.concatenate([np.mean(scores, axis=0) for scores in targets.values()], axis=1)


def difference(name: str, before: NDArray[np.float64], after: NDArray[np.float64]) -> arms.Row:
    found = paired_difference(before, after, seed=0)
    return {
        "name": name,
        "value": round(found.difference.value, 5),
        "interval": [round(found.difference.low, 5), round(found.difference.high, 5)],
        "range": str(found.difference),
        "ours": str(hierarchical_mean(after, seed=0)),
        "peer": str(hierarchical_mean(before, seed=0)),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
