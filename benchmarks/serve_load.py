"""Load on an HTTP server, from a process of its own: closed loops, open loops of Poisson arrivals, and clients that misbehave.

    python benchmarks/serve_load.py < plan.json > outcome.json

The client speaks HTTP/1.1 over plain sockets, about 20 µs a request, so that it takes little from a server on the same machine.
Every answer is kept and compared with what its own texts must get, after the clock has stopped.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
TOLERANCE = (
    2e-3  # of a probability: quantised products differ in the last bits by what stands beside a text in its batch
)
CLOSE_CALL = 5e-3  # between the two most probable labels, within which either may be given


class Connection(asyncio.Protocol):
    """One connection that is kept alive; one request at a time."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._received = bytearray()
        self.is_open = True

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self.answer is None:
            return
        found = LENGTH.search(self._received, 0, end + 2)
        length = int(found[1]) if found else 0
        if len(self._received) >= end + 4 + length:
            status, body = int(self._received[9:12]), bytes(self._received[end + 4 : end + 4 + length])
            del self._received[: end + 4 + length]
            if not self.answer.done():
                self.answer.set_result((status, body))

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(ConnectionResetError("closed"))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer

    def close(self) -> None:
        self.transport.close()


async def connected(address: tuple[str, int]) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, *address)
    return connection


def request_of(body: bytes, *, path: str = "/predict") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Outcome:
    """Answers of a load."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, int, bytes]] = []  # number of the request, status, body
        self.seconds: list[float] = []
        self.lost = 0
        self.began = self.ended = time.perf_counter()

    def took(self, number: int, status: int, body: bytes, seconds: float) -> None:
        self.answers.append((number, status, body))
        self.seconds.append(seconds)
        self.ended = time.perf_counter()

    def told(self, expected: Sequence[Any]) -> dict[str, Any]:
        wrong, texts = 0, 0
        for number, status, body in self.answers:
            if status == 200:
                right = is_right(expected[number], body)
                wrong += not right
                texts += len(expected[number]["texts"])
        elapsed = max(self.ended - self.began, 1e-9)
        statuses = Counter(status for _, status, _ in self.answers)
        return {
            "requests": len(self.answers), "statuses": {str(key): count for key, count in sorted(statuses.items())},
            "wrong": wrong, "lost": self.lost, "seconds": round(elapsed, 3),
            "requests_per_second": round(statuses[200] / elapsed, 1), "texts_per_second": round(texts / elapsed, 1),
            **{f"p{at}_ms": round(1000 * quantile(self.seconds, at / 100), 2) for at in (50, 95, 99)},
        }  # fmt: skip


def is_right(expected: Any, body: bytes) -> bool:
    """Say whether an answer is that of its own texts, within the `tolerance` of a probability; a peer's is only counted."""
    if expected.get("probabilities") is None:
        return True
    found, tolerance = json.loads(body)["predictions"], expected["tolerance"]
    if len(found) != len(expected["texts"]):
        return False
    for one, label, shares in zip(found, expected["labels"], expected["probabilities"], strict=True):
        given = one.get("probabilities")
        best = sorted(shares.values())[-2:]
        if one["label"] != label and best[-1] - best[0] > 2 * tolerance:
            return False
        if given is not None and any(abs(given[name] - share) > tolerance for name, share in shares.items()):
            return False
    return True


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values) or [0.0]
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def closed(address: tuple[str, int], bodies: Sequence[bytes], plan: dict[str, Any]) -> Outcome:
    """Ask over some connections, each again as soon as it has its answer."""
    requests, outcome = [request_of(body) for body in bodies], Outcome()
    ends = time.perf_counter() + plan["seconds"]
    numbers = iter(range(10**9))

    async def client() -> None:
        connection = await connected(address)
        while time.perf_counter() < ends:
            number = next(numbers) % len(requests)
            began = time.perf_counter()
            outcome.took(number, *(await connection.ask(requests[number])), time.perf_counter() - began)
        connection.close()

    outcome.began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(plan["connections"])))
    return outcome


async def open_loop(address: tuple[str, int], bodies: Sequence[bytes], plan: dict[str, Any]) -> Outcome:
    """Ask at the times of a Poisson process, whether or not earlier answers are there. Time counts from then on."""
    requests, outcome = [request_of(body) for body in bodies], Outcome()
    draw, tasks = random.Random(plan["seed"]), set[asyncio.Task[None]]()
    free = await asyncio.gather(*(connected(address) for _ in range(plan["connections"])))

    async def one(number: int, due: float) -> None:
        try:
            connection = await from_pool()
            status, body = await connection.ask(requests[number])
        except OSError:
            outcome.lost += 1
            return
        outcome.took(number, status, body, time.perf_counter() - due)
        if connection.is_open:
            free.append(connection)

    async def from_pool() -> Connection:
        """Return one of the free connections, any, or a new one: clients are of all workers."""
        while free:
            place = draw.randrange(len(free))
            free[place], free[-1] = free[-1], free[place]
            if (connection := free.pop()).is_open:
                return connection
        return await connected(address)

    began = due = outcome.began = time.perf_counter()
    for count in range(10**9):
        due += draw.expovariate(plan["rate"])
        if due - began > plan["seconds"]:
            break
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        task = asyncio.ensure_future(one(count % len(requests), due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for connection in free:
        connection.close()
    return outcome


async def crowd(address: tuple[str, int], bodies: Sequence[bytes], plan: dict[str, Any]) -> Outcome:
    """Connect all clients first; then all ask at once, several times each."""
    requests, outcome = [request_of(body) for body in bodies], Outcome()
    connections = await asyncio.gather(*(connected(address) for _ in range(plan["clients"])))

    async def client(place: int, connection: Connection) -> None:
        for turn in range(plan["turns"]):
            number = (place * plan["turns"] + turn) % len(requests)
            began = time.perf_counter()
            try:
                outcome.took(number, *(await connection.ask(requests[number])), time.perf_counter() - began)
            except OSError:
                outcome.lost += 1
                return
        connection.close()

    outcome.began = time.perf_counter()
    await asyncio.gather(*(client(*each) for each in enumerate(connections)))
    return outcome


async def attack(address: tuple[str, int], plan: dict[str, Any]) -> dict[str, Any]:
    """Misbehave in one way until the time is over. Return the statuses that the server gave."""
    statuses: Counter[str] = Counter()
    ends = time.perf_counter() + plan["seconds"]
    kinds: dict[str, Callable[[], Awaitable[str]]] = {
        "no JSON": lambda: _answer_to(address, request_of(b'{"text": ')),
        "wrong fields": lambda: _answer_to(address, request_of(b'{"texts": [1, null], "probabilities": "yes"}')),
        "invalid UTF-8": lambda: _answer_to(address, request_of(b'{"text": "\xff\xfe"}')),
        "deep nesting": lambda: _answer_to(address, request_of(b"[" * 100_000)),
        "no HTTP": lambda: _answer_to(address, b"\x16\x03\x01 garbage\r\n\r\n"),
        "oversized body": lambda: _oversized(address),
        "endless headers": lambda: _answer_to(
            address, b"POST /predict HTTP/1.1\r\n" + b"x-many: aaaaaaaaaaaaaaaa\r\n" * 8_000
        ),
        "slow headers": lambda: _slow(address, b"POST /predict HTTP/1.1\r\nhost: a\r\n", ends),
        "slow body": lambda: _slow(address, request_of(b'{"text": "a"}')[:-8], ends),
        "gone at once": lambda: _gone(address),
    }

    async def attacker() -> None:
        while time.perf_counter() < ends:
            try:
                statuses[await asyncio.wait_for(kinds[plan["attack"]](), max(0.1, ends - time.perf_counter() + 1))] += 1
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                statuses[type(error).__name__] += 1

    await asyncio.gather(*(attacker() for _ in range(plan["connections"])))
    return {"attack": plan["attack"], "statuses": dict(statuses)}


async def _answer_to(address: tuple[str, int], request: bytes) -> str:
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(request)
        return await _status(reader)
    finally:
        writer.close()


async def _status(reader: asyncio.StreamReader) -> str:
    line = await reader.readline()
    return line[9:12].decode() if line else "closed"


async def _oversized(address: tuple[str, int]) -> str:
    """Send a body in chunks, which does not say how large it is, until the server answers."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        answer, block = asyncio.ensure_future(_status(reader)), b"x" * 65_536
        for _ in range(1_000):
            writer.write(b"%x\r\n%s\r\n" % (len(block), block))
            await writer.drain()
            if answer.done():
                break
        return await answer
    finally:
        writer.close()


async def _slow(address: tuple[str, int], beginning: bytes, ends: float) -> str:
    """Send one byte a second, until the server has enough of it."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(beginning)
        answer = asyncio.ensure_future(_status(reader))
        while not answer.done() and time.perf_counter() < ends:
            writer.write(b"x")
            await asyncio.wait([answer], timeout=1)
        return await answer if answer.done() else "still open at the end"
    finally:
        writer.close()


async def _gone(address: tuple[str, int]) -> str:
    """Ask for many labels, and go away."""
    _, writer = await asyncio.open_connection(*address)
    writer.write(request_of(json.dumps({"texts": ["a film of words"] * 500}).encode()))
    await writer.drain()
    await asyncio.sleep(0.02)
    writer.transport.abort()
    return "gone"


async def main() -> None:
    plan = json.loads(sys.stdin.read())
    address = plan["host"], plan["port"]
    if plan["kind"] == "attack":
        print(json.dumps(await attack(address, plan)))
        return
    bodies = [json.dumps(one["body"]).encode() for one in plan["requests"]]
    load = {"closed": closed, "open": open_loop, "crowd": crowd}[plan["kind"]]
    print(json.dumps((await load(address, bodies, plan)).told(plan["requests"])))


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.run(main())
    except ImportError:
        asyncio.run(main())
