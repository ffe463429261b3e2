"""How long the command line takes to answer.

    python benchmarks/startup.py

Times whole processes, the commands in turn, ten times each; writes benchmarks/results/startup.json.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from results import write_result

REPEATS = 10
COMMANDS = {
    "nlptl --help": [str(Path(sys.executable).parent / "nlptl"), "--help"],
    "import SkipGram": [sys.executable, "-c", "from nlptl.stages.skipgram import SkipGram"],
    "python -c pass": [sys.executable, "-c", "pass"],
}


def main() -> None:
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(REPEATS):
        for name, command in COMMANDS.items():
            begin = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(round(time.perf_counter() - begin, 4))
    rows = [{"command": name, "seconds": value} for name, values in seconds.items() for value in values]
    value = statistics.median(seconds["nlptl --help"])
    bars = [
        {
            "name": "seconds until nlptl --help answers (median)",
            "value": value,
            "at_most": 0.5,
            "range": [min(seconds["nlptl --help"]), max(seconds["nlptl --help"])],
        },
        {
            "name": "seconds to import the skip-gram stage (median)",
            "value": statistics.median(seconds["import SkipGram"]),
            "range": [min(seconds["import SkipGram"]), max(seconds["import SkipGram"])],
        },
    ]
    for bar in bars:
        print(bar)
    write_result(
        "startup", command="python benchmarks/startup.py", seeds=[], rows=rows, bars=bars,
        packages=["nlptl", "typer", "pydantic"],
    )  # fmt: skip


if __name__ == "__main__":
    main()
