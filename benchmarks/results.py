"""The form in which every benchmark writes what it measured: benchmarks/results/NAME.json."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def write_result(
    benchmark: str,
    *,
    command: str | Sequence[str],
    seeds: Sequence[int],
    rows: Sequence[Mapping[str, Any]],
    bars: Sequence[Mapping[str, Any]],
    packages: Sequence[str],
    notes: Sequence[str] = (),
    folder: Path | None = None,
) -> Path:
    """Write benchmarks/results/BENCHMARK.json, or that of `folder`, whole or not at all, and return its path.

    `rows` holds every run; `bars` what is promised: "name", "value", "at_least" or "at_most", and maybe "range". A bar
    that is missed is written all the same. `notes` say in sentences what was left out, such as peers that are not installed.
    """
    result = {
        "benchmark": benchmark,
        "command": command if isinstance(command, str) else shlex.join(command),
        "date": today(),
        "machine": machine(),
        "versions": versions(packages),
        "seeds": list(seeds),
        "rows": [dict(row) for row in rows],
        "bars": [dict(bar) for bar in bars],
        **({"notes": list(notes)} if notes else {}),
    }
    path = (folder or RESULTS) / f"{benchmark}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(draft, path)
    return path


def read_rows(benchmark: str, *, packages: Sequence[str]) -> list[dict[str, Any]]:
    """Return the runs of benchmarks/results/BENCHMARK.json, each with its date; SystemExit where other versions made them."""
    path = RESULTS / f"{benchmark}.json"
    if not path.is_file():
        raise SystemExit(f"{benchmark}: found no published runs ({path.name}); expected some. Leave out --resume.")
    found, here = json.loads(path.read_text(encoding="utf-8")), versions(packages)
    other = {name: version for name, version in here.items() if found["versions"].get(name) != version}
    if other:
        told = ", ".join(f"{name} {found['versions'].get(name)} (here {version})" for name, version in other.items())
        raise SystemExit(
            f"{benchmark}: found published runs of {told}; expected the versions that are installed. Leave out --resume, "
            "which begins anew."
        )
    return [{"date": found["date"], **row} for row in found["rows"]]


def is_met(bar: Mapping[str, Any]) -> bool:
    """Say whether the value of a bar keeps within what the bar promises."""
    return bool(bar.get("at_least", bar["value"]) <= bar["value"] <= bar.get("at_most", bar["value"]))


def today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def machine() -> dict[str, Any]:
    """Return the processor, its cores and the memory in GiB; no names of hosts, users or folders."""
    return {"cpu": _cpu_model(), "cores": len(os.sched_getaffinity(0)), "memory_gib": _memory_gib()}


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python and of `packages`."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


if __name__ == "__main__":
    print(json.dumps(machine(), indent=2), file=sys.stdout)
