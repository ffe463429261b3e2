"""All that is measured on a GPU, as one command of at most ten minutes.

    python benchmarks/gpu.py DIR [--data DATA] [--dry-run]

Four parts run one after the other: the GPU's tests compiled, skip-gram, fine-tuning (full and LoRA) and encoding beside their
peers. Each has a process of its own, a time limit, a log DIR/PART.log and a result in DIR. A part that fails or runs out of
time does not stop the others. The end prints one table, and the command exits with 1 where a part failed. Peers that are not
installed are left out and named below the table. Fine-tuning keeps every run in DIR: a second call goes on after them.

DATA holds tweeteval/emotion, imdb, enwiki2015/text8style.txt.gz and wordsim, as the other benchmarks want them. Without it
the texts are made (see made_texts.py), which is enough for speed; what the word vectors are worth is then not measured.
--dry-run walks all parts on the CPU within a minute: tiny made texts, tiny random weights, Triton's interpreter, half
precision too. It cannot walk what torch does on a GPU alone: the compiled Trainer and the fused attention kernels.
Where nlptl is not installed, this command finds it beside itself. Of several GPUs only the first one is used.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import made_texts

HERE = Path(__file__).parent
ROOT = HERE.parent
LOG_LINES = 12  # of a part that failed, shown at once


@dataclass(frozen=True)
class Part:
    """One script with its arguments, its time limit in seconds, and the name of the result that it writes."""

    name: str
    command: tuple[str, ...]
    limit: float
    result: str


@dataclass(frozen=True)
class Outcome:
    """What became of a part; `result` is None where it wrote none."""

    part: Part
    seconds: float
    told: str
    result: Path | None

    @property
    def is_good(self) -> bool:
        return self.told == "done"


def main(argv: Sequence[str]) -> int:
    options = parsed(argv)
    if not options.dry_run:
        refuse_without_gpu()
    begin = time.perf_counter()
    options.folder.mkdir(parents=True, exist_ok=True)
    data = options.data or options.folder / "texts"
    if options.data is None:
        made_texts.write_texts(data, made_texts.TINY if options.dry_run else made_texts.LIKE_THE_DATA_SETS)
        print(f"made texts in {time.perf_counter() - begin:.0f} s", flush=True)
    parts = parts_of(options.folder, data, dry_run=options.dry_run, is_made=options.data is None)
    outcomes = run_all(parts, options.folder, environment(dry_run=options.dry_run))
    print(report(outcomes, options.folder))
    return int(not all(outcome.is_good for outcome in outcomes))


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="gets the results and the logs")
    parser.add_argument("--data", type=Path, metavar="DATA", help="holds the data sets; default: texts are made")
    parser.add_argument("--dry-run", action="store_true", help="walk all parts on the CPU at tiny size")
    options = parser.parse_args(argv)
    options.folder = options.folder.resolve()
    if options.dry_run and options.data is not None:
        parser.error("--dry-run makes its own texts. Leave out --data.")
    if options.folder == (HERE / "results").resolve():
        parser.error("DIR is benchmarks/results, which holds committed results. Choose another folder.")
    return options


def refuse_without_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise SystemExit(
            "gpu: torch sees no CUDA device here. Check the driver, or try the command out with --dry-run."
        )


def parts_of(folder: Path, data: Path, *, dry_run: bool, is_made: bool) -> list[Part]:
    """Return the parts; their limits leave half a minute of ten for making texts. A dry run on a busy CPU gets more."""
    shared = ("--out", str(folder), *(("--tiny",) if dry_run else ()))
    cuda, patience = ("", 4) if dry_run else ("-cuda", 1)
    return [
        Part("tests", ("gpu_tests.py", *shared), 80 * patience, "gpu-tests"),
        Part(
            "word2vec", ("word2vec_gpu.py", *word2vec(data, dry_run, is_made), *shared), 160 * patience, "word2vec-gpu"
        ),
        Part(
            "finetune", ("finetune.py", str(data), *finetune(dry_run), *shared), 220 * patience, f"finetune-speed{cuda}"
        ),
        Part("encode", ("encode.py", str(data), *encode(dry_run), *shared), 110 * patience, f"encode{cuda}"),
    ]


def word2vec(data: Path, dry_run: bool, is_made: bool) -> tuple[str, ...]:
    repeats = ("--repeats", "1" if dry_run else "3")
    if is_made:
        return (str(data / "words.txt.gz"), *repeats)
    return (str(data / "enwiki2015/text8style.txt.gz"), "--wordsim", str(data / "wordsim"), "--seeds", "1", *repeats)


def finetune(dry_run: bool) -> tuple[str, ...]:
    what = ("--parts", "speed", "--sets", "emotion", "--updates", "full", "lora")
    if dry_run:
        return (*what, "--device", "cpu", "--precision", "bfloat16", "--repeats", "1")
    return (*what, "--device", "cuda", "--repeats", "2")


def encode(dry_run: bool) -> tuple[str, ...]:
    if dry_run:
        return ("--device", "cpu", "--apart", "--precisions", "float32", "bfloat16", "--repeats", "1")
    return ("--device", "cuda", "--repeats", "3")


def environment(*, dry_run: bool) -> dict[str, str]:
    """Return the environment of the parts: nlptl from this checkout, one GPU, Triton compiled or interpreted."""
    found = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    beside = found.get("PYTHONPATH")
    found |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{beside}" if beside else str(ROOT), "PYTHONUNBUFFERED": "1"}
    if dry_run:
        return {**found, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    # transformers' Trainer would spread its batches over all GPUs that it sees.
    return {**found, "CUDA_VISIBLE_DEVICES": found.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}


def run_all(parts: Sequence[Part], folder: Path, environment: dict[str, str]) -> list[Outcome]:
    """Run the parts in turn, whatever becomes of them, and tell each one's outcome at once."""
    outcomes = []
    for part in parts:
        log = folder / f"{part.name}.log"
        print(f"{part.name}: at most {part.limit:g} s, log in {log.name}", flush=True)
        outcomes.append(run(part, folder, log, environment))
        print(f"{part.name}: {outcomes[-1].told} after {outcomes[-1].seconds:.1f} s", flush=True)
        if not outcomes[-1].is_good:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
            print(*(f"    {line}" for line in lines), sep="\n", flush=True)
    return outcomes


def run(part: Part, folder: Path, log: Path, environment: dict[str, str]) -> Outcome:
    """Run one part within its limit; the processes that it started end with it."""
    path = folder / f"{part.result}.json"
    path.unlink(missing_ok=True)  # an older one would be taken for this run's
    script, *arguments = part.command
    begin = time.perf_counter()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, str(HERE / script), *arguments], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
            stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(timeout=part.limit)
            told = f"failed (exit code {code})" if code else "done" if path.is_file() else "failed (no result)"
        except subprocess.TimeoutExpired:
            told = f"out of time ({part.limit:g} s)"
        finally:
            end(process)
    return Outcome(part, time.perf_counter() - begin, told, path if path.is_file() else None)


def end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a part: its own process and those that it started, which share its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def report(outcomes: Sequence[Outcome], folder: Path) -> str:
    """Return the table of all parts, then what their results say was left out."""
    rows = [("part", "seconds", "outcome", "result")]
    for outcome in outcomes:
        name = outcome.result.name if outcome.result else "none"
        rows.append((outcome.part.name, f"{outcome.seconds:.1f}", outcome.told, name))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        f"{name:<{widths[0]}}  {seconds:>{widths[1]}}  {told:<{widths[2]}}  {result}"
        for name, seconds, told, result in rows
    ]
    notes = [
        f"{outcome.part.name}: {note}"
        for outcome in outcomes
        if outcome.result
        for note in json.loads(outcome.result.read_text(encoding="utf-8")).get("notes", [])
    ]
    return "\n".join(["", *lines, "", *notes, f"Results and logs are in {folder}."])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
