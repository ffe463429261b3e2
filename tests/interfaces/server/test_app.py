"""The API by requests without a network: answers, faults, limits, key, metrics, document."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray

from nlptl.interfaces.server import loaded_model
from nlptl.interfaces.server.app import create_app
from nlptl.interfaces.server.gate import SECURITY_HEADERS
from nlptl.interfaces.server.loaded_model import LoadedModel, load_model
from nlptl.interfaces.server.server_settings import ServerSettings
from nlptl.models.classifier import TextClassifier
from tests.interfaces.server.serving import ByRule, asked

TEXTS = ["The film is good and the plot was great", "The cast is dull and the music was awful", "コロナ", ""]
KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def small(small_classifier: Path) -> FastAPI:
    return create_app({"reviews": load_model(small_classifier, device="cpu")})


def predicted(app: FastAPI, **body: Any) -> Any:
    answer = asked(app, "POST", "/predict", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(app: FastAPI, method: str = "POST", path: str = "/predict", **options: Any) -> tuple[int, str, str]:
    answer = asked(app, method, path, **options)
    return answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["message"]


def test_the_answer_is_what_the_classifier_predicts(small: FastAPI, small_classifier: Path) -> None:
    classifier = TextClassifier.load(small_classifier)
    shares = classifier.predict_proba(TEXTS)
    found = predicted(small, texts=TEXTS, probabilities=True)
    assert found["model"] == "reviews"
    assert [one["label"] for one in found["predictions"]] == classifier.predict(TEXTS)
    assert [[one["probabilities"][name] for name in classifier.labels] for one in found["predictions"]] == [
        pytest.approx(row, rel=1e-5) for row in shares.tolist()
    ]
    assert predicted(small, text=TEXTS[0])["predictions"] == [{"label": "positive"}]
    assert predicted(small, texts=[])["predictions"] == []


def test_sets_are_those_of_the_classifier(small: FastAPI, small_classifier: Path) -> None:
    expected = TextClassifier.load(small_classifier).predict_sets(TEXTS, 0.6)
    found = predicted(small, texts=TEXTS, coverage=0.6, probabilities=True)
    assert [(one["label"], one["set"], one["unknown"]) for one in found["predictions"]] == [
        (one.label, list(one.labels), one.unknown) for one in expected
    ]
    assert found["coverage"]["held_out"] == expected[0].coverage.held_out
    status, code, message = refused(small, json={"text": "a", "coverage": 0.9999})
    assert (status, code) == (422, "cannot_abstain")
    assert message.startswith("coverage: found 12 held-out texts, too few for a coverage of 0.9999")


def test_explanations_are_those_of_the_classifier(small: FastAPI, small_classifier: Path) -> None:
    expected = TextClassifier.load(small_classifier).explain(TEXTS[:1])[0]
    found = predicted(small, text=TEXTS[0], explain=True)["predictions"][0]["explanation"]
    assert (found["label"], found["method"]) == (expected.label, "exact")
    assert [(one["text"], one["contribution"]) for one in found["words"]] == [
        (word.text, pytest.approx(weight, abs=1e-5))
        for word, weight in zip(expected.contributions, expected.towards(), strict=True)
    ]
    assert all(TEXTS[0][one["start"] : one["end"]] == one["text"] for one in found["words"])
    assert refused(small, json={"texts": ["a"] * 17, "explain": True}) == (
        413, "too_many_texts", "explain: found 17 texts; expected 16 at most, since an explanation takes long. Send fewer texts."
    )  # fmt: skip


def test_several_labels_of_a_text() -> None:
    app = create_app({"m": LoadedModel(ByRule(("good", "long", "x"), multi_label=True), "1")})
    found = predicted(app, texts=["g l l", "z"], probabilities=True)["predictions"]
    assert found[0]["labels"] == ["good", "long"]
    assert found[0]["label"] in found[0]["labels"]
    assert found[1] == {"label": None, "labels": [], "probabilities": {"good": 0.0, "long": 0.0, "x": 0.0}}


def test_labels_of_any_characters_come_back_whole() -> None:
    labels = ('"', "100 %s", "コロナ\u2028", "\x1b")
    found = predicted(create_app({"m": LoadedModel(ByRule(labels), "1")}), text="1", probabilities=True)["predictions"]
    assert found[0]["label"] == "100 %s"
    assert tuple(found[0]["probabilities"]) == labels


def test_models_are_found_by_name() -> None:
    app = create_app({"a": LoadedModel(ByRule(("x", "y")), "1"), "b": LoadedModel(ByRule(("p", "q")), "2")})
    assert predicted(app, text="q", model="b") == {"model": "b", "version": "2", "predictions": [{"label": "q"}]}
    assert refused(app, json={"text": "q", "model": "c"}) == (
        404, "unknown_model", 'model: found "c"; the models are a, b. Correct it.'
    )  # fmt: skip
    assert refused(app, json={"text": "q"}) == (422, "wrong_field", "model: is missing; expected one of a, b. Name it.")
    assert [one["name"] for one in asked(app, "GET", "/models").json()] == ["a", "b"]
    assert asked(app, "GET", "/health").json()["models"]["b"] == {"version": "2", "reload_failed": None}


def test_paths_and_methods_that_are_not_there() -> None:
    app = create_app({"m": LoadedModel(ByRule(("x", "y")), "1")})
    assert refused(app, "GET", "/nothing") == (
        404, "not_found",
        'There is no path "/nothing". The paths are /corrections, /health, /metrics, /models, /predict, /predict-file, '
        "/predict-file/preview.",
    )  # fmt: skip
    assert refused(app, "GET") == (405, "wrong_method", '/predict does not take "GET". Send POST.')
    assert asked(app, "GET", "/docs").status_code == 404, "it would load scripts from elsewhere"


def test_a_key_is_asked_for_but_not_by_the_health(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app({"m": LoadedModel(ByRule(("x", "y")), "1")}, ServerSettings(api_key=KEY))
    body = {"json": {"text": "x"}}
    assert refused(app, **body) == (
        401, "no_key", "The request carries no key. Send the header Authorization: Bearer KEY, or X-API-Key: KEY."
    )  # fmt: skip
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or compare(a, b))
    wrong = refused(app, headers={"x-api-key": KEY[:-1] + "x"}, **body)
    assert wrong == (401, "wrong_key", "The key is not that of this server. Check it.")
    assert compared == [((KEY[:-1] + "x").encode(), KEY.encode())], "in constant time"
    for headers in ({"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {KEY}"}):
        assert asked(app, "POST", "/predict", headers=headers, **body).status_code == 200
    assert asked(app, "GET", "/health").status_code == 200
    for path in ("/models", "/metrics", "/openapi.json", "/nothing"):
        assert asked(app, "GET", path).status_code == 401
    assert KEY not in repr(ServerSettings(api_key=KEY))


def test_a_body_beyond_the_limit_is_never_held() -> None:
    app = create_app({"m": LoadedModel(ByRule(("x", "y")), "1")}, ServerSettings(max_body=1_000))
    told = (413, "body_too_large", "The body is larger than 1,000 bytes. Send the texts in several requests.")
    assert refused(app, content=b"x" * 1_001) == told
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1_000):
            sent += 400
            yield b"x" * 400

    assert refused(app, content=chunks()) == told
    assert sent == 1_200


def test_bodies_of_all_requests_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlptl.interfaces.server.gate.BODIES_AT_ONCE", 0.5)
    app = create_app({"m": LoadedModel(ByRule(("x", "y")), "1")}, ServerSettings(max_body=1_000))
    for _ in range(3):  # what a refused request held is given back
        assert refused(app, content=b"x" * 600)[:2] == (503, "busy")
        assert predicted(app, text="x")["predictions"] == [{"label": "x"}]


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    app = create_app({"m": LoadedModel(ByRule(("x", "y"), seconds=0.3), "1")}, ServerSettings(timeout=0.1))
    assert refused(app, json={"text": "x"}) == (
        504, "too_late", "The answer was not ready within 0.1 s. Send fewer texts."
    )  # fmt: skip


def test_a_body_that_takes_too_long_is_given_up() -> None:
    app = create_app({"m": LoadedModel(ByRule(("x", "y")), "1")}, ServerSettings(timeout=0.1))

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"text"'
        await asyncio.sleep(5)

    told = refused(app, content=slow())
    assert told == (408, "too_slow", "The body did not arrive within 0.1 s. Send it faster.")


def test_a_table_that_trickles_is_given_up() -> None:
    app = create_app({"m": LoadedModel(ByRule(("x", "y")), "1")}, ServerSettings(timeout=0.2))
    sent = 0

    async def trickle() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b"text\n"
        for _ in range(40):
            await asyncio.sleep(0.05)
            sent += 1
            yield b"x\n"

    told = refused(app, path="/predict-file", content=trickle(), headers={"content-type": "text/csv"})
    assert told == (408, "too_slow", "The body did not arrive within 0.2 s. Send it faster.")
    assert sent < 40


def test_a_text_cannot_look_like_another_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    app = create_app({"m": LoadedModel(ByRule(("x", "y")), "1")}, ServerSettings(log_texts=True))
    text = "a" * 98 + " Ended. Requests in hand were answered."
    predicted(app, text=text)
    assert capsys.readouterr().err == f"m: {text}\n"


def test_a_probe_may_ask_for_the_head_of_the_health() -> None:
    answer = asked(create_app({"m": LoadedModel(ByRule(("x", "y")), "1")}), "HEAD", "/health")
    assert answer.status_code == 200


def test_a_failure_is_told_without_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(ByRule):
        def probabilities(self, texts: Sequence[str], **_: Any) -> NDArray[np.float64]:
            raise RuntimeError(f"cannot read {texts}")

    app = create_app({"m": LoadedModel(Broken(("x", "y")), "1")})
    told = refused(app, json={"text": "a secret"})
    assert told == (500, "internal", "The server failed at this request. Its log tells more.")
    err = capsys.readouterr().err
    assert re.fullmatch(
        r"Internal error at /predict: RuntimeError in .*test_app.py, line \d+\.\n", " ".join(err.split()) + "\n"
    )
    assert "secret" not in err


@pytest.mark.parametrize("log_texts", [False, True])
def test_texts_are_logged_where_it_is_asked_for_alone(log_texts: bool, capsys: pytest.CaptureFixture[str]) -> None:
    app = create_app({"m": LoadedModel(ByRule(("x", "y")), "1")}, ServerSettings(log_texts=log_texts))
    predicted(app, text="a \x1b[31msecret")
    refused(app, json={"text": "a secret", "explain": 3})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ("m: a \\x1b[31msecret\n" if log_texts else "")


def test_every_answer_carries_the_headers_of_security() -> None:
    app = create_app({"m": LoadedModel(ByRule(("x", "y")), "1")})
    for answer in (
        asked(app, "POST", "/predict", json={"text": "x"}),
        asked(app, "POST", "/predict", content=b"{"),
        asked(app, "GET", "/nothing"),
    ):
        assert {(name.encode(), value.encode()) for name, value in answer.headers.items()} >= set(SECURITY_HEADERS)
        assert "server" not in answer.headers


def test_metrics_count_requests_texts_batches_and_versions() -> None:
    app = create_app({"m": LoadedModel(ByRule(("x", "y")), "v1")})
    predicted(app, texts=["x"] * 5)
    refused(app, content=b"{")
    refused(app, "GET", "/any/other/path")
    text = asked(app, "GET", "/metrics").text
    for line in (
        'nlptl_requests_total{path="/predict",status="200"} 1.0',
        'nlptl_requests_total{path="/predict",status="400"} 1.0',
        'nlptl_requests_total{path="other",status="404"} 1.0',
        'nlptl_request_seconds_count{path="/predict"} 2.0',
        'nlptl_texts_total{model="m"} 5.0',
        'nlptl_batch_texts_bucket{le="8.0",model="m"} 1.0',
        'nlptl_batch_tokens_sum{model="m"} 10.0',
        'nlptl_queue_texts{model="m"} 0.0',
        'nlptl_model_workers{model="m",version="v1"} 1.0',
    ):
        assert line in text.splitlines(), line


def test_the_document_describes_all_paths_and_its_example_works(small: FastAPI) -> None:
    document = asked(small, "GET", "/openapi.json").json()
    assert set(document["paths"]) >= {"/predict", "/models", "/health", "/metrics", "/corrections", "/predict-file"}
    schema = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    for example in schema["examples"]:
        assert set(predicted(small, **example)["predictions"][0]) == {"label", "probabilities"}
    assert set(document["paths"]["/predict"]["post"]["responses"]) >= {"200", "400", "413", "422", "429", "504"}
    assert "http" not in json.dumps(document).replace("HTTP", ""), "nothing points elsewhere"


def test_an_export_without_torch_tells_what_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app({"m": LoadedModel(ByRule(("x", "y")), "1", Path("export"))})
    monkeypatch.setitem(__import__("sys").modules, "nlptl.models.classifier", None)
    assert refused(app, json={"text": "x", "explain": True}) == (
        501, "needs_torch",
        "This server runs without torch, which explanations need. Install nlptl with torch, or ask for labels alone.",
    )  # fmt: skip
    assert loaded_model.LoadedModel(ByRule(("x", "y")), "1").can_abstain is False


def test_a_thousand_requests_at_once_get_their_own_answers() -> None:
    labels = tuple("abcdefghijklmnopqrstuvwxyz")
    app = create_app({"m": LoadedModel(ByRule(labels, seconds=0.001), "1")})

    async def ask() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

            async def one(number: int) -> None:
                words = [labels[(number + place) % 26] * 9 for place in range(number % 7 + 1)]
                found = (await client.post("/predict", json={"texts": words})).json()
                assert [each["label"] for each in found["predictions"]] == [word[0] for word in words]

            await asyncio.gather(*(one(number) for number in range(300)))

    asyncio.run(ask())
