"""Japanese: word vectors with a segmenter against character n-grams, and against gensim with the same segmenter.

    python benchmarks/japanese.py DIR [--sets chabsa_ja reviews_ja] [--arms ...] [--splits 3] [--dev] [--publish]

DIR holds chabsa_ja as JSON lines (train, test, unlabelled; .gz or not): sentences on finance, of which 64, 1,000 and all train.
data/reviews_ja gives film reviews: of its 200 held-out ones 8 or 64 train, and the others are scored.

characters         scikit-learn: tf-idf of runs of characters, logistic regression; five folds of the labelled rows choose both
gensim             skip-gram on words of SudachiPy, their mean, logistic regression; five folds choose the penalty
nlptl              skipgram and sentence_vectors with segmenter: sudachi and a view of n-grams, update auto
nlptl, no view     the same without the view
no segmenter       what Japanese got before: skipgram, sentence_vectors, update head
e5                 multilingual-e5-small, update auto (pip install 'nlptl[e5]'); only where --arms names it, since it takes an hour

All arms see the same labelled rows of each split, the same test, and the same pile: the unlabelled texts and those that train.
A text of the test is left out of both. Word vectors are learnt once a set, or once a split of the reviews. --dev develops: the test
is a quarter of each label's training rows in their order, mostly of other companies than the rest, and nothing is published. Every
run is kept (runs/benchmarks/japanese.jsonl), so that an interrupted one goes on. --publish runs nothing: it writes
benchmarks/results/japanese.json from the kept runs.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from arms import Kept, installed
from results import write_result
from texts import read_rows

from nlptl.context import RunContext
from nlptl.data import TextData, TextTable, draw_shots, load_table
from nlptl.evaluation.intervals import hierarchical_mean, paired_difference
from nlptl.inference.segmenter import SegmenterSettings
from nlptl.runs.judging.judged_chain import chain_of

REVIEWS = Path(__file__).parent.parent / "data" / "reviews_ja"
SIZES: dict[str, Sequence[int | None]] = {
    "chabsa_ja": (64, 1000, None),
    "reviews_ja": (8, 64),
}  # labelled rows; None: all
DEV_SEED = 1000
WORDS: dict[str, Any] = {"stage": "skipgram", "dim": 100}
SEGMENTER: dict[str, Any] = {"segmenter": "sudachi"}
VIEW: dict[str, Any] = {"view": "ngrams", **SEGMENTER}
AUTO: dict[str, Any] = {"method": "auto"}
CHAINS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {  # stages up to the vectors, and the update
    "nlptl": ([{**WORDS, "text": SEGMENTER}, {"stage": "sentence_vectors", "pooling": "tfidf", "views": [VIEW]}], AUTO),
    "nlptl, no view": ([{**WORDS, "text": SEGMENTER}, {"stage": "sentence_vectors", "pooling": "tfidf"}], AUTO),
    "no segmenter": ([WORDS, {"stage": "sentence_vectors"}], {"method": "head"}),
    "e5": ([{"stage": "bert", "weights": "e5"}], AUTO),
}
ARMS = ("characters", "gensim", *CHAINS)
PEERS = ("characters", "gensim")
PENALTIES = (0.1, 1.0, 10.0, 100.0)  # scikit-learn's C
RANGES = ((1, 2), (1, 3), (2, 4))


@dataclass(frozen=True)
class JapaneseSet:
    """Texts of one set: what is learnt from without labels, what may be labelled, what is scored."""

    name: str
    pile: tuple[str, ...]
    labelled: TextTable
    test: TextTable | None  # None: the rows that are not labelled
    min_count: int

    def split(self, size: int | None, seed: int) -> tuple[TextTable, TextTable]:
        """Return the labelled rows of a split, as many of each label, and those that are scored."""
        if size is None:
            assert self.test is not None
            return self.labelled, self.test
        numbered = TextTable.from_lists(
            [str(row) for row in range(len(self.labelled))], self.labelled.labels(), name="rows"
        )
        drawn = [int(row) for row in draw_shots(numbered, size // 2, seed).texts()]
        others = np.setdiff1d(np.arange(len(self.labelled)), drawn)
        return self.labelled.select(drawn), self.labelled.select(others) if self.test is None else self.test


def main(argv: Sequence[str]) -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds chabsa_ja as JSON lines")
    parser.add_argument("--sets", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=[arm for arm in ARMS if arm != "e5"])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--dev", action="store_true", help="score training rows; nothing is published")
    parser.add_argument(
        "--publish", action="store_true", help="run nothing; write the kept runs into benchmarks/results"
    )
    given = parser.parse_args(argv)
    if given.dev and "reviews_ja" in given.sets:
        parser.error("--dev: found reviews_ja, whose held-out rows are for the end; expected --sets chabsa_ja.")
    kept = Kept("japanese-dev" if given.dev else "japanese", {"chains": CHAINS})
    for name in [] if given.publish else given.sets:
        for arm in given.arms:
            measure(name, arm, given, kept)
    bars = tell(kept)
    if not given.dev:
        write_result(
            "japanese", command="python benchmarks/japanese.py DIR", rows=kept.rows(), bars=bars, packages=installed(),
            seeds=sorted({row["split"] for row in kept.rows()}),
        )  # fmt: skip


def measure(name: str, arm: str, given: Any, kept: Kept) -> None:
    """Run one arm on all splits of a set that are not kept.

    Its vectors are learnt before the first of them, or for each where other rows are scored each time.
    """
    made: dict[int, tuple[JapaneseSet, Callable[..., Sequence[str]] | None]] = {}
    for size, split in plan(name, given.splits):
        if kept.find(name, size, split, arm) is not None:
            continue
        block = split if given.dev else 0
        if block not in made:
            texts = read_set(name, given.folder, block=split if given.dev else None)
            made = {block: (texts, None if texts.test is None else _prepared(arm, texts))}
        texts, classify = made[block]
        begin = time.process_time()
        learnt, scored = texts.split(size, DEV_SEED + split if given.dev else split)
        classify = classify or _prepared(arm, dataclasses.replace(texts, pile=(*texts.pile, *learnt.texts())))
        hits = np.asarray(classify(learnt, scored.texts(), split)) == np.asarray(scored.labels())
        row = {
            "set": name, "arm": arm, "labels": size or "all", "split": split, "accuracy": round(float(hits.mean()), 5),
            "cpu_seconds": round(time.process_time() - begin, 1), "correct": "".join(str(int(hit)) for hit in hits),
        }  # fmt: skip
        kept.add(row, name, size, split, arm)
        print(f"{name:10} {arm:15} {row['labels']:>5} {split} {row['accuracy']:.3f} {row['cpu_seconds']}", flush=True)


def plan(name: str, splits: int) -> Iterator[tuple[int | None, int]]:
    """Yield the sizes and splits; all labelled rows make one split."""
    for split in range(splits):
        for size in SIZES[name]:
            if size is not None or split == 0:
                yield size, split


def read_set(name: str, folder: Path, *, block: int | None) -> JapaneseSet:
    """Return a set; under `block`, that quarter of each label's training rows stands for the test."""
    if name == "reviews_ja":
        pile = load_table(str(REVIEWS / "unlabelled.txt"), labelled=False).texts()
        return JapaneseSet(name, tuple(pile), load_table(str(REVIEWS / "held_out.csv")), None, min_count=1)
    train, test = (_labelled_rows(folder, name, part) for part in ("train", "test"))
    if block is not None:
        by_label = [[row for row in train if row[1] == label] for label in sorted({label for _, label in train})]
        quarters = [np.array_split(np.arange(len(rows)), 4)[block % 4] for rows in by_label]
        test = [rows[place] for rows, places in zip(by_label, quarters, strict=True) for place in places]
        train = [row for row in train if row not in set(test)]
    scored = {text for text, _ in test}
    train = [row for row in train if row[0] not in scored]
    pile = [text for text in read_rows(folder, name, "unlabelled").texts() if text not in scored]
    labelled, judged = (
        TextTable.from_lists([text for text, _ in rows], [label for _, label in rows], name=part)
        for rows, part in ((train, "train"), (test, "test"))
    )
    return JapaneseSet(name, (*pile, *labelled.texts()), labelled, judged, min_count=2)


def _labelled_rows(folder: Path, name: str, part: str) -> list[tuple[str, str]]:
    rows = read_rows(folder, name, part)
    return list(zip(rows.texts(), rows.labels(), strict=True))


def _prepared(arm: str, texts: JapaneseSet) -> Callable[..., Sequence[str]]:
    """Return what learns a split and labels texts: `classify(learnt, texts, seed)`."""
    if arm == "characters":
        return by_characters
    if arm == "gensim":
        return functools.partial(by_gensim, *_gensim_vectors(texts))
    stages, update = CHAINS[arm]
    counted = {"min_count": texts.min_count} if stages[0]["stage"] == "skipgram" else {}
    first, *others = stages
    head = [{"stage": "classification_head"}, {"stage": "finetune", "update": update}]
    every = chain_of([{**first, **counted}, *others, *head]).stages
    pile, context = TextTable.from_lists(list(texts.pile), name="pile"), RunContext(seed=0, device="cpu")
    encoder: Any = None
    for stage in every[: len(stages)]:
        encoder = stage.run(encoder, data=TextData(unlabelled=pile), context=context)
    return functools.partial(by_chain, encoder, every[len(stages) :], pile)


def by_chain(
    encoder: Any, stages: Sequence[Any], pile: TextTable, learnt: TextTable, texts: list[str], seed: int
) -> Sequence[str]:
    data, context, given = TextData(labelled=learnt, unlabelled=pile), RunContext(seed=seed, device="cpu"), encoder
    for stage in stages:
        given = stage.run(given, data=data, context=context)
    found: Sequence[str] = given.predict(texts)
    return found


def by_characters(learnt: TextTable, texts: list[str], seed: int) -> Sequence[str]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    found = []
    for lengths in RANGES:
        counter = TfidfVectorizer(analyzer="char", ngram_range=lengths, sublinear_tf=True).fit(learnt.texts())
        model, score = _logistic(counter.transform(learnt.texts()), learnt.labels(), seed)
        found.append((score, counter, model))
    _, counter, model = max(found, key=lambda one: one[0])
    return list(model.predict(counter.transform(texts)))


def by_gensim(
    vectors: Callable[[list[str]], np.ndarray], learnt: TextTable, texts: list[str], seed: int
) -> Sequence[str]:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(rows := vectors(learnt.texts()))
    model, _ = _logistic(scaler.transform(rows), learnt.labels(), seed)
    return list(model.predict(scaler.transform(vectors(texts))))


def _gensim_vectors(texts: JapaneseSet) -> tuple[Callable[[list[str]], np.ndarray]]:
    from gensim.models import Word2Vec

    from nlptl.inference.segmenting import cut

    segmenter = SegmenterSettings().installed()

    def words_of(text: str) -> list[str]:
        return cut(text, segmenter).split()

    pile = [words_of(text) for text in texts.pile]
    epochs = max(5, min(100, -(-5_000_000 // sum(map(len, pile)))))
    model = Word2Vec(pile, sg=1, vector_size=WORDS["dim"], min_count=texts.min_count, epochs=epochs, seed=0, workers=1)

    def vectors(some: list[str]) -> np.ndarray:
        known = [[word for word in words_of(text) if word in model.wv] for text in some]
        return np.array([model.wv[words].mean(axis=0) if words else np.zeros(WORDS["dim"]) for words in known])

    return (vectors,)


def _logistic(rows: Any, labels: list[str], seed: int) -> tuple[Any, float]:
    """Return logistic regression whose penalty five folds choose, or as many as a label has rows, and its score there."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    folds = StratifiedKFold(min(5, *map(labels.count, set(labels))), shuffle=True, random_state=seed)
    found = GridSearchCV(LogisticRegression(max_iter=1000), {"C": PENALTIES}, cv=folds).fit(rows, labels)
    return found.best_estimator_, float(found.best_score_)


def tell(kept: Kept) -> list[dict[str, Any]]:
    """Print a line for each arm and size, and return the bars: not below a peer by more than the interval."""
    found: dict[tuple[str, str, str], dict[int, np.ndarray]] = {}
    for row in kept.rows():
        hits = np.array([float(hit) for hit in row["correct"]])
        found.setdefault((row["set"], str(row["labels"]), row["arm"]), {})[row["split"]] = hits
    bars = []
    for (name, size, arm), hits in found.items():
        print(f"{name:10} {size:>5} {arm:15} {hierarchical_mean(list(hits.values()), seed=0)}")
        ours = found.get((name, size, "nlptl"))
        if arm not in PEERS or ours is None or not (shared := sorted(hits.keys() & ours.keys())):
            continue
        pairs = [[hits[split] for split in shared], [ours[split] for split in shared]]
        difference = paired_difference(*pairs, seed=0).difference
        bars.append({
            "name": f"{name}, {size} labels: upper end of the accuracy of nlptl minus that of {arm}",
            "value": round(difference.high, 5), "at_least": 0.0, "range": str(difference),
        })  # fmt: skip
    for one in bars:
        print(f"{one['name']}: {one['range']}")
    return bars


if __name__ == "__main__":
    main(sys.argv[1:])
