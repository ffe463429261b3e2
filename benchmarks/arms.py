"""The arms of a side-by-side measurement: each in a process of its own, run in turn, every run kept at once.

An interrupted benchmark goes on after the runs in runs/benchmarks/NAME.jsonl; a finished one removes them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import results

ROOT = Path(__file__).parent.parent
SCRATCH = ROOT / "runs" / "benchmarks"
PACKAGES = (
    "nlptl", "torch", "transformers", "sentence-transformers", "setfit", "peft", "accelerate", "tokenizers",
    "scikit-learn", "numpy", "gensim", "numba", "scipy",
)  # fmt: skip
BUSY = 0.7  # load in the last minute above which somebody else is at work
Row = dict[str, Any]
Run = Callable[[Any], Row]
"""One measured run of an arm: is told what to run, returns what it measured."""


OUT: dict[str, Any] = {
    "type": Path, "metavar": "DIR", "help": "write the result into DIR; default benchmarks/results",
}  # fmt: skip


APART: dict[str, Any] = {
    "action": "store_true", "help": "with --tiny: each arm in a process of its own, as without it",
}  # fmt: skip


class Arm(Protocol):
    """Something that is measured."""

    def run(self, request: Any) -> Row: ...

    def close(self) -> None: ...


class OwnProcess:
    """An arm in a process of its own, which waits without work while others run: its peak memory is its own."""

    def __init__(self, make: Callable[..., Run], settings: Mapping[str, Any]) -> None:
        """`make(**settings)` is called in the new process, imports what it needs and returns the run."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._name = f"{make.__name__} {settings.get('update', '')}".strip()
        self._process = context.Process(target=_serve, args=(other, make, dict(settings)), daemon=True)
        self._process.start()
        other.close()
        self._loaded: Row | None = None

    def run(self, request: Any) -> Row:
        """Return what the run measured, with seconds of loading and peak memory so far in MiB."""
        if self._loaded is None:
            self._loaded = self._answer()
        self._pipe.send(request)
        return {**self._answer(), **self._loaded}

    def close(self) -> None:
        self._pipe.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()

    def _answer(self) -> Row:
        try:
            answer: Row = self._pipe.recv()
        except EOFError:
            raise SystemExit(f"{self._name}: its process ended (exit code {self._process.exitcode})") from None
        if "fault" in answer:
            raise SystemExit(f"{self._name}: failed\n{answer['fault']}")
        return answer


class SameProcess:
    """An arm in this process, for trying a benchmark out; tells no memory."""

    def __init__(self, make: Callable[..., Run], settings: Mapping[str, Any]) -> None:
        self._run = make(**settings)

    def run(self, request: Any) -> Row:
        return self._run(request)

    def close(self) -> None:
        """Nothing to end."""


class Kept:
    """The runs of an unfinished benchmark, by key; those of other settings, versions or machines are put aside."""

    def __init__(self, name: str, settings: Mapping[str, Any], *, folder: Path | None = None) -> None:
        """`folder` holds the runs; None stands for runs/benchmarks."""
        self._path = (folder or SCRATCH) / f"{name}.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._head = head = _head(settings)
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.is_file() else []
        whole = [line for line in lines if line.endswith("}")]  # a kill may cut the last one short
        if len(whole) > 1 and whole[0] != head:
            self._path.replace(self._path.with_suffix(".earlier"))
        if not whole or whole[0] != head:
            whole = [head]
        if lines != whole:
            self._path.write_text("\n".join(whole) + "\n", encoding="utf-8")
        kept = [json.loads(line) for line in whole[1:]]
        self._rows: dict[str, Row] = {_key(row["key"]): row["row"] for row in kept}
        if self._rows:
            print(f"going on after {len(self._rows)} runs kept in {self._path} (delete it to begin again)", flush=True)

    def find(self, *key: Any) -> Row | None:
        return self._rows.get(_key(key))

    def add(self, row: Row, *key: Any) -> None:
        self._rows[_key(key)] = row
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "row": row}) + "\n")

    def rows(self) -> list[Row]:
        return list(self._rows.values())

    def forget(self, unwanted: Callable[[list[Any]], bool]) -> None:
        """Drop the runs with unwanted keys, so that they are run again."""
        self._rows = {key: row for key, row in self._rows.items() if not unwanted(json.loads(key))}
        rows = [json.dumps({"key": json.loads(key), "row": row}) for key, row in self._rows.items()]
        self._path.write_text("\n".join([self._head, *rows]) + "\n", encoding="utf-8")

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def kept_rows(name: str, settings: Mapping[str, Any]) -> dict[str, Row]:
    """Return what another benchmark keeps, by key as JSON; nothing of other settings, versions or machines."""
    path = SCRATCH / f"{name}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if not lines or lines[0] != _head(settings):
        return {}
    kept = [json.loads(line) for line in lines[1:] if line.endswith("}")]
    return {_key(row["key"]): row["row"] for row in kept}


def arguments(description: str | None, **more: dict[str, Any]) -> argparse.ArgumentParser:
    """Return a parser of what all of these benchmarks take, and `more`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds tweeteval/emotion and imdb as JSON lines")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--weights", help="folder or name; else MiniLM's pip package, else random ones of its shape")
    parser.add_argument(
        "--tiny", action="store_true", help="try the script out: tiny model, few texts, result in runs/"
    )
    for name, options in more.items():
        parser.add_argument(f"--{name}", **options)
    return parser


def device_of(choice: str) -> str:
    """Return cpu or cuda; keep everything off the network, and transformers' reports off the terminal."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1")
    if choice != "auto":
        return choice
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def begin(*estimates: str) -> None:
    """Tell how long it takes, and whether other work would spoil the figures: threads that wait cost tenfold."""
    print(*estimates, sep="\n", flush=True)
    if (load := os.getloadavg()[0]) > BUSY:
        print(f"the load here is {load:.1f}: what is measured beside other work is wrong", flush=True)


def device_name(device: str) -> str:
    """Return the GPU's name, or cpu."""
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


def result_name(name: str, device: str) -> str:
    """Return NAME, or NAME-cuda, so that a GPU's result stands beside the CPU's."""
    return name if device == "cpu" else f"{name}-{device}"


def publish(name: str, *, tiny: bool, out: Path | None = None, **result: Any) -> Path:
    """Print bars and write the result into `out`; without it, that of a try-out into the scratch folder."""
    for bar in result["bars"]:
        wanted = [f"{key.replace('_', ' ')} {bar[key]}" for key in ("at_least", "at_most") if key in bar]
        promise = f" ({', '.join(wanted)}: {'met' if results.is_met(bar) else 'MISSED'})" if wanted else ""
        print(f"  {bar['name']}: {bar['value']}{promise}, {bar.get('range', '')}", flush=True)
    folder = out or (SCRATCH if tiny else None)
    return results.write_result(name, packages=installed(), folder=folder, **result)


def installed() -> list[str]:
    """Return the packages whose versions matter and that are here; nlptl itself may run from its folder."""
    found = {distribution.name.lower() for distribution in importlib.metadata.distributions()}
    return [name for name in PACKAGES if name in found]


def missing(packages: Sequence[str]) -> list[str]:
    """Return those of `packages`, named as they are imported, that are not installed."""
    return [name for name in packages if importlib.util.find_spec(name) is None]


def without(name: str) -> dict[str, str]:
    """Return this process's environment without one variable, for a process that is started."""
    return {key: value for key, value in os.environ.items() if key != name}


def told(value: Sequence[float], digits: int = 2) -> dict[str, Any]:
    """Return median and range as a bar has them."""
    return {
        "value": round(statistics.median(value), digits),
        "range": [round(min(value), digits), round(max(value), digits)],
    }


def _key(key: Sequence[Any]) -> str:
    return json.dumps(list(key))


def _head(settings: Mapping[str, Any]) -> str:
    return json.dumps({**settings, "machine": results.machine(), "versions": results.versions(installed())})


def _serve(pipe: Any, make: Callable[..., Run], settings: Row) -> None:
    try:
        begin = time.perf_counter()
        run = make(**settings)
        pipe.send({"load_seconds": round(time.perf_counter() - begin, 2)})
        while True:
            request = pipe.recv()
            _forget_peak()
            pipe.send({**run(request), "peak_memory_mib": _peak_mib()})
    except (EOFError, KeyboardInterrupt):
        return
    except BaseException:
        pipe.send({"fault": traceback.format_exc()})


def _forget_peak() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def _peak_mib() -> float:
    """Return what the process took at its peak: on a GPU of its memory, else of the machine's (ru_maxrss is in KiB)."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, 1)
