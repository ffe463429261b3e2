"""The quickstart's comparison, kept.

    python benchmarks/reviews.py

Runs pipelines/reviews-skipgram.yaml and writes every trial and the table to benchmarks/results/reviews.json.
"""

from __future__ import annotations

import json
from pathlib import Path

from results import write_result

from nlptl import Pipeline

PIPELINE = Path("pipelines/reviews-skipgram.yaml")
OUT = Path("runs/reviews-skipgram")


def main() -> None:
    chain = Pipeline.from_yaml(PIPELINE)
    result = chain.run(OUT, where=str(PIPELINE)).comparison
    assert result is not None
    assert chain.compare is not None
    print(result.sentence)
    rows = [json.loads(line) for line in (OUT / "comparison.jsonl").read_text(encoding="utf-8").splitlines()]
    bars = [
        {
            "name": f"{found.test}: difference in accuracy",
            "value": round(found.difference.difference.value, 5),
            "range": str(found.difference.difference),
            "arms": {arm: str(score) for arm, score in zip(result.arms, found.accuracies, strict=True)},
            "better_equal_worse": [found.difference.wins, found.difference.ties, found.difference.losses],
            "texts": found.texts,
        }
        for found in result.results
    ]
    write_result(
        "reviews",
        command="python benchmarks/reviews.py",
        seeds=[*range(chain.seed, chain.seed + chain.compare.seeds)],
        rows=[{key: row[key] for key in ("test", "arm", "seed", "accuracy", "correct")} for row in rows],
        bars=bars,
        packages=["nlptl", "gensim", "torch", "tokenizers", "numpy"],
    )


if __name__ == "__main__":
    main()
