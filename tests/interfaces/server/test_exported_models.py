"""Exports under several lanes: each request gets the answer to its own texts, whatever is computed beside them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from nlptl.interfaces.server.app import create_app
from nlptl.interfaces.server.loaded_model import load_model
from tests.models.exports.test_exports import classifier_of, exported
from tests.models.tiny import TEXTS, tiny_encoder


@pytest.mark.parametrize(("format", "precision"), [("onnx", "fp32"), ("openvino", "fp32"), ("safetensors", "int8")])
def test_requests_at_once_get_their_own_answers(
    format: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    folder = exported(classifier_of(tiny_encoder("bert")), tmp_path / "export", format=format, precision=precision)
    model = load_model(folder, device="cpu")
    assert model.lanes == 3
    requests = [[TEXTS[(first + place) % len(TEXTS)] for place in range(1 + first % 4)] for first in range(60)]
    expected = {text: model.predictor.probabilities([text])[0].tolist() for text in TEXTS}

    async def ask() -> list[Any]:
        transport = httpx.ASGITransport(create_app({"m": model}))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            bodies = [{"texts": texts, "probabilities": True} for texts in requests]
            return await asyncio.gather(*(client.post("/predict", json=body) for body in bodies))

    for texts, answer in zip(requests, asyncio.run(ask()), strict=True):
        assert answer.status_code == 200, answer.text
        found = [list(one["probabilities"].values()) for one in answer.json()["predictions"]]
        assert found == [pytest.approx(expected[text], abs=1e-3) for text in texts]


def test_what_uses_all_cores_for_a_batch_has_one_lane(small_classifier: Path) -> None:
    assert load_model(small_classifier, device="cpu").lanes == 1
