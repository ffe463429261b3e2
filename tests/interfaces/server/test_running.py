"""The server on localhost: slow and broken clients, clients that go away, the end, connections at once."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nlptl.interfaces.server import patient_protocol
from nlptl.interfaces.server.app import create_app
from nlptl.interfaces.server.graceful_server import GracefulServer, graceful_server
from nlptl.interfaces.server.loaded_model import LoadedModel
from nlptl.interfaces.server.running import address_of, listening_socket
from nlptl.interfaces.server.server_settings import ServerSettings
from tests.interfaces.server.serving import ByRule

LABELS = tuple("abcdefghijklmnopqrstuvwxyz")


class Held(ByRule):
    """Predictor that waits until it may go on."""

    def __init__(self) -> None:
        super().__init__(LABELS)
        self.begun, self.may_go = threading.Semaphore(0), threading.Semaphore(0)
        self.texts: list[str] = []

    def probabilities(self, texts: Sequence[str], **_: Any) -> NDArray[np.float64]:
        self.texts += texts
        self.begun.release()
        assert self.may_go.acquire(timeout=20)
        return super().probabilities(texts)


@contextlib.contextmanager
def running(
    predictor: ByRule, connections: int = 2_000, **settings: Any
) -> Iterator[tuple[tuple[str, int], GracefulServer]]:
    """Serve a predictor in a thread; yield address and server."""
    bound, ready = listening_socket("127.0.0.1", 0), threading.Event()
    app = create_app({"m": LoadedModel(predictor, "1")}, ServerSettings(**settings))
    server = graceful_server(app, grace=2, connections=connections, when_ready=ready.set)
    thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
    address = bound.getsockname()
    thread.start()
    assert ready.wait(20)
    try:
        yield address, server
    finally:
        server.should_exit = True
        thread.join(20)


@contextlib.contextmanager
def served(predictor: ByRule, **settings: Any) -> Iterator[tuple[str, int]]:
    """Serve a predictor in a thread; yield its address."""
    with running(predictor, **settings) as (address, _):
        yield address


def request_of(body: bytes, *, more: str = "") -> bytes:
    return f"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body


def answer_to(address: tuple[str, int], *parts: bytes, pause: float = 0.0) -> tuple[int, Any]:
    """Send the parts of a request, and return status and content of the answer."""
    with socket.create_connection(address, timeout=10) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        content = answer.read()
        return answer.status, json.loads(content) if content else None


GOOD = request_of(b'{"text": "b"}')


def test_broken_requests_get_their_status_and_nobody_else_is_affected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_protocol, "HEADER_SECONDS", 0.3)
    many = b"POST /predict HTTP/1.1\r\n" + b"x-many: aaaaaaaaaaaaaaaa\r\n" * 8_000
    with served(ByRule(LABELS), max_body=100_000, timeout=0.3) as address:
        answers: list[Any] = []
        good = [threading.Thread(target=lambda: answers.append(answer_to(address, GOOD))) for _ in range(20)]
        for thread in good:
            thread.start()
        assert answer_to(address, b"\x16\x03\x01 garbage\r\n\r\n")[1]["error"] == {
            "code": "not_http", "message": "This is no HTTP request. Send one of HTTP/1.1."
        }  # fmt: skip
        assert answer_to(address, many)[1]["error"] == {
            "code": "headers_too_large", "message": "The headers are larger than 64 KB. Shorten them."
        }  # fmt: skip
        assert answer_to(address, request_of(b'{"text": "\xff"}'))[0] == 400
        assert answer_to(address, request_of(b"x" * 100_001))[0] == 413
        assert answer_to(address, b"POST /predict HTTP/1.1\r\nhost: ")[1]["error"] == {
            "code": "too_slow", "message": "The headers did not arrive within 10 s. Send them faster."
        }  # fmt: skip
        assert answer_to(address, request_of(b'{"text": "b"}')[:-2])[1]["error"] == {
            "code": "too_slow", "message": "The body did not arrive within 0.3 s. Send it faster."
        }  # fmt: skip
        for thread in good:
            thread.join(20)
    assert [(status, content["predictions"]) for status, content in answers] == [(200, [{"label": "b"}])] * 20


def test_headers_that_trickle_are_late_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_protocol, "HEADER_SECONDS", 0.2)
    with served(ByRule(LABELS)) as address:
        trickle = [b"POST /predict HTTP/1.1\r\n", *[b"x: y\r\n"] * 9]
        assert answer_to(address, *trickle, pause=0.05)[0] == 408
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(request_of(b'{"text": "b"}'))
            assert connection.recv(9_999).startswith(b"HTTP/1.1 200")
            with contextlib.suppress(ConnectionError):
                for _ in range(9):  # after an answer too
                    connection.sendall(b"\r\n")
                    time.sleep(0.05)
            assert connection.recv(9_999).startswith(b"HTTP/1.1 408")


def test_a_second_request_in_the_same_data_has_no_more_time_than_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_protocol, "HEADER_SECONDS", 0.2)
    with served(ByRule(LABELS)) as address, socket.create_connection(address, timeout=5) as connection:
        connection.sendall(GOOD + b"GET /health HTTP/1.1\r\n")
        found = b""
        while part := connection.recv(9_999):
            found += part
    assert found.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in found


def test_a_connection_too_many_is_refused_with_a_sentence() -> None:
    with running(ByRule(LABELS), connections=1) as (address, _):
        assert answer_to(address, GOOD) == (
            503,
            {"error": {"code": "too_many_connections", "message": "The server has as many connections as it can hold. Try again "
             "in a second."}},
        )  # fmt: skip


@pytest.mark.parametrize("takes_some", [True, False])
def test_a_client_that_takes_nothing_of_its_answer_is_let_go(takes_some: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_protocol, "WRITE_SECONDS", 0.3)
    with running(ByRule(LABELS)) as (address, server), socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(address)
        connection.sendall(request_of(json.dumps({"texts": ["b"] * 9_999, "probabilities": True}).encode()))
        assert connection.recv(1)
        ends = time.monotonic() + 1.2
        while server.server_state.connections and time.monotonic() < ends:
            if takes_some:
                connection.recv(65_536)
            time.sleep(0.02)
        assert bool(server.server_state.connections) is takes_some


def test_the_rest_of_a_refused_body_is_thrown_away_so_that_the_refusal_is_read() -> None:
    with served(ByRule(LABELS), max_body=1_000) as address:
        chunk = b"ffff\r\n" + b"x" * 65_535 + b"\r\n"
        head = b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
        assert answer_to(address, head, *[chunk] * 40)[0] == 413
    assert patient_protocol.LINGER_SECONDS < 60


def test_work_of_a_client_that_has_gone_leaves_the_queue() -> None:
    predictor = Held()
    with served(predictor) as address:
        first = socket.create_connection(address, timeout=10)
        first.sendall(request_of(b'{"text": "a"}'))
        assert predictor.begun.acquire(timeout=10)
        gone = socket.create_connection(address, timeout=10)
        gone.sendall(request_of(json.dumps({"texts": ["gone"] * 100}).encode()))
        until(lambda: waiting(address) == 100)
        gone.close()
        until(lambda: waiting(address) == 0)
        predictor.may_go.release(9)
        assert first.recv(9_999).startswith(b"HTTP/1.1 200")
        first.close()
    assert "gone" not in predictor.texts


def waiting(address: tuple[str, int]) -> float:
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        text = b""
        while part := connection.recv(65_536):
            text += part
    return float(next(line for line in text.decode().splitlines() if line.startswith("nlptl_queue_texts{")).split()[-1])


def until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_connections_at_once_get_their_own_answers() -> None:
    async def one(address: tuple[str, int], number: int) -> None:
        reader, writer = await asyncio.open_connection(*address)
        for turn in range(3):
            words = [LABELS[(number + turn + place) % 26] * 9 for place in range(number % 5 + 1)]
            writer.write(request_of(json.dumps({"texts": words}).encode()))
            length = 0
            while (line := await reader.readline()) != b"\r\n":
                length = int(line[16:]) if line.startswith(b"content-length: ") else length
            found = json.loads(await reader.readexactly(length))["predictions"]
            assert [each["label"] for each in found] == [word[0] for word in words]
        writer.close()

    async def ask(address: tuple[str, int]) -> None:
        await asyncio.gather(*(one(address, number) for number in range(150)))

    with served(ByRule(LABELS, seconds=0.002)) as address:
        asyncio.run(ask(address))


SERVER = """
import os, sys, time
from nlptl.interfaces.server.app import create_app
from nlptl.interfaces.server.graceful_server import GracefulServer, graceful_server
from nlptl.interfaces.server.loaded_model import LoadedModel
from nlptl.interfaces.server.running import address_of, listening_socket
from tests.interfaces.server.serving import ByRule

class Slow(ByRule):
    def probabilities(self, texts, **_):
        if texts[0] == "slow":
            print("begun", flush=True)
            time.sleep(float(sys.argv[1]))
        return super().probabilities(texts)

bound = listening_socket("127.0.0.1", 0)
address = address_of(bound)
app = create_app({"m": LoadedModel(Slow(("s", "t")), "1")})
graceful_server(app, grace=1, connections=100, when_ready=lambda: print(address, flush=True)).run([bound])
print("ended", flush=True)
"""


@pytest.mark.parametrize(("seconds", "is_answered"), [(0.5, True), (8.0, False)])
def test_sigterm_ends_the_server_after_what_is_in_hand_or_the_grace(
    seconds: float, is_answered: bool, root: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(seconds)], stdout=subprocess.PIPE, text=True, cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert process.stdout is not None
    port = int(process.stdout.readline().rsplit(":", 1)[1])
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    idle = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(request_of(b'{"text": "slow"}'))
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    assert idle.recv(99) == b"", "idle connections are closed at once"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=20)
    with contextlib.suppress(ConnectionResetError):
        answer = client.recv(9_999)
        assert answer.startswith(b"HTTP/1.1 200") is is_answered
    assert process.stdout.readline() == "ended\n"
    client.close()
    idle.close()
    if not is_answered:
        process.kill()  # the thread of a batch that cannot be interrupted
    assert process.wait(20) == (0 if is_answered else -signal.SIGKILL)
    process.stdout.close()


def test_an_address_that_cannot_be_had_is_told() -> None:
    from nlptl.errors import ConfigError

    with listening_socket("127.0.0.1", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        assert address_of(bound) == f"http://127.0.0.1:{port}"
        with pytest.raises(ConfigError) as found:
            listening_socket("127.0.0.1", port)
    told = f"--port: 127.0.0.1:{port} cannot be had (Address already in use). Give another port, or end what uses it."
    assert str(found.value) == told
    with pytest.raises(ConfigError) as found:
        listening_socket("no such host!", 1)
    assert str(found.value) == "--host: found 'no such host!', which names no address of this machine. Give 127.0.0.1."
