"""What a core predicts and encodes in a second, here and on a Ray cluster of this machine, and what a billion texts cost.

    python benchmarks/scale.py

The posts of data/tweets, repeated, as parquet shards. Each arm is a command of its own: this process, or Ray with one and with two
workers of one thread each. What is measured is kept in runs/benchmarks/scale/measured.jsonl, and a stopped benchmark goes on
from there. Takes about five minutes on two cores. Writes benchmarks/results/scale.json and the table in docs/scale.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from results import write_result

ROOT = Path(__file__).parent.parent
SCRATCH = ROOT / "runs" / "benchmarks" / "scale"
DOCS = ROOT / "docs" / "scale.md"
PIPELINES = {"word vectors": "tweets-skipgram", "MiniLM": "tweets-head"}
TEXTS = {"word vectors": 400_000, "MiniLM": 4_000, "MiniLM int8": 8_000}
SHARDS = 8
ENGINES = ("local", "ray 1", "ray 2")
BILLION = 1_000_000_000
COMMANDS = {"word vectors": ("predict", "encode"), "MiniLM": ("predict", "encode"), "MiniLM int8": ("predict",)}
BEGIN, END = "<!-- measured -->\n", "<!-- end -->\n"


def main() -> None:
    chosen = argparse.ArgumentParser(description=__doc__)
    chosen.add_argument("--tiny", action="store_true", help="few texts, to try the benchmark")
    chosen.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    arguments = chosen.parse_args()
    counts = {model: count // 200 if arguments.tiny else count for model, count in TEXTS.items()}
    scratch = SCRATCH.with_name("scale-tiny") if arguments.tiny else SCRATCH
    scratch.mkdir(parents=True, exist_ok=True)
    kept = scratch / "measured.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []
    for model, command, engine in arms(arguments.engines):
        if not any((row["model"], row["command"], row["engine"]) == (model, command, engine) for row in rows):
            row = measured(model, command, engine, counts[model], scratch)
            with kept.open("a") as file:
                file.write(json.dumps(row) + "\n")
            rows.append(row)
            print(row, flush=True)
    if arguments.tiny:
        return
    write_result(
        "scale", command="python benchmarks/scale.py", seeds=[13], rows=rows, bars=bars(rows),
        packages=["nlptl", "torch", "ray", "onnxruntime", "pyarrow"],
    )  # fmt: skip
    write_table(rows, DOCS)


def arms(engines: list[str]) -> Iterator[tuple[str, str, str]]:
    for model, commands in COMMANDS.items():
        for command in commands:
            for engine in engines:
                yield model, command, engine


def measured(model: str, command: str, engine: str, count: int, scratch: Path) -> dict[str, Any]:
    """Return what one command took: in all, in its workers, and for a text."""
    run, pile, out = run_of(model, scratch), pile_of(count, scratch), scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    name, _, workers = engine.partition(" ")
    where = ["--engine", name, "--workers", workers] if workers else []
    words = [command, str(run), "--file", str(pile), "--out", str(out), "--shard-rows", str(-(-count // SHARDS))]
    begin = time.perf_counter()
    nlptl(*words, *where, "--quiet", threads=1 if not workers else int(workers))
    seconds = time.perf_counter() - begin
    receipts = json.loads((out / "_pile.json").read_text())["receipts"]
    texts, busy = sum(one["rows"] for one in receipts), sum(one["seconds"] for one in receipts)
    assert texts == count
    size = sum(path.stat().st_size for path in out.glob("part-*"))
    return {
        "model": model, "command": command, "engine": engine, "texts": texts, "seconds": round(seconds, 2),
        "worker_seconds": round(busy, 2), "texts_per_core_second": round(texts / busy, 1),
        "bytes_per_text": round(size / texts, 1),
    }  # fmt: skip


def run_of(model: str, scratch: Path) -> Path:
    """Return the classifier of a model, trained or exported once."""
    name = model.removesuffix(" int8")
    run = scratch / PIPELINES[name]
    if not (run / "evaluation.json").is_file():
        nlptl("run", str(ROOT / "pipelines" / f"{PIPELINES[name]}.yaml"), "--out", str(run), "--quiet")
    if name == model:
        return run
    export = scratch / f"{PIPELINES[name]}-int8"
    if not export.is_dir():
        nlptl("export", str(run), "--out", str(export), "--precision", "int8", "--quiet")
    return export


def pile_of(count: int, scratch: Path) -> Path:
    """Return a folder of parquet shards with the posts, repeated up to `count`, each with its number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = scratch / f"pile-{count}"
    if not (folder / f"part-{SHARDS - 1}.parquet").is_file():
        folder.mkdir(exist_ok=True)
        with (ROOT / "data" / "tweets" / "train.csv").open(encoding="utf-8", newline="") as file:
            posts = [row["text"] for row in csv.DictReader(file)]
        size = -(-count // SHARDS)
        for shard in range(SHARDS):
            numbers = range(shard * size, min(count, (shard + 1) * size))
            texts = [f"{posts[number % len(posts)]} {number}" for number in numbers]
            pq.write_table(pa.table({"text": texts}), folder / f"part-{shard}.parquet")
    return folder


def nlptl(*words: str, threads: int = 0) -> None:
    """Run a command on so many threads; 0 leaves them as they are."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **({"OMP_NUM_THREADS": "1"} if threads else {})}
    cores = sorted(os.sched_getaffinity(0))
    limit = ["taskset", "-c", ",".join(map(str, cores[-threads:]))] if threads and shutil.which("taskset") else []
    subprocess.run([*limit, sys.executable, "-m", "nlptl", *words], check=True, env=environment, cwd=ROOT)


def bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how much of one process's rate a worker of a cluster keeps; told, not promised."""
    found = []
    for model, commands in COMMANDS.items():
        for command in commands:
            rates = rates_of(rows, model, command)
            for engine in ("ray 1", "ray 2"):
                if {"local", engine} <= rates.keys():
                    name = f"{command}, {model}: rate of a worker of {engine} / rate of one process"
                    found.append({"name": name, "value": round(rates[engine] / rates["local"], 2)})
    return found


def rates_of(rows: list[dict[str, Any]], model: str, command: str) -> Mapping[str, float]:
    return {
        row["engine"]: row["texts_per_core_second"]
        for row in rows
        if (row["model"], row["command"]) == (model, command)
    }


def table_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the table of docs/scale.md: rates, core-hours of a billion texts, and bytes of the results."""
    yield "| model | command | texts a core-second, here | by Ray, 1 / 2 workers | core-hours for 10⁹ texts | bytes a text |\n"
    yield "|---|---|---:|---:|---:|---:|\n"
    for model, commands in COMMANDS.items():
        for command in commands:
            rates = rates_of(rows, model, command)
            if "local" not in rates:
                continue
            size = next(row["bytes_per_text"] for row in rows if (row["model"], row["command"]) == (model, command))
            others = " / ".join(f"{rates[name]:,.0f}" if name in rates else "–" for name in ("ray 1", "ray 2"))
            hours = BILLION / rates["local"] / 3600
            yield f"| {model} | {command} | {rates['local']:,.0f} | {others} | {hours:,.0f} | {size:,.0f} |\n"


def write_table(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the table between the marks of docs/scale.md."""
    text = path.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    path.write_text(f"{before}{BEGIN}{''.join(table_lines(rows))}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
