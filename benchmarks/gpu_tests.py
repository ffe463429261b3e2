"""The tests that need a GPU, compiled for it, and the skip-gram kernel compiled for Hopper (sm_90), as one result.

    python benchmarks/gpu_tests.py [--tiny] [--out DIR]

Without a GPU and TRITON_INTERPRET=1 the tests run in Triton's interpreter, which tries the script out; --tiny compiles the
kernel for one size of three. Needs torch, triton and pytest. Exits with 1 where a test fails. Writes
benchmarks/results/gpu-tests.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import arms
import results

CASES = ("tests/pretraining/word2vec/gpu_cases.py", "tests/models/gpu_cases.py")
KERNELS = {(100, 5): 256, (300, 5): 256, (100, 100): 1_024}
"""Most bytes of stack for each dimension and window; more means that registers are spilled."""
MOST_SHARED = 48 * 1024  # bytes of shared memory that every GPU gives without asking
PACKAGES = ("torch", "triton", "numpy", "pytest")


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--tiny", action="store_true", help="compile the kernel once; result in runs/")
    parser.add_argument("--out", **arms.OUT)
    options = parser.parse_args(argv)
    device = gpu_name()
    rows = [{**row, "device": device} for case in CASES for row in tested(case)]
    failed = [row["test"] for row in rows if row["outcome"] == "failed"]
    bars: list[dict[str, Any]] = [
        {"name": "tests that fail", "value": len(failed), "at_most": 0},
        {"name": "tests that pass", "value": sum(row["outcome"] == "passed" for row in rows), "at_least": 1},
    ]
    notes = []
    for (dim, window), stack in list(KERNELS.items())[: 1 if options.tiny else None]:
        kernel = compiled(dim, window)
        name = f"kernel of dim {dim} and window {window}"
        if kernel is None:
            notes.append(f"triton came without ptxas or cuobjdump: the {name} was not measured.")
            continue
        rows.append({"test": name, "outcome": "compiled", **kernel})
        bars.append({"name": f"{name}: bytes of stack", "value": kernel["stack_bytes"], "at_most": stack})
        bars.append(
            {"name": f"{name}: bytes of shared memory", "value": kernel["shared_bytes"], "at_most": MOST_SHARED}
        )
    path = results.write_result(
        "gpu-tests", command="python benchmarks/gpu_tests.py", seeds=[], rows=rows, bars=bars, notes=notes,
        packages=[name for name in PACKAGES if not arms.missing([name])],
        folder=options.out or (arms.SCRATCH if options.tiny else None),
    )  # fmt: skip
    for bar in bars:
        print(f"  {bar['name']}: {bar['value']}, {'met' if results.is_met(bar) else 'MISSED'}")
    print(*notes, *(f"failed: {name}" for name in failed), path, sep="\n")
    return int(not all(results.is_met(bar) for bar in bars[:2]))


def gpu_name() -> str:
    import torch

    return arms.device_name("cuda" if torch.cuda.is_available() else "cpu")


def tested(case: str) -> list[dict[str, Any]]:
    """Run a file of tests in a process of its own and return a row a test; SystemExit where pytest itself fails."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        # No conftest, which wants packages that a GPU machine may lack; other versions' warnings are no errors here.
        options = ("--noconftest", "-p", "no:cacheprovider", "-W", "default", f"--junitxml={report}")
        command = [sys.executable, "-m", "pytest", *options, case]
        done = subprocess.run(command, check=False, cwd=arms.ROOT)
        if not report.is_file():
            raise SystemExit(
                f"{case}: pytest ended with code {done.returncode} and wrote no report. See its output above."
            )
        found = [
            row_of(element)
            for element in ElementTree.parse(report).iter("testcase")  # our own file, written just now
        ]
    if done.returncode not in (0, 1):
        raise SystemExit(f"{case}: pytest ended with code {done.returncode}. See its output above.")
    return found


def row_of(element: ElementTree.Element) -> dict[str, Any]:
    outcomes = {"failure": "failed", "error": "failed", "skipped": "skipped"}
    outcome = next((outcomes[child.tag] for child in element if child.tag in outcomes), "passed")
    name = f"{element.get('classname', '')}.{element.get('name', '')}"
    return {"test": name, "outcome": outcome, "seconds": float(element.get("time", 0))}


def compiled(dim: int, window: int) -> dict[str, Any] | None:
    """Return what the kernel takes, compiled for Hopper; None where the tools are missing."""
    command = [sys.executable, "tests/pretraining/word2vec/gpu_compiled.py", str(dim), str(window)]
    environment = arms.without("TRITON_INTERPRET")
    told = subprocess.run(command, check=True, cwd=arms.ROOT, stdout=subprocess.PIPE, text=True, env=environment).stdout
    found: dict[str, Any] | None = None if told.startswith("skip") else json.loads(told)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
