"""Word vectors from 62 unlabelled texts and 8 labels: which settings of the skip-gram route help, and by how much.

    python benchmarks/small_piles.py DIR [--draws 10] [--held-out] [--arms ...]

Without --held-out, settings are compared on other public reviews cut to the same shape: training rows of cr, imdb and four
Amazon domains in DIR (JSONL files), each text cut at 60 words, 62 unlabelled and 8 labelled ones a draw, 200 others scored.
It writes small-piles.json. With --held-out it scores the arms on data/reviews: for each draw 8 of the 200 held-out reviews are
labelled and the rest scored. It writes small-piles-held-out.json, after which nothing is chosen any more.
"""

from __future__ import annotations

import functools
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from arms import SCRATCH, Kept, installed
from results import write_result
from texts import read_rows

from nlptl.context import RunContext
from nlptl.data import TextData, TextTable, draw_shots, rows_not_in
from nlptl.evaluation.intervals import hierarchical_mean, paired_difference
from nlptl.models.word_vector_files.packaged import read_package
from nlptl.models.word_vector_files.writing import write_vectors
from nlptl.pretraining.word2vec.tokenizer import TextSettings, untrained_tokenizer, words_of
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram

REVIEWS = Path(__file__).parent.parent / "data" / "reviews"
SETS = {
    "cr": ("cr", "train"), "imdb": ("imdb", "train"), "books": ("amazon_mdsd", "books"), "dvd": ("amazon_mdsd", "dvd"),
    "electronics": ("amazon_mdsd", "electronics"), "kitchen": ("amazon_mdsd", "kitchen"),
}  # fmt: skip
PILE, SHOTS, SCORED = 62, 4, 200
WORDS = 60  # of a text
FIRST_SEED = 13  # of the quickstart
PEER = "tf-idf + logistic regression"
GLOVE = "GLOVE"  # stands for the file of its vectors
SKIPGRAM: dict[str, Any] = {"dim": 50, "window": 40, "learning_rate": 0.05, "min_count": 1}
PPMI: dict[str, Any] = {"engine": "ppmi", "dim": 50, "window": 40, "min_count": 1, "smoothing": 0.1}
FROM_GLOVE: dict[str, Any] = {
    "vectors": GLOVE, "continue_training": True, "epochs": 20, "window": 40, "min_count": 1,
}  # fmt: skip
UNIT: dict[str, Any] = {"pooling": "sif", "normalize": True}
LOGISTIC: dict[str, Any] = {"method": "head", "solver": "logistic"}
Arm = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]  # words, sentence vectors, update
ARMS: dict[str, Arm] = {
    "skip-gram": (SKIPGRAM, {"pooling": "tfidf"}, LOGISTIC),
    "PPMI": (PPMI, UNIT, LOGISTIC),
    "GloVe": ({"vectors": GLOVE}, UNIT, LOGISTIC),
    "skip-gram from GloVe": (FROM_GLOVE, UNIT, LOGISTIC),
    "skip-gram from GloVe, self-training": (FROM_GLOVE, UNIT, {"method": "self_training"}),
}
Draw = tuple[TextData, TextTable]  # what is learnt from, what is scored


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds cr, imdb and amazon_mdsd as JSON lines")
    parser.add_argument("--draws", type=int, default=10, help="of each set")
    parser.add_argument("--held-out", action="store_true", help="score data/reviews, once, when all is chosen")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    given = parser.parse_args()
    name = "small-piles-held-out" if given.held_out else "small-piles"
    arms = given.arms
    kept = Kept(name, {"arms": {arm: ARMS[arm] for arm in arms}})
    vectors = cut_glove(given.folder)
    for seed in range(FIRST_SEED, FIRST_SEED + given.draws):
        for data_set in ["reviews"] if given.held_out else SETS:
            if kept.find(data_set, seed) is None:
                data, scored = held_out(seed) if given.held_out else draw(given.folder, data_set, seed)
                hits = {arm: "".join(map(str, score(arm, data, scored, seed, vectors))) for arm in (PEER, *arms)}
                kept.add({"set": data_set, "seed": seed, "correct": hits}, data_set, seed)
    rows = kept.rows()
    write_result(
        name,
        command=["python", "benchmarks/small_piles.py", "DIR", *sys.argv[2:]],
        seeds=[*range(FIRST_SEED, FIRST_SEED + given.draws)],
        rows=rows,
        bars=[*bars(rows, [PEER, *arms])],
        packages=installed(),
    )
    kept.remove()


def draw(folder: Path, name: str, seed: int) -> Draw:
    """Return 62 unlabelled and 8 labelled texts of a set, and 200 others, as many of each label."""
    table = texts_once(folder, name)
    labelled = draw_shots(table, SHOTS, seed)
    rest = without(table, labelled)
    pile = rest.select(np.random.default_rng(seed).permutation(len(rest))[:PILE])
    scored = draw_shots(without(rest, pile), SCORED // 2, seed)
    return TextData(unlabelled=pile.texts(), labelled=[*zip(labelled.texts(), labelled.labels(), strict=True)]), scored


@functools.cache
def texts_once(folder: Path, name: str) -> TextTable:
    """Return the texts of a set, cut; one that occurs twice counts once."""
    rows = read_rows(folder, *SETS[name])
    cut = [" ".join(text.replace("<br />", " ").split()[:WORDS]) for text in rows.texts()]
    texts = dict(zip(cut, rows.labels(), strict=True))
    return TextTable.from_lists([*texts], [*texts.values()], name=name)


def held_out(seed: int) -> Draw:
    """Return the 62 unlabelled reviews with 8 of the 200 as labelled ones, and the other 192."""
    import csv

    with (REVIEWS / "held_out.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    table = TextTable.from_lists([text for text, _ in rows], [label for _, label in rows], name="held_out")
    labelled = draw_shots(table, SHOTS, seed)
    pile = (REVIEWS / "unlabelled.txt").read_text(encoding="utf-8").splitlines()
    drawn = [*zip(labelled.texts(), labelled.labels(), strict=True)]
    return TextData(unlabelled=pile, labelled=drawn), without(table, labelled)


def without(table: TextTable, other: TextTable) -> TextTable:
    rest = rows_not_in(table, other)
    assert rest is not None
    return rest


def score(arm: str, data: TextData, scored: TextTable, seed: int, vectors: Path) -> list[int]:
    """Return 1 for each text whose label the arm tells, 0 for each other."""
    found = peer(data, scored) if arm == PEER else ours(arm, data, scored, seed, vectors)
    return [int(label == truth) for label, truth in zip(found, scored.labels(), strict=True)]


def ours(arm: str, data: TextData, scored: TextTable, seed: int, vectors: Path) -> list[str]:
    words, pooled, update = ARMS[arm]
    if words.get("vectors") == GLOVE:
        words = {**words, "vectors": str(vectors)}
    context = RunContext(seed=seed, device="cpu")
    encoder = SkipGram.model_validate(words).run(data=data, context=context)
    encoder = SentenceVectors.model_validate(pooled).run(encoder, data=data, context=context)
    classifier = ClassificationHead().run(encoder, data=data, context=context)
    return (
        FineTune.model_validate({"update": update}).run(classifier, data=data, context=context).predict(scored.texts())
    )


def texts_of(folder: Path) -> Iterator[str]:
    """Yield all texts that a draw may hold."""
    for place in SETS.values():
        yield from read_rows(folder, *place).texts()
    for name in ("held_out.csv", "train.csv", "test.csv", "unlabelled.txt"):
        yield from (REVIEWS / name).read_text(encoding="utf-8").splitlines()


def cut_glove(folder: Path) -> Path:
    """Write the vectors of `vectors: glove` for the words of all texts: the others are never met, and cost seconds a run."""
    path = SCRATCH / "glove.bin"
    if not path.is_file():
        found = read_package("glove", where="small_piles")
        seen = {
            word for words in words_of(untrained_tokenizer(TextSettings()), [[*texts_of(folder)]]) for word in words
        }
        rows = [row for row, word in enumerate(found.words) if word in seen]
        words = [found.words[row] for row in rows]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            write_vectors(file, words=words, vectors=found.vectors[rows], format="word2vec-binary")
    return path


def peer(data: TextData, scored: TextTable) -> list[str]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    assert data.labelled is not None
    words = TfidfVectorizer()
    vectors = words.fit_transform(data.labelled.texts())
    return LogisticRegression().fit(vectors, data.labelled.labels()).predict(words.transform(scored.texts())).tolist()


def bars(rows: list[dict[str, Any]], arms: list[str]) -> Iterator[dict[str, Any]]:
    """Yield accuracy and difference from the peer of each arm, over all draws."""
    hits = {arm: [np.array([*map(int, row["correct"][arm])], float) for row in rows] for arm in arms}
    for arm in arms:
        mean = hierarchical_mean(hits[arm])
        found = {"name": f"{arm}: accuracy", "value": round(mean.value, 4), "range": str(mean)}
        for other in () if arm == PEER else (PEER,):
            difference = paired_difference(hits[other], hits[arm])
            found["difference from the peer"] = str(difference.difference)
            found["better_equal_worse"] = [difference.wins, difference.ties, difference.losses]
        print(f"{found['name']} {found['range']}, {found.get('difference from the peer', 'the peer')}")
        yield found


if __name__ == "__main__":
    main()
