"""nlptl's server under load, beside a plain FastAPI server over a pipeline of transformers.

    python benchmarks/serve.py [--seconds 20] [--tiny]

Serves word vectors, MiniLM by torch and two int8 exports of MiniLM, each of the tweets in data/, by two workers, and the plain
server by two workers too. One export has the format that `nlptl export` takes by itself, the fastest on the processor, and the
other one is OpenVINO's. The load comes from a process of its own (serve_load.py) on the same cores, so that a server
alone would do more. Every answer is compared with what its own texts get from the classifier in one batch. Loads:

- singles: 32 clients with one text each, as fast as they are answered; then Poisson processes at half of that rate and at 300 a
  second, half of what is promised of MiniLM int8, for p95;
- batches: 8 clients with 64 texts a request;
- crowd: 1,000 clients at once, five requests each;
- attacks on the server of word vectors while others ask it at a quarter of its rate; and kill -9 of one of its workers.

Takes about ten minutes. Every measurement is kept at once; the same command goes on after a kill. Writes
benchmarks/results/serve.json.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arms

HERE = Path(__file__).parent
WORKERS = 2
START_SECONDS = 300
ATTACKS = (
    "no JSON", "wrong fields", "invalid UTF-8", "deep nesting", "no HTTP", "oversized body", "endless headers",
    "slow headers", "slow body", "gone at once",
)  # fmt: skip
TOLERANCE, OPENVINO_TOLERANCE = 1e-4, 3e-2
"""Of a probability. A rounded activation of OpenVINO's int8 may fall to the other side where a text has others beside it: of a
hundred such answers four differed by more than .002."""
STATIC, INT8, PEER = "nlptl, word vectors", "nlptl, MiniLM int8", "FastAPI + transformers pipeline, MiniLM"
PROMISED = 600.0  # texts a second by MiniLM int8, one text a request
PROBABILITIES = True  # asked for in every request, so that every answer tells whose it is


@dataclass(frozen=True)
class Server:
    """Server that is measured."""

    name: str
    folder: Path
    is_peer: bool = False
    workers: int = WORKERS

    def command(self, port: int) -> list[str]:
        if self.is_peer:
            script = [str(HERE / "serve_peer.py"), str(self.folder)]
        else:
            script = ["-m", "nlptl", "serve", f"m={self.folder}", "--quiet"]
        return [sys.executable, *script, "--port", str(port), "--workers", str(self.workers)]


@dataclass(frozen=True)
class Running:
    """Server that runs, and its port."""

    process: subprocess.Popen[bytes]
    port: int

    def asked(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return bytes(answer.read())

    def ready_workers(self) -> int:
        """Return how many of nlptl's workers answer, by its metrics."""
        lines = [
            line for line in self.asked("/metrics").decode().splitlines() if line.startswith("nlptl_model_workers{")
        ]
        return sum(int(float(line.split()[-1])) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    parser.add_argument("--tiny", action="store_true", help="a second of each load, into the scratch folder")
    parser.add_argument("--out", **arms.OUT)
    given = parser.parse_args()
    seconds = 1.0 if given.tiny else given.seconds
    arms.begin("about a minute to begin, then ten seconds to a minute for each of forty loads")
    kept = arms.Kept("serve-tiny" if given.tiny else "serve", {"seconds": seconds, "tiny": given.tiny})
    servers, texts = prepared(arms.SCRATCH / "serve"), tweets()
    for server in servers:
        measure(server, kept, texts, seconds, tiny=given.tiny)
    rows = kept.rows()
    arms.publish(
        "serve", tiny=given.tiny, out=given.out, command="python benchmarks/serve.py", seeds=[1], rows=rows,
        bars=bars(rows), notes=[
            "The load generator runs on the same cores as the server.",
            "The plain server's head has random weights: its answers are counted, not compared.",
        ],
    )  # fmt: skip
    kept.remove()


def prepared(folder: Path) -> list[Server]:
    """Make what is served, each once."""
    folder.mkdir(parents=True, exist_ok=True)
    pipelines = HERE.parent / "pipelines"
    static, minilm, peer = (folder / name for name in ("static", "minilm", "peer"))
    nlptl = [sys.executable, "-m", "nlptl"]
    for pipeline, run in (("tweets-skipgram", static), ("tweets-head", minilm)):
        subprocess.run([*nlptl, "run", str(pipelines / f"{pipeline}.yaml"), "--out", str(run), "--quiet"], check=True)
    own, openvino = folder / "own-int8", folder / "openvino-int8"
    for export, options in ((own, []), (openvino, ["--format", "openvino"])):
        if not export.is_dir():
            chosen = ["--precision", "int8", *options, "--out", str(export)]
            subprocess.run([*nlptl, "export", str(minilm), *chosen], check=True)
    if not peer.is_dir():
        from serve_peer import save_model

        save_model(str(peer), labels=3)
    return [
        Server(STATIC, static), Server(INT8, own), Server(f"{INT8}, 1 worker", own, workers=1),
        Server(f"{INT8} (OpenVINO)", openvino), Server("nlptl, MiniLM (torch)", minilm),
        Server(PEER, peer, is_peer=True),
    ]  # fmt: skip


def tweets() -> list[str]:
    """Return the training texts of data/tweets, short posts."""
    with (HERE.parent / "data" / "tweets" / "train.csv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def expectations(server: Server, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return label and probabilities that each text must get; nothing to compare for the peer."""
    if server.is_peer:
        return [{"label": None, "probabilities": None}] * len(texts)
    from nlptl.interfaces.predictors import load_predictor

    predictor = load_predictor(server.folder, device="cpu")
    shares = predictor.probabilities(texts)
    named = [dict(zip(predictor.labels, map(float, row), strict=True)) for row in shares]
    return [
        {"label": label, "probabilities": one} for label, one in zip(predictor.labels_of(shares), named, strict=True)
    ]


def requests_of(
    texts: Sequence[str], expected: Sequence[Mapping[str, Any]], *, size: int, count: int, tolerance: float
) -> list[Any]:
    """Return requests of `size` texts each, with what they must get."""
    found = []
    for number in range(count):
        places = [(number * size + place) % len(texts) for place in range(size)]
        some = [texts[place] for place in places]
        body = {"text": some[0]} if size == 1 else {"texts": some}
        shares = [expected[place]["probabilities"] for place in places]
        found.append(
            {
                "body": {**body, "probabilities": PROBABILITIES}, "texts": some,
                "labels": [expected[place]["label"] for place in places],
                "probabilities": None if shares[0] is None else shares, "tolerance": tolerance,
            }
        )  # fmt: skip
    return found


def measure(server: Server, kept: arms.Kept, texts: Sequence[str], seconds: float, *, tiny: bool) -> None:
    """Put all loads on a server that have not been measured."""
    is_static = server.name == STATIC
    poisson = {"kind": "open", "connections": 32, "seconds": seconds}
    wanted: list[tuple[str, dict[str, Any], int]] = [
        ("singles", {"kind": "closed", "connections": 32, "seconds": seconds}, 1),
        ("singles at half load", {**poisson, "share": 0.5}, 1),
        *[("singles, 300 a second", {**poisson, "rate": PROMISED / 2}, 1)] * ("int8" in server.name),
        ("batches of 64", {"kind": "closed", "connections": 8, "seconds": seconds}, 64),
        ("crowd", {"kind": "crowd", "clients": 100 if tiny else 1_000, "turns": 5}, 1),
        *((f"attack: {name}", {**poisson, "share": 0.25, "attack": name}, 1) for name in ATTACKS if is_static),
        *[("kill -9 of a worker", {**poisson, "share": 0.25, "kill": True}, 1)] * is_static,
    ]  # fmt: skip
    left = [one for one in wanted if kept.find(server.name, one[0]) is None]
    if not left:
        return
    expected = expectations(server, texts)
    with running(server) as there:
        for name, plan, size in left:
            tolerance = OPENVINO_TOLERANCE if "OpenVINO" in server.name else TOLERANCE
            requests = requests_of(texts, expected, size=size, count=360, tolerance=tolerance)
            full = {**plan, "requests": requests, "seed": 1}
            if "share" in plan:
                base = kept.find(server.name, "singles")
                full["rate"] = max(1.0, plan["share"] * (base["requests_per_second"] if base else 100.0))
            row = {"server": server.name, "workers": server.workers, "load": name, "texts_per_request": size}
            row |= {key: full[key] for key in ("connections", "clients", "rate") if key in full}
            row |= loaded(there, full)
            print(json.dumps(row, ensure_ascii=False), flush=True)
            kept.add(row, server.name, name)


def loaded(there: Running, plan: dict[str, Any]) -> dict[str, Any]:
    """Put a load on a server, beside an attack or a killed worker where the plan says so."""
    plan = {**plan, "host": "127.0.0.1", "port": there.port}
    attack = generator({**plan, "kind": "attack", "connections": 16, "requests": []}) if "attack" in plan else None
    load = generator(plan)
    found: dict[str, Any] = {}
    if "kill" in plan:
        time.sleep(plan["seconds"] / 3)
        os.kill(worker_of(there), signal.SIGKILL)
        began = time.perf_counter()
        time.sleep(0.2)
        while there.ready_workers() < WORKERS:
            time.sleep(0.1)
        found["replaced_after_seconds"] = round(time.perf_counter() - began, 1)
    found = told(load) | found
    if attack is not None:
        found["attacker_statuses"] = told(attack)["statuses"]
    return found


def generator(plan: Mapping[str, Any]) -> subprocess.Popen[str]:
    """Start a load generator."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "serve_load.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(plan))
    process.stdin.close()
    return process


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    text = process.stdout.read()
    if process.wait() != 0:
        raise SystemExit(f"serve: the load generator failed with exit code {process.returncode}.")
    return dict(json.loads(text))


def worker_of(there: Running) -> int:
    """Return the process id of one of nlptl's workers."""
    children = Path(f"/proc/{there.process.pid}/task/{there.process.pid}/children").read_text().split()
    return next(int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes())


@contextlib.contextmanager
def running(server: Server) -> Iterator[Running]:
    """Run a server until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(server.command(port), stderr=None, cwd=HERE)
    there, ends = Running(process, port), time.monotonic() + START_SECONDS
    try:
        while True:
            with contextlib.suppress(OSError):
                there.asked("/health")
                if server.is_peer:
                    time.sleep(20)  # in which the other worker, too, has read its model; the server does not tell
                    break
                if there.ready_workers() == server.workers:
                    break
            if time.monotonic() > ends or process.poll() is not None:
                raise SystemExit(f"serve: {server.name} does not answer.")
            time.sleep(0.5)
        yield there
    finally:
        process.terminate()
        process.wait(60)


def bars(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what is promised, and the peer beside it."""

    def of(server: str, load: str, figure: str) -> Any:
        return next(row[figure] for row in rows if row["server"] == server and row["load"] == load)

    ours = [row for row in rows if row["server"] != PEER]
    guarded = [row for row in rows if row["load"].startswith("attack")]
    singles, batches = of(INT8, "singles", "texts_per_second"), of(STATIC, "batches of 64", "texts_per_second")
    return [
        {"name": "texts a second, MiniLM int8, one text a request", "value": singles, "at_least": PROMISED},
        {"name": "p95 at half of that load, ms", "value": of(INT8, "singles at half load", "p95_ms"), "at_most": 10},
        {"name": "p95 at 300 texts a second, ms", "value": of(INT8, "singles, 300 a second", "p95_ms"), "at_most": 10},
        {"name": "texts a second, MiniLM int8, 64 texts a request", "value": of(INT8, "batches of 64", "texts_per_second")},
        {"name": "texts a second, word vectors, 64 texts a request", "value": batches, "at_least": 20_000},
        {"name": "requests a second, word vectors, one text each", "value": of(STATIC, "singles", "requests_per_second")},
        {"name": "answers of 1,000 clients at once that were lost or mixed up",
         "value": sum(row["lost"] + row["wrong"] for row in ours if row["load"] == "crowd"), "at_most": 0},
        {"name": "answers mixed up, in all loads", "value": sum(row["wrong"] for row in ours), "at_most": 0},
        {"name": "good requests lost or refused under attacks",
         "value": sum(row["lost"] + row["requests"] - row["statuses"].get("200", 0) for row in guarded), "at_most": 0},
        {"name": "p95 of good requests under attacks, ms, the worst", "value": max((row["p95_ms"] for row in guarded), default=0)},
        {"name": "requests lost with a killed worker", "value": of(STATIC, "kill -9 of a worker", "lost"),
         "range": [0, of(STATIC, "kill -9 of a worker", "requests")]},
        {"name": "texts a second, the plain server, one text a request", "value": of(PEER, "singles", "texts_per_second")},
        {"name": "p95 of the plain server at half of its load, ms", "value": of(PEER, "singles at half load", "p95_ms")},
        {"name": "texts a second, the plain server, 64 texts a request", "value": of(PEER, "batches of 64", "texts_per_second")},
    ]  # fmt: skip


if __name__ == "__main__":
    main()
