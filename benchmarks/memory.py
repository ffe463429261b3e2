"""Memory and time of reading a gigabyte of text; run as: python benchmarks/memory.py.

Writes 1 GB of random words (about 100 bytes a line, one line in a thousand given twice) and a small labelled test file,
of which 50 texts stand in the pile too, into a temporary folder. A process of its own then loads both with `load_data`:
checks, duplicates, leaks and their removal. It is run twice, with an empty cache and with the cache of the first run.

Memory is counted above the idle process, which has imported nlptl.data, pyarrow and datasets. Anonymous memory is what
the process itself holds; the resident set also counts the pages of mapped files, which the system takes back when it
needs them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from results import is_met, write_result

SEED = 13
MOST_MB = 500
LEAST_MB_PER_SECOND = 50
LEAKS = 50


def main() -> None:
    """Measure, write benchmarks/results/memory.json and print the rows and bars."""
    parser = argparse.ArgumentParser(description="Memory and time of reading a large pile of text.")
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the pile")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    with tempfile.TemporaryDirectory(prefix="nlptl-memory-") as name:
        folder = Path(name)
        write_data(folder, megabytes=arguments.megabytes)
        rows = [{"cache": cache, **run(folder)} for cache in ("empty", "filled")]
    bars = [
        {"name": "anonymous memory above idle, MB", "value": highest(rows, "anonymous_mb"), "at_most": MOST_MB},
        {"name": "resident set above idle, MB", "value": highest(rows, "resident_mb"), "at_most": MOST_MB},
        {"name": "MB a second, empty cache", "value": rows[0]["mb_per_second"], "at_least": LEAST_MB_PER_SECOND},
    ]
    command = "python benchmarks/memory.py" + (
        f" --megabytes {arguments.megabytes}" if arguments.megabytes != 1000 else ""
    )
    packages = ("datasets", "pyarrow", "numpy")
    path = write_result("memory", command=command, seeds=[SEED], rows=rows, bars=bars, packages=packages)
    for row in rows:
        print(row)
    for bar in bars:
        print("met   " if is_met(bar) else "MISSED", bar)
    print(path)


def highest(rows: list[dict[str, object]], name: str) -> float:
    """Return the largest value of one column."""
    return max(float(str(row[name])) for row in rows)


def write_data(folder: Path, *, megabytes: int) -> None:
    """Write pile.txt and test.csv."""
    chance = random.Random(SEED)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyzäöü", k=chance.randint(2, 10))) for _ in range(30_000)]
    block = [" ".join(chance.choices(words, k=14)) for _ in range(200_000)]
    leaks = block[:LEAKS]
    written, turn = 0, 0
    with (folder / "pile.txt").open("wb") as file:
        while written < megabytes * 1_000_000:
            # Every turn writes other lines at the price of one concatenation a line.
            lines = [f"{line} {turn}" for line in block] if turn else block
            lines[1000::1000] = lines[999:-1:1000]
            written += file.write(("\n".join(lines) + "\n").encode())
            turn += 1
    with (folder / "test.csv").open("w", encoding="utf-8", newline="") as file:
        others = [f"a text of the test alone, number {i}" for i in range(1000)]
        rows = [(text, "ab"[i % 2]) for i, text in enumerate([*leaks, *others])]
        csv.writer(file).writerows([("text", "label"), *rows])


def run(folder: Path) -> dict[str, object]:
    """Measure in a fresh process."""
    command = [sys.executable, __file__, "--measure", str(folder)]
    environment = {**os.environ, "NLPTL_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    measured: dict[str, object] = json.loads(output.splitlines()[-1])
    return measured


def measure(folder: Path) -> dict[str, object]:
    """Load the data of `folder` and return what it took."""
    import datasets  # noqa: F401 - loaded so that the idle figure holds them
    import pyarrow.parquet  # noqa: F401

    from nlptl.data import DataSettings, load_data

    settings = DataSettings(unlabelled=str(folder / "pile.txt"), test=str(folder / "test.csv"))
    megabytes = (folder / "pile.txt").stat().st_size / 1e6
    idle_anonymous, idle_resident = status_mb("RssAnon"), status_mb("VmRSS")
    watch = Watch()
    start = time.perf_counter()
    data, report = load_data(settings, seed=SEED)
    seconds = time.perf_counter() - start
    peak = watch.stop()
    assert data.unlabelled is not None
    part = report.parts["unlabelled"]
    return {
        "megabytes": round(megabytes),
        "rows_read": part.rows_read,
        "rows_used": part.rows_used,
        "duplicates": part.duplicates,
        "leaks": report.leaks[0].rows,
        "seconds": round(seconds, 1),
        "mb_per_second": round(megabytes / seconds, 1),
        "idle_resident_mb": round(idle_resident),
        "anonymous_mb": round(peak - idle_anonymous),
        "resident_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6 - idle_resident),
    }


def status_mb(field: str) -> float:
    """Return a field of /proc/self/status in MB (10^6 bytes)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError(field)


class Watch:
    """Samples the anonymous memory of this process every 5 milliseconds."""

    def __init__(self) -> None:
        self._highest = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """End the sampling and return the highest value in MB."""
        self._stopped.set()
        self._thread.join()
        return self._highest

    def _sample(self) -> None:
        while not self._stopped.wait(0.005):
            self._highest = max(self._highest, status_mb("RssAnon"))


if __name__ == "__main__":
    main()
