"""The quickstart's comparisons, kept.

    python benchmarks/reviews.py [reviews-skipgram quickstart]

Runs the pipelines and writes every trial and the table of each to benchmarks/results/reviews.json and quickstart.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from results import write_result

from nlptl import Pipeline

RESULTS = {"reviews-skipgram": "reviews", "quickstart": "quickstart"}
PACKAGES = ["nlptl", "gensim", "torch", "tokenizers", "numpy", "transformers", "peft"]


def main(names: Sequence[str]) -> None:
    for name in names:
        compare(name, Path("pipelines") / f"{name}.yaml", Path("runs") / name)


def compare(name: str, pipeline: Path, out: Path) -> None:
    chain = Pipeline.from_yaml(pipeline)
    result = chain.run(out, where=str(pipeline)).comparison
    assert result is not None
    assert chain.compare is not None
    print(result.sentence)
    rows = [json.loads(line) for line in (out / "comparison.jsonl").read_text(encoding="utf-8").splitlines()]
    bars = [
        {
            "name": f"{found.test}: difference in accuracy, {arm}",
            "test": found.test,
            "value": round(difference.difference.value, 5),
            "range": str(difference.difference),
            "arms": {arm: str(score) for arm, score in zip(result.arms, found.accuracies, strict=True)},
            "better_equal_worse": [difference.wins, difference.ties, difference.losses],
            "texts": found.texts,
        }
        for found in result.results
        for arm, difference in zip(result.arms[1:], found.differences, strict=True)
    ]
    write_result(
        RESULTS[name],
        command=f"python benchmarks/reviews.py {name}",
        seeds=[*range(chain.seed, chain.seed + chain.compare.seeds)],
        rows=[{key: row[key] for key in ("test", "arm", "seed", "accuracy", "correct")} for row in rows],
        bars=bars,
        packages=PACKAGES,
    )


if __name__ == "__main__":
    main(sys.argv[1:] or list(RESULTS))
