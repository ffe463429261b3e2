"""Is nlptl as fast and as good as before? The same benchmark scripts of two checkouts, in turn, on one machine.

    python benchmarks/checkouts.py BEFORE AFTER DIR [--rounds 2] [--parts fewshot finetune encode word2vec]

BEFORE and AFTER are checkouts to spare: each writes its results into itself. DIR holds the data sets, as for the scripts.
Every round runs each part in BEFORE, then in AFTER, with nlptl's own arms compared alone:

fewshot    update method auto, 8 labels, three sets, five splits: score on the test and seconds of training
finetune   full, LoRA, partial and head on emotion, fixed epochs: seconds
encode     sentence vectors of short and long texts: seconds
word2vec   skip-gram on short texts: seconds

A ratio is the median of AFTER over the median of BEFORE; its range is over the pairs. Bars: the mean score falls by at
most a point, and no median is more than a tenth slower. Writes benchmarks/results/checkouts.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import results

MAX_SLOWER, MAX_WORSE = 1.10, 0.01
SETS = ("emotion", "hahackathon", "cr")


@dataclass(frozen=True)
class Part:
    """One script, and where a checkout keeps its runs."""

    arguments: tuple[str, ...]
    kept: str
    arms: tuple[str, ...]
    key: tuple[str, ...]
    """Fields that tell apart what is compared."""


PARTS = {
    "fewshot": Part(
        ("fewshot.py", "--arms", "auto", "--shots", "8", "--splits", "5", "--disturbed", "--sets", *SETS),
        "runs/benchmarks/fewshot.jsonl", ("auto",), ("set", "seed"),
    ),
    "finetune": Part(
        ("finetune.py", "--parts", "speed", "--sets", "emotion", "--repeats", "1", "--fresh"),
        "benchmarks/results/finetune-speed.json", ("nlptl",), ("set", "update"),
    ),
    "encode": Part(
        ("encode.py", "--repeats", "1"), "benchmarks/results/encode.json", ("nlptl",), ("set", "precision")
    ),
    "word2vec": Part(
        ("word2vec.py", "--parts", "short", "--repeats", "1"), "benchmarks/results/word2vec-short.json", ("nlptl",), ("texts",)
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("data", type=Path, metavar="DIR")
    parser.add_argument("--rounds", type=int, default=2, help="more narrow the ranges")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    asked = parser.parse_args()
    rows = []
    for number in range(asked.rounds):
        for name in asked.parts:
            for which, checkout in (("before", asked.before), ("after", asked.after)):
                rows += [{"round": number, **row} for row in run(PARTS[name], name, which, checkout, asked.data)]
    summary = list(summarised(rows))
    for line in summary:
        print(told(line))
    results.write_result(
        "checkouts",
        command=f"python benchmarks/checkouts.py BEFORE AFTER DIR --rounds {asked.rounds} --parts {' '.join(asked.parts)}",
        seeds=range(5),
        rows=rows,
        bars=bars_of(summary),
        packages=("torch", "transformers", "numba", "numpy"),
        notes=[told(line) for line in summary],
    )


def run(part: Part, name: str, which: str, checkout: Path, data: Path) -> Iterator[dict[str, Any]]:
    """Run a part in a checkout and yield the runs of nlptl's own arms."""
    kept = checkout / part.kept
    kept.unlink(missing_ok=True)
    script, *arguments = part.arguments
    command = [sys.executable, f"benchmarks/{script}", str(data.resolve()), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, check=False)
    if not kept.is_file():
        raise SystemExit(
            f"{checkout}: {script} ended with {done.returncode} and left no {part.kept}. Run it by hand there."
        )
    text = kept.read_text(encoding="utf-8")
    lines = (
        [json.loads(line).get("row", {}) for line in text.splitlines()]
        if kept.suffix == ".jsonl"
        else json.loads(text)["rows"]
    )
    for row in lines:
        if row.get("arm") in part.arms and row.get("part") in (None, "short", "speed", "fewshot"):
            identity = "/".join(str(row[field]) for field in part.key)
            yield {"part": name, "checkout": which, "case": identity, "seconds": row["seconds"], **score_of(row)}


def score_of(row: dict[str, Any]) -> dict[str, float]:
    return {"score": row["score"]} if "score" in row else {}


def summarised(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield one line a part and case, of few-shot splits all of a set together."""

    def case(row: dict[str, Any]) -> tuple[str, str]:
        return row["part"], row["case"].split("/")[0] if row["part"] == "fewshot" else row["case"]

    for key in dict.fromkeys(case(row) for row in rows):
        sides = {
            which: [row for row in rows if case(row) == key and row["checkout"] == which]
            for which in ("before", "after")
        }
        pairs = [b["seconds"] / a["seconds"] for a, b in zip(sides["before"], sides["after"], strict=True)]
        median = {which: statistics.median(row["seconds"] for row in side) for which, side in sides.items()}
        line: dict[str, Any] = {"part": key[0], "case": key[1], "ratio": round(median["after"] / median["before"], 3)}
        line |= {"range": [round(min(pairs), 3), round(max(pairs), 3)]}
        if all("score" in row for side in sides.values() for row in side):
            mean = {which: statistics.mean(row["score"] for row in side) for which, side in sides.items()}
            line |= {"before": round(mean["before"], 4), "after": round(mean["after"], 4)}
        yield line


def told(line: dict[str, Any]) -> str:
    score = f", score {line['before']:.3f} before, {line['after']:.3f} after" if "before" in line else ""
    low, high = line["range"]
    return f"{line['part']} {line['case']}: {line['ratio']:.2f} times the seconds [{low:.2f}, {high:.2f}]{score}"


def bars_of(summary: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    slowest = max(line["ratio"] for line in summary)
    gained = [line["after"] - line["before"] for line in summary if "before" in line]
    bars = [{"name": "slowest case: seconds after over before", "value": slowest, "at_most": MAX_SLOWER}]
    if gained:
        bars.append(
            {"name": "score after less before", "value": round(statistics.mean(gained), 4), "at_least": -MAX_WORSE}
        )
    return bars


if __name__ == "__main__":
    main()
