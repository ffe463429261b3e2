"""What `nlptl start` hands out, beside the baselines of its own table, on tests that it has never seen.

    python benchmarks/start.py DIR [--sets …] [--sizes 8 16 64 all] [--seeds 0 1] [--minutes 10]
    python benchmarks/start.py DIR --publish           nothing is run: all kept runs into benchmarks/results

DIR holds tweeteval/emotion, hahackathon, cr, banking77 and chabsa_ja as JSON lines. For each set, size and seed the training
rows become a CSV as a user has it: so many rows a label have one (or all), up to 3,000 others do not. `nlptl start` reads it
in a process of its own. Then the classifier that it hands out and the baselines of its table, which learn the same rows,
predict the set's real test.

Told are the accuracy there, whether the interval that start states covers it, the difference from the baseline that is
best on this test, with a paired interval, and the seconds beside the minutes. Baselines are the most frequent label, words,
word vectors, names alone and a head alone: all candidates that take seconds. Every run is kept
(runs/benchmarks/start.jsonl), so that an interrupted one goes on. Writes benchmarks/results/start.json.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import arms
import numpy as np
from start_bars import bars_of
from start_files import ALL, DRAWN_FROM, LANGUAGES, Given, given, write_csv

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.data.load import load_data
from nlptl.evaluation.intervals import paired_difference
from nlptl.models.classifier import TextClassifier
from nlptl.runs.judging.encoder_at_hand import encoder_at_hand
from nlptl.runs.judging.fits import Fits
from nlptl.runs.judging.splits import judged_on_test
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.start.candidates import candidates_for
from nlptl.runs.start.outcome import StartOutcome

SIZES = ("8", "16", "64", ALL)
SEEDS, MINUTES = (0, 1), 10.0
SHARED = "Start had one thread (OMP_NUM_THREADS=1) of a machine that was shared."


def main(argv: Sequence[str]) -> Path | None:
    options = read_options(argv)
    arms.device_of("cpu")
    kept = arms.Kept("start", {"minutes": options.minutes})
    if options.publish:
        return publish(kept, options)
    arms.begin(f"at most {options.minutes:g} minutes a run, and one or two more for the baselines")
    for seed in options.seeds:
        for size in options.sizes:
            for name in options.sets:
                if kept.find(name, size, seed) is None:
                    row = measured(name, size, seed, options)
                    kept.add(row, name, size, seed)
                    print(told(row), flush=True)
    return None


def read_options(argv: Sequence[str]) -> Any:
    parser = arms.arguments(
        __doc__,
        sets={"nargs": "+", "choices": list(DRAWN_FROM), "default": list(DRAWN_FROM)},
        sizes={"nargs": "+", "choices": list(SIZES), "default": list(SIZES), "help": "labelled rows a label"},
        seeds={"nargs": "+", "type": int, "default": list(SEEDS), "help": "of the draws"},
        minutes={"type": float, "default": MINUTES, "help": "that start is given"},
        scratch={"type": Path, "default": arms.SCRATCH / "start", "help": "holds the CSV files and what start makes of them"},
        publish={"action": "store_true", "help": "run nothing; write all kept runs into benchmarks/results"},
        out=arms.OUT,
    )  # fmt: skip
    return parser.parse_args(argv)


def measured(name: str, size: str, seed: int, options: Any) -> arms.Row:
    """Return what one start hands out, and how good it and its baselines are."""
    rows = given(options.folder, name, size=size, seed=seed)
    folder = options.scratch / f"{name}-{size}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)  # a second call of start goes on from the first
    write_csv(rows, folder / "rows.csv", seed=seed)
    seconds = started(folder, minutes=options.minutes)
    outcome = StartOutcome.read(folder / "out")
    if outcome is None:
        raise SystemExit(f"{folder / 'out'}: holds no start.json; expected one. Read {folder / 'told.txt'}.")
    truth = np.array(rows.test.labels())
    predicted = np.array(TextClassifier.load(folder / "out" / "run").predict(rows.test.texts()))
    right = {one: found == truth for one, found in baselines(folder, rows, outcome, LANGUAGES.get(name, "en")).items()}
    ours, best = predicted == truth, max(right, key=lambda one: right[one].mean())
    difference = paired_difference([right[best].astype(float)], [ours.astype(float)]).difference
    chosen = outcome.chosen
    return {
        "set": name, "size": size, "seed": seed, "minutes": options.minutes, "seconds": round(seconds, 1),
        "labelled": len(rows.labelled), "pile": len(rows.pile), "test": len(rows.test), "judged": outcome.judged,
        "judged_texts": outcome.texts, "chosen": chosen.name, "accuracy": share(ours),
        "estimate": [rounded(chosen.accuracy.value), rounded(chosen.accuracy.low), rounded(chosen.accuracy.high)],
        "estimates": {one.name: round(one.accuracy.value, 4) for one in outcome.candidates},
        "baselines": {one: share(found) for one, found in right.items()}, "best": best,
        "difference": [round(end, 4) for end in (difference.value, difference.low, difference.high)],
        "verdict": outcome.verdict,
    }  # fmt: skip


def share(right: np.ndarray) -> float:
    return round(float(right.mean()), 4)


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def started(folder: Path, *, minutes: float) -> float:
    """Run `nlptl start` on the CSV of a folder, and return its seconds. Its words are kept in told.txt."""
    command = [sys.executable, "-m", "nlptl", "start", "rows.csv", "--minutes", f"{minutes:g}", "--out", "out"]
    root = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    begin = time.perf_counter()
    with (folder / "told.txt").open("w", encoding="utf-8") as file:
        code = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code:
        raise SystemExit(f"{folder}: `{' '.join(command[1:])}` ended with code {code}. Read {folder / 'told.txt'}.")
    return time.perf_counter() - begin


def baselines(folder: Path, rows: Given, outcome: StartOutcome, language: str) -> dict[str, np.ndarray]:
    """Return what the quick candidates of start's table predict for the test, having learnt what its classifier learnt."""
    pipeline = Pipeline.from_yaml(folder / "out" / "pipeline.yaml")
    data, _ = load_data(pipeline.data, seed=pipeline.seed)
    assert data.labelled is not None
    learnt = TextData(labelled=data.labelled, unlabelled=data.unlabelled, test=(rows.test.texts(), rows.test.labels()))
    path = folder / "baselines.jsonl"
    fits = Fits(learnt, judged_on_test(learnt, held_out=None), path, RunContext(seed=pipeline.seed, device="cpu"))
    encoder, pile = encoder_at_hand(language), 0 if data.unlabelled is None else len(data.unlabelled)
    chains = candidates_for(outcome.labels, encoder, pile=pile, few=False, minutes=1)
    quick = [chain for chain in chains if not chain.slow]
    told = {candidate.name for candidate in outcome.candidates}
    if missing := [chain.name for chain in quick if chain.name not in told]:
        print(f"  left out of start's own table: {', '.join(missing)}", flush=True)
    labels = np.array(fits.labels)
    return {chain.name: labels[fits.fit(chain, 0).predictions().argmax(axis=1)] for chain in quick}


def told(row: arms.Row) -> str:
    low, high = row["estimate"][1:]
    interval = "no interval" if low is None else f"{low:.3f} to {high:.3f}"
    return (
        f"{row['set']} {row['size']} ({row['seed']}): {row['accuracy']:.3f} by {row['chosen']!r} (own estimate "
        f"{row['estimate'][0]:.3f}, {interval}); best baseline {row['baselines'][row['best']]:.3f} by {row['best']!r}, difference "
        f"{row['difference'][0]:+.3f} [{row['difference'][1]:+.3f}, {row['difference'][2]:+.3f}]; {row['seconds']:.0f} s"
    )


def publish(kept: arms.Kept, options: Any) -> Path:
    order = list(DRAWN_FROM)
    rows = sorted(kept.rows(), key=lambda row: (order.index(row["set"]), SIZES.index(row["size"]), row["seed"]))
    sizes = {size for size in SIZES if any(row["size"] == size for row in rows)}
    missing = [size for size in SIZES if size not in sizes]
    return arms.publish(
        "start", tiny=options.tiny, out=options.out, command="python benchmarks/start.py DIR",
        seeds=sorted({row["seed"] for row in rows}), rows=rows, bars=bars_of(rows),
        notes=[SHARED, *([f"Not measured: {', '.join(missing)} labels."] if missing else [])],
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
