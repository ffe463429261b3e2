"""Runs and facts that the tests of the report share."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nlptl.evaluation.scores import Evaluation, evaluate_predictions
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.report.embedding_map import flattened
from nlptl.runs.report.facts import (
    Advice,
    DataFacts,
    EmbeddingMap,
    Judged,
    LossCurve,
    MapPoint,
    Mistake,
    PartFacts,
    Provenance,
    RunReport,
    StageFacts,
    WordWeight,
)
from nlptl.runs.report.gathering import commands
from nlptl.runs.report.judging import confident_mistakes, reliability_of
from nlptl.runs.report.standing import headline_of, standing_of
from nlptl.runs.report.verdict import proof_of, verdict_of
from tests.conftest import small_reviews

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "\x1b[31mred\x1b[0m",
    "\u202egnirts\u202c",
    "nul\x00inside",
    "\u2028line\u2029ends",
    "日本語のテキスト",
    "&lt;b&gt; & co",
    "",
)
NAMES = ("<b>bold</b>", "</title><script>alert(1)</script>", "\u202elabel", "empty", "ラベル")

PIPELINE = """
seed: 13
data: {labelled: train.csv, test: test.csv, unlabelled: pile.txt}
stages:
  - {stage: skipgram, dim: 8, min_count: 1, epochs: 3, engine: gensim}
  - {stage: sentence_vectors}
  - {stage: classification_head}
  - {stage: finetune, update: {method: head, epochs: 3, l2: 0.1}}
"""


def write_rows(path: Path, texts: Sequence[str], labels: Sequence[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *zip(texts, labels, strict=True)])


def tiny_run(folder: Path, *, pipeline: str = PIPELINE) -> Path:
    """Make a run of word vectors in `folder`, with its data beside it. Return the run's folder."""
    write_rows(folder / "train.csv", *small_reviews(24))
    write_rows(folder / "test.csv", *small_reviews(24, start=60))
    (folder / "pile.txt").write_text("\n".join(small_reviews(60, start=100)[0]), encoding="utf-8")
    (folder / "tiny.yaml").write_text(pipeline, encoding="utf-8")
    Pipeline.from_yaml(folder / "tiny.yaml").run(folder / "made")
    return folder / "made"


def judged_texts(texts: Sequence[str], labels: Sequence[str], names: Sequence[str], *, seed: int = 0) -> Judged:
    """Judge texts by random probabilities."""
    drawn = np.random.default_rng(seed).dirichlet(np.full(len(names), 0.4), len(texts))
    places = tuple(f"test.csv, row {row}" for row in range(1, len(texts) + 1))
    return Judged("at random", "test.csv", tuple(texts), tuple(labels), drawn, tuple(names), places)


def report_of(judged: Judged | None, *, folder: Path = Path("runs/made")) -> RunReport:
    """Return facts about judged texts, with something in every section."""
    evaluation = None if judged is None else _scores(judged)
    headline = None if evaluation is None else headline_of(evaluation, "test.csv: some texts")
    standing, _ = standing_of(folder, headline, evaluation)
    names = ("one",) if judged is None else judged.names
    return RunReport(
        run=folder,
        name=folder.name,
        verdict=verdict_of(headline, standing),
        proof=proof_of(headline),
        labels=names,
        judged=judged,
        evaluation=evaluation,
        label_sets=None,
        headline=headline,
        standing=standing,
        reliability=() if judged is None else reliability_of(judged),
        mistakes=() if judged is None else tuple(map(_mistake, confident_mistakes(judged), [judged] * 20)),
        map=None if judged is None else _map(judged),
        curves=(LossCurve("4-finetune", "", (1.0, 2.0, 3.0), (0.7, 0.5, 0.4)),),
        stages=(
            StageFacts("4-finetune", 2.5, 10, 100, "cpu", 13, ("Three epochs.",), 2e12, {"layer 1": 0.02, "layer 2": 0}),
        ),
        data=DataFacts(
            (PartFacts("labelled", "train.csv", 9, 8, dict.fromkeys(names, 4), (1, 2, 3, 4, 5, 6), "ab" * 32),), ("Fine.",)
        ),
        provenance=Provenance("minilm", "abc", "Apache-2.0", {"nlptl": "0.1.0"}, 13, "cpu", "cd" * 32, "seed: 13\n"),
        advice=(Advice("Use it.", "nlptl predict runs/made"),),
        commands=commands(folder, folder, judged),
        remarks=(),
    )  # fmt: skip


def _scores(judged: Judged) -> Evaluation:
    return evaluate_predictions(
        labels=judged.labels, predicted=judged.predicted, probabilities=judged.probabilities, names=judged.names, resamples=9
    )  # fmt: skip


def _mistake(place: int, judged: Judged) -> Mistake:
    length = len(judged.texts[place])
    return Mistake(
        place, (WordWeight(0, min(3, length), 1.5), WordWeight(min(4, length), min(6, length), -1.0)), "exact"
    )


def _map(judged: Judged) -> EmbeddingMap:
    count = min(1500, len(judged.texts))
    places = np.random.default_rng(0).random((count, 2))
    predicted = judged.predicted
    points = (
        MapPoint(*places[row].tolist(), judged.texts[row], judged.labels[row], judged.places[row], "judged", predicted[row])
        for row in range(count)
    )  # fmt: skip
    return EmbeddingMap(tuple(points), len(judged.texts), flattened(np.zeros((1, 1)))[1])
