"""The skip-gram route on real text against gensim's vectors under scikit-learn's logistic regression, written out plainly.

    python benchmarks/static.py DIR [emotion hahackathon imdb]

DIR holds tweeteval/emotion, hahackathon and imdb as JSONL files with "text" and "label" (train, test, unlabelled; .gz or
not). Both arms see the same pile, the same labelled rows of each split and the same test, and train their vectors for
the same number of epochs. Writes benchmarks/results/static-NAME.json, every run in it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from results import write_result

from nlptl.context import RunContext
from nlptl.data import DataSettings, TextData, TextTable, draw_shots, load_data
from nlptl.evaluation.intervals import hierarchical_mean, paired_difference
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram

SPLITS = range(20)
SHOTS = (8, 64, None)
DIM, WINDOW = 100, 5


@dataclass(frozen=True)
class DataSet:
    """One data set and how its text is read."""

    folder: str
    preset: str
    min_count: int
    vector_seeds: Sequence[int]


SETS = {
    "emotion": DataSet("tweeteval/emotion", "tweets", 2, (1, 2, 3)),
    "hahackathon": DataSet("hahackathon", "tweets", 2, (1, 2, 3)),
    "imdb": DataSet("imdb", "plain", 5, (1,)),  # one training takes minutes; its 25,000 test rows make up for it
}


@dataclass(frozen=True)
class Features:
    """Sentence vectors of one arm, and what made them."""

    arm: str
    train: np.ndarray
    test: np.ndarray
    seconds: float
    encoder: Any = None


def main(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        data, report = load(folder, SETS[name])
        print(name, *report.sentences(), sep="\n  ", flush=True)
        rows, scores = measure(name, SETS[name], data)
        bars = [bar(name, shots, scores) for shots in SHOTS]
        for found in bars:
            print(
                f"  {found['name']}: {found['ours']} against {found['peer']}, difference {found['range']}", flush=True
            )
        write_result(
            f"static-{name}",
            command=f"python benchmarks/static.py DIR {name}",
            seeds=[*SPLITS],
            rows=rows,
            bars=bars,
            packages=["nlptl", "gensim", "scikit-learn", "torch", "tokenizers", "numpy"],
        )


def load(folder: Path, data_set: DataSet) -> tuple[TextData, Any]:
    def file(part: str) -> str | None:
        found = [*(folder / data_set.folder).glob(f"{part}.jsonl*")]
        return str(found[0]) if found else None

    pile = [path for path in (file("train"), file("unlabelled")) if path]
    settings = DataSettings(unlabelled=pile, labelled=file("train"), test=file("test"))
    return load_data(settings, seed=0)


def measure(name: str, data_set: DataSet, data: TextData) -> tuple[list[dict[str, Any]], dict[Any, list[np.ndarray]]]:
    rows: list[dict[str, Any]] = []
    scores: dict[Any, list[np.ndarray]] = {}
    made = {
        seed: (our_features(data_set, data, seed), peer_features(data_set, data, seed))
        for seed in data_set.vector_seeds
    }
    for shots in SHOTS:
        for split in SPLITS if shots else range(len(data_set.vector_seeds)):
            seed = data_set.vector_seeds[split % len(data_set.vector_seeds)]
            chosen = rows_of_split(data.labelled, shots, split)
            for features, classify in zip(made[seed], (our_labels, peer_labels), strict=True):
                begin = time.perf_counter()
                predicted = classify(features, data, chosen, split)
                seconds = time.perf_counter() - begin
                truth = np.array(data.test.labels())
                hits = (predicted == truth).astype(float)
                scores.setdefault((features.arm, shots), []).append(hits)
                rows.append({
                    "set": name, "arm": features.arm, "shots": shots or "all", "split": split, "vector_seed": seed,
                    "accuracy": round(float(hits.mean()), 5), "macro_f1": round(macro_f1(truth, predicted), 5),
                    "fit_seconds": round(seconds, 2), "vector_seconds": round(features.seconds, 1),
                })  # fmt: skip
    return rows, scores


def rows_of_split(labelled: TextTable, shots: int | None, split: int) -> np.ndarray:
    """Return the row numbers that both arms learn from."""
    if shots is None:
        return np.arange(len(labelled))
    numbered = TextTable.from_lists([str(i) for i in range(len(labelled))], labelled.labels(), name="rows")
    return np.array([int(row) for row in draw_shots(numbered, shots, split).texts()])


def our_features(data_set: DataSet, data: TextData, seed: int) -> Features:
    begin = time.perf_counter()
    context = RunContext(seed=seed, device="cpu")
    stage = SkipGram(
        dim=DIM, window=WINDOW, min_count=data_set.min_count, include_labelled=False, text={"preset": data_set.preset}
    )
    encoder = SentenceVectors(pooling="sif").run(stage.run(data=data, context=context), data=data, context=context)
    features = encoder.encode(data.labelled.texts()), encoder.encode(data.test.texts())
    return Features("nlptl", *features, time.perf_counter() - begin, encoder)


def our_labels(features: Features, data: TextData, chosen: np.ndarray, split: int) -> np.ndarray:
    import torch

    table = data.labelled.select(chosen)
    context = RunContext(seed=split, device="cpu")
    labelled = TextData(labelled=table)
    given = ClassificationHead().run(features.encoder, data=labelled, context=context)
    trained = FineTune().run(given, data=labelled, context=context)
    with torch.inference_mode():  # the encoder has not moved: its vectors of the test are at hand
        ids = trained.head(torch.from_numpy(features.test)).argmax(dim=1).numpy()
    return np.array(trained.labels)[ids]


def peer_features(data_set: DataSet, data: TextData, seed: int) -> Features:
    from gensim.models import Word2Vec
    from gensim.utils import simple_preprocess

    begin = time.perf_counter()
    pile = [simple_preprocess(text) for batch in data.unlabelled.batches() for text in batch]
    epochs = max(5, min(100, -(-5_000_000 // max(1, sum(map(len, pile))))))
    model = Word2Vec(
        pile, sg=1, vector_size=DIM, window=WINDOW, min_count=data_set.min_count, epochs=epochs, seed=seed, workers=2
    )

    def vectors(texts: list[str]) -> np.ndarray:
        found = [[word for word in simple_preprocess(text) if word in model.wv] for text in texts]
        return np.array([model.wv[words].mean(axis=0) if words else np.zeros(DIM) for words in found])

    features = vectors(data.labelled.texts()), vectors(data.test.texts())
    return Features("gensim + LogisticRegression", *features, time.perf_counter() - begin)


def peer_labels(features: Features, data: TextData, chosen: np.ndarray, split: int) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    labels = np.array(data.labelled.labels())[chosen]
    model = LogisticRegression(max_iter=1000, random_state=split).fit(features.train[chosen], labels)
    return np.asarray(model.predict(features.test))


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, predicted, average="macro", zero_division=0))


def bar(name: str, shots: int | None, scores: dict[Any, list[np.ndarray]]) -> dict[str, Any]:
    """Not below the peer by more than the interval: its upper end must reach zero."""
    ours, peer = (np.stack(scores[arm, shots]) for arm in ("nlptl", "gensim + LogisticRegression"))
    difference = paired_difference(peer, ours, seed=0)
    return {
        "name": f"{name}, {shots or 'all'} labels: upper end of accuracy difference",
        "value": round(difference.difference.high, 5),
        "at_least": 0.0,
        "range": str(difference.difference),
        "ours": str(hierarchical_mean(ours, seed=0)),
        "peer": str(hierarchical_mean(peer, seed=0)),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or list(SETS))
