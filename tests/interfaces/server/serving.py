"""What the tests of the server's page share: requests without a network, a server on localhost, and predictors by rule."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray

from nlptl.errors import ConfigError


@dataclass
class ByRule:
    """Predictor that finds each label's first letter in a text, slowly if `seconds` are given for a batch."""

    labels: tuple[str, ...]
    multi_label: bool = False
    seconds: float = 0.0
    fails: bool = False
    separator: str = "|"

    def checked_abstention(self, *, where: str) -> NoReturn:
        raise ConfigError(f"{where}: it knows nothing of that.")

    def sets_and_probabilities(self, texts: Sequence[str], coverage: Any, **_: Any) -> NoReturn:
        raise ConfigError("It knows nothing of that.")

    def check_trained(self) -> None:
        """It knows what it knows."""

    def probabilities(
        self, texts: Sequence[str], *, after_batch: Callable[[int], None] | None = None
    ) -> NDArray[np.float64]:
        time.sleep(self.seconds)
        if self.fails:
            raise RuntimeError("out of order")
        counts = np.array([[text.count(label[0]) for label in self.labels] for text in texts], float)
        return (
            (counts + 0.1) / (counts + 0.1).sum(axis=1, keepdims=True)
            if not self.multi_label
            else np.minimum(counts, 1)
        )

    def labels_of(self, probabilities: NDArray[np.float64]) -> list[Any]:
        if self.multi_label:
            return [
                tuple(name for name, share in zip(self.labels, row, strict=True) if share > 0.5)
                for row in probabilities
            ]
        return [self.labels[place] for place in probabilities.argmax(axis=1)]


def asked(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    """Return the answer of an application."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(ask())


@contextlib.contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port of localhost; yield its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        ends = time.monotonic() + 20
        while not server.started and time.monotonic() < ends:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(20)
