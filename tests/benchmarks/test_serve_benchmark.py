"""The server's benchmark: its load generator tells right answers from wrong ones, and bars are read from rows."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.interfaces.server.conftest import _localhost
from tests.interfaces.server.serving import ByRule
from tests.interfaces.server.test_running import LABELS, served

__all__ = ["_localhost"]


@pytest.fixture
def load(bench: Any) -> Any:
    return bench("serve_load")


def requests(labels: dict[str, str]) -> list[Any]:
    predictor = ByRule(LABELS)
    found = []
    for text, label in labels.items():
        shares = dict(zip(LABELS, predictor.probabilities([text])[0].tolist(), strict=True))
        found.append(
            {
                "body": {"text": text, "probabilities": True},
                "texts": [text],
                "labels": [label],
                "probabilities": [shares],
            }
            | {"tolerance": 1e-4}
        )
    return found


@pytest.mark.parametrize(
    ("kind", "plan", "count"),
    [
        ("closed", {"connections": 2, "seconds": 0.2}, None),
        ("open_loop", {"connections": 2, "seconds": 0.2, "rate": 100.0, "seed": 1}, None),
        ("crowd", {"clients": 10, "turns": 2}, 20),
    ],
)
def test_answers_are_compared_with_what_their_texts_must_get(
    load: Any, kind: str, plan: dict[str, Any], count: int | None
) -> None:
    right, mixed_up = requests({"aaa": "a", "bbb": "b"}), requests({"aaa": "a", "bbb": "a"})
    bodies = [json.dumps(one["body"]).encode() for one in right]
    with served(ByRule(LABELS)) as address:
        outcome = asyncio.run(getattr(load, kind)(address, bodies, plan))
    told = outcome.told(right)
    assert (told["wrong"], told["lost"], told["statuses"]) == (0, 0, {"200": told["requests"]})
    assert told["requests"] == (count or told["requests"]) > 2
    assert told["p50_ms"] <= told["p95_ms"] <= told["p99_ms"]
    assert 0 < outcome.told(mixed_up)["wrong"] < told["requests"]


@pytest.mark.parametrize(
    ("attack", "status"),
    [
        ("no JSON", "400"),
        ("wrong fields", "422"),
        ("no HTTP", "400"),
        ("endless headers", "431"),
        ("gone at once", "gone"),
    ],
)
def test_attacks_are_told_by_their_statuses(load: Any, attack: str, status: str) -> None:
    with served(ByRule(LABELS)) as address:
        told = asyncio.run(load.attack(address, {"attack": attack, "seconds": 0.1, "connections": 1}))
    assert set(told["statuses"]) == {status}


def test_bars_are_read_from_the_rows(bench: Any) -> None:
    serve = bench("serve")
    figures = {
        "texts_per_second": 700.0,
        "requests_per_second": 700.0,
        "p95_ms": 5.0,
        "lost": 0,
        "wrong": 0,
        "requests": 9,
    }
    rows = [
        {"server": server, "load": load, "statuses": {"200": 8 if load.startswith("attack") else 9}, **figures}
        for server in (serve.STATIC, serve.INT8, serve.PEER)
        for load in (
            "singles",
            "singles at half load",
            "singles, 300 a second",
            "batches of 64",
            "crowd",
            "attack: no JSON",
            "kill -9 of a worker",
        )
    ]
    found = {bar["name"]: bar["value"] for bar in serve.bars(rows)}
    assert found["texts a second, MiniLM int8, one text a request"] == 700.0
    assert found["p95 at half of that load, ms"] == 5.0
    assert found["good requests lost or refused under attacks"] == 3
