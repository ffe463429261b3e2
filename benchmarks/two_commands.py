"""Time make quickstart and make test on a cold and on a warm machine.

    python benchmarks/two_commands.py

Clones the checkout into a temporary folder. Cold: no environment and an empty pip cache. Warm: installed, the run itself
from the beginning. Again: the same command once more, which for the quickstart keeps every stage.
Writes benchmarks/results/two-commands.json.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from results import write_result

TARGETS = ("quickstart", "test")


def main() -> None:
    rows = []
    for target in TARGETS:
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder) / "nlptl"
            subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
            environment = {
                **os.environ,
                "PIP_CACHE_DIR": str(Path(folder) / "pip"),
                "NLPTL_CACHE": str(Path(folder) / "c"),
            }
            environment.pop("VIRTUAL_ENV", None)
            for state in ("cold", "warm", "again"):
                if state == "warm":
                    shutil.rmtree(clone / "runs", ignore_errors=True)
                if (target, state) == ("test", "again"):
                    continue
                begin = time.perf_counter()
                subprocess.run(["make", target], cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)
                rows.append(
                    {"command": f"make {target}", "state": state, "seconds": round(time.perf_counter() - begin, 1)}
                )
                print(rows[-1], flush=True)
    bars = [{"name": f"{row['command']}, {row['state']}, seconds", "value": row["seconds"]} for row in rows]
    write_result(
        "two-commands", command="python benchmarks/two_commands.py", seeds=[], rows=rows, bars=bars,
        packages=["nlptl", "torch", "pip"],
    )  # fmt: skip


if __name__ == "__main__":
    main()
