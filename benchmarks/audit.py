"""Audits of data: wrong labels beside cleanlab's, near-copies of 25,000 reviews, and the cost of many rows.

    python benchmarks/audit.py DIR [--parts noise copies scale] [--seeds 3] [--many 100000] [--vectors DIR] [--resume]

DIR holds the sets as JSON lines; training rows alone are read. Labels of 1,000 rows of each set are flipped: at random, or as a
weak annotator would, who has read some rows and confuses labels that look alike. cleanlab gets the out-of-fold probabilities
of a linear head over MiniLM's vectors; nlptl gets the same ones, and the words and neighbours that it finds itself. The sets
cr, trec, emotion and hahackathon were looked at while nlptl's judges were chosen, under other seeds.
"""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from arms import SCRATCH, installed
from audit_bars import KINDS, PEERS, bars_of
from fewshot_sets import EVERY
from results import RESULTS, read_rows, write_result
from texts import read_rows as read_texts

from nlptl.evaluation.near_copies import near_copies
from nlptl.runs.judging.left_out import LabelledRows, left_out

SETS = ("cr", "trec", "emotion", "hahackathon", "ag_news", "banking77", "offensive", "sentiment", "stance", "books")
KEPT, ROWS = 2_500, 1_000  # of each set: whose vectors are kept, and whose labels are judged
FLIPPED = 0.1
FIRST_SEED = 10
READ_BY_ANNOTATOR = 10  # rows a label, at least 200
REPEATS = 3  # of the timed runs
PLANTED = 2_000
Floats = np.ndarray


def main(arguments: Sequence[str] | None = None) -> Path:
    parser = ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds the sets as JSON lines")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=ROWS, help="of each set, whose labels are judged")
    parser.add_argument("--many", type=int, nargs="+", default=[100_000], help="rows of the audits that are timed")
    parser.add_argument(
        "--vectors", type=Path, default=SCRATCH / "audit-vectors", metavar="DIR", help="keep vectors here"
    )
    parser.add_argument("--resume", action="store_true", help="keep the published rows of the other parts")
    parser.add_argument("--out", type=Path, default=RESULTS, help="write the result into DIR")
    given = parser.parse_args(arguments)
    rows = (
        [row for row in read_rows("audit", packages=[*installed(), "cleanlab"]) if row["part"] not in given.parts]
        if given.resume
        else []
    )
    for part in given.parts:
        for row in PARTS[part](given):
            print(json.dumps(row))
            rows.append(row)
    return write_result(
        "audit",
        command=["python", "benchmarks/audit.py", "DIR", "--seeds", str(given.seeds), "--many", *map(str, given.many)],
        seeds=[*range(FIRST_SEED, FIRST_SEED + given.seeds)],
        rows=rows,
        bars=[*bars_of(rows)],
        packages=[*installed(), "cleanlab"],
        folder=given.out,
        notes=[
            "nlptl ranks by the loss under the product of its judges. cleanlab's rankings are of the head's probabilities alone, "
            "which is what its users bring; under the product of judges its self-confidence is the same ranking as nlptl's."
        ],
    )


def noise(given: Any) -> Iterator[dict[str, Any]]:
    """Yield the areas under precision and recall of planted flips, by nlptl and by cleanlab."""
    from cleanlab.rank import get_label_quality_scores
    from sklearn.metrics import average_precision_score

    for name in given.sets:
        texts, labels, vectors = kept_vectors(given, name)
        count = int(labels.max()) + 1
        for seed in range(FIRST_SEED, FIRST_SEED + given.seeds):
            generator = np.random.default_rng([seed, SETS.index(name)])
            drawn = np.sort(generator.permutation(len(texts))[: given.rows])
            some, true = [texts[row] for row in drawn], labels[drawn]
            for kind in KINDS:
                flipped = flipped_labels(kind, some, true, count, generator)
                rows = LabelledRows(some, flipped, count)
                found = left_out(rows, vectors[drawn], encoded=np.arange(len(drawn)), seed=seed)
                assert found.by_head is not None
                head = np.nan_to_num(found.by_head, nan=1 / count)
                joined = np.nan_to_num(found.probabilities, nan=1 / count)
                own = {"nlptl": joined[np.arange(len(some)), flipped]}
                own |= {f"cleanlab {how}": get_label_quality_scores(flipped, head, method=how) for how in PEERS}
                wrong = flipped != true
                areas = {arm: round(100 * average_precision_score(wrong, -own[arm]), 2) for arm in own}
                yield {
                    "part": "noise",
                    "set": name,
                    "seed": seed,
                    "kind": kind,
                    "rows": len(some),
                    "flipped": int(wrong.sum()),
                    **areas,
                }


def flipped_labels(
    kind: str, texts: Sequence[str], true: np.ndarray, count: int, generator: np.random.Generator
) -> np.ndarray:
    """Return labels (n,) of which about a tenth are wrong."""
    if kind == "random":
        is_flipped = generator.random(len(true)) < FLIPPED
        moved = (true + generator.integers(1, count, size=len(true))) % count
        return np.where(is_flipped, moved, true)
    doubts = annotator(texts, true, count, generator)
    doubts[np.arange(len(true)), true] = 0.0
    chance = doubts.sum(axis=1)
    is_flipped = generator.random(len(true)) < np.minimum(0.9, FLIPPED * chance / chance.mean())
    drawn = np.array([generator.choice(count, p=row / row.sum()) for row in doubts + 1e-12])
    return np.where(is_flipped, drawn, true)


def annotator(texts: Sequence[str], true: np.ndarray, count: int, generator: np.random.Generator) -> Floats:
    """Return the probabilities (n, K) of a weak annotator: words, learnt from a few rows of the other half."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    words = TfidfVectorizer(min_df=2).fit_transform(texts)
    order, found = generator.permutation(len(texts)), np.zeros((len(texts), count))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    for learnt, judged in (halves, halves[::-1]):
        read = learnt[: max(200, READ_BY_ANNOTATOR * count)]
        model = LogisticRegression(C=3.0, max_iter=300).fit(words[read], true[read])
        found[np.ix_(judged, model.classes_)] = model.predict_proba(words[judged])
    return found


def kept_vectors(given: Any, name: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return texts, label numbers and MiniLM's vectors of some training rows, encoded once."""
    path = given.vectors / f"{name}.npz"
    if not path.is_file():
        from nlptl.context import RunContext
        from nlptl.data import TextData
        from nlptl.stages.bert import Bert

        one = EVERY[name]
        rows = read_texts(given.folder, one.folder, one.train)
        pairs = [*dict.fromkeys(zip(rows.texts(), rows.labels(), strict=True))]
        pairs = [pairs[place] for place in np.random.default_rng(0).permutation(len(pairs))[:KEPT]]
        encoder = Bert(weights="minilm").run(data=TextData(unlabelled=["a text"]), context=RunContext(device="cpu"))
        texts, labels = zip(*pairs, strict=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, vectors=encoder.encode(list(texts)), labels=np.array(labels), texts=np.array(texts))
    found = np.load(path)
    return found["texts"].tolist(), np.unique(found["labels"], return_inverse=True)[1], found["vectors"]


def copies(given: Any) -> Iterator[dict[str, Any]]:
    """Yield the seconds that near-copies of all reviews take, and how many planted ones are found."""
    texts = read_texts(given.folder, EVERY["imdb"].folder, EVERY["imdb"].train).texts()
    near_copies(texts[:100])  # so that nothing is made for the first time
    seconds, used = [], []
    for _ in range(REPEATS):
        begin, cpu = time.perf_counter(), time.process_time()
        found = near_copies(texts)
        seconds.append(round(time.perf_counter() - begin, 2))
        used.append(round(time.process_time() - cpu, 2))
    generator = np.random.default_rng(FIRST_SEED)
    changed = [altered(text, generator) for text in texts[:PLANTED]]
    pairs = {(int(one), int(other)) for one, other in near_copies([*texts[:PLANTED], *changed]).pairs}
    recall = sum((row, row + len(changed)) in pairs for row in range(len(changed))) / len(changed)
    yield {
        "part": "copies", "texts": len(texts), "seconds": seconds, "cpu_seconds": used, "pairs": len(found.pairs),
        "planted": len(changed), "recall": recall,
    }  # fmt: skip


def altered(text: str, generator: np.random.Generator) -> str:
    """Return a text in which one word of 25 is another one."""
    words = text.split()
    for place in generator.integers(len(words), size=max(1, len(words) // 25)):
        words[place] = "zebra"
    return " ".join(words)


def scale(given: Any) -> Iterator[dict[str, Any]]:
    """Yield minutes and memory of the command on files of many rows, every tenth with a label."""
    for count in given.many:
        with tempfile.TemporaryDirectory(prefix="audit-") as name:
            path = Path(name) / "many.csv"
            write_many(given, path, count)
            begin = time.perf_counter()
            command = [sys.executable, "-m", "nlptl", "audit", str(path), "--out", str(Path(name) / "out"), "--quiet"]
            child = subprocess.run(command, check=True, capture_output=True, text=True)
            minutes = (time.perf_counter() - begin) / 60
            gib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            found = json.loads((Path(name) / "out" / "audit.json").read_text())
        counts = {one["kind"]: one["rows"] for one in found["findings"]}
        yield {
            "part": "scale", "rows": count, "minutes": round(minutes, 2), "gib": round(gib, 2), "lines": child.stdout.count("\n"),
            "encoded": found["encoded"], "near_copies": counts["near_copies"], "copies": counts["copies"],
        }  # fmt: skip


def write_many(given: Any, path: Path, count: int) -> None:
    """Write a table of sentences, each joined of the halves of two training texts of one label."""
    one = EVERY["sentiment"]
    rows = read_texts(given.folder, one.folder, one.train)
    by_label: dict[str, list[list[str]]] = {}
    for text, label in zip(rows.texts(), rows.labels(), strict=True):
        by_label.setdefault(label, []).append(text.split())
    generator, labels = np.random.default_rng(FIRST_SEED), sorted(by_label)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for row in range(count):
            label = labels[int(generator.integers(len(labels)))]
            first, second = (by_label[label][int(generator.integers(len(by_label[label])))] for _ in range(2))
            text = " ".join([*first[: len(first) // 2], *second[len(second) // 2 :]])
            writer.writerow([text or "nothing", label if row % 10 == 0 else ""])


PARTS = {"noise": noise, "copies": copies, "scale": scale}

if __name__ == "__main__":
    main()
