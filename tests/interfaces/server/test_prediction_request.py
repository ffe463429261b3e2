"""Bodies of /predict: what is read, and what each wrong one is told."""

from __future__ import annotations

import json

import pytest

from nlptl.interfaces.server.prediction_request import PredictionRequest
from nlptl.interfaces.server.refusal import RequestRefused
from nlptl.interfaces.server.server_settings import ServerSettings

LIMITS = ServerSettings(max_texts=3, max_text_length=20)
WRONG = [
    (b"", 400, "not_json", 'The body is empty. Send a JSON object such as {"text": "…"}.'),
    (b'{"text": "\xff"}', 400, "not_utf8", "The body is not UTF-8: byte 10 cannot be read. Send JSON in UTF-8."),
    (b'{"text": ', 400, "not_json", "The body is no JSON: Expecting value at line 1, column 10. Correct it."),
    (b'{"coverage": NaN}', 400, "not_json", "The body is no JSON: NaN is no number of JSON. Correct it."),
    (b"[" * 100_000, 400, "not_json", "The body is nested too deeply. Send a flat JSON object."),
    (b'{"a": ' + b"1" * 5_000 + b"}", 400, "not_json", "The body holds a number that is too long. Correct it."),
    (b'["a"]', 400, "not_json", 'The body is an array; expected a JSON object such as {"text": "…"}.'),
    (b'{"txt": "a"}', 422, "wrong_field", "\"txt\": is no field of this request. Did you mean 'text'?"),
    (
        b'{"text": "a", "abstain": 0.9, "probaa": true, "probability": true}', 422, "wrong_field",
        "\"abstain\": is no field of this request. Did you mean 'coverage'? \"probaa\": is no field of this request. Did you mean "
        "'probabilities'? \"probability\": is no field of this request. Did you mean 'probabilities'?",
    ),
    (
        b'{"zzz": "a"}', 422, "wrong_field",
        '"zzz": is no field of this request. The fields are texts, text, model, probabilities, coverage, explain.',
    ),
    (
        b"{}", 422, "wrong_field",
        "The request holds neither texts nor text; expected one of them. Send texts, an array, or text, one text.",
    ),
    (
        b'{"text": "a", "texts": []}', 422, "wrong_field",
        "The request holds both texts and text; expected one of them. Send texts, an array, or text, one text.",
    ),
    (b'{"text": 3}', 422, "wrong_field", "text: found a number; expected a text. Correct it."),
    (b'{"texts": "a"}', 422, "wrong_field", "texts: found a text; expected an array of texts. Correct it."),
    (b'{"texts": ["a", null]}', 422, "wrong_field", "texts[1]: found null; expected a text. Correct it."),
    (
        b'{"texts": ["a", "b\\ud800"]}', 422, "wrong_field",
        "texts[1]: found half a character (a lone surrogate) at place 1. Remove it.",
    ),
    (b'{"text": "a", "model": 1}', 422, "wrong_field", "model: found a number; expected a text. Correct it."),
    (
        b'{"text": "a", "explain": 1}', 422, "wrong_field",
        "explain: found a number; expected true or false. Correct it.",
    ),
    (
        b'{"text": "a", "coverage": true}', 422, "wrong_field",
        "coverage: found true or false; expected a number above 0 and below 1. Correct it.",
    ),
    (
        b'{"text": "a", "coverage": 1}', 422, "wrong_field",
        "coverage: expected a number above 0 and below 1. Give one such as 0.9.",
    ),
    (
        b'{"texts": ["", "", "", ""]}', 413, "too_many_texts",
        "texts: found 4 texts; expected 3 at most. Send them in several requests.",
    ),
    (
        b'{"text": "aaaaaaaaaaaaaaaaaaaaa"}', 413, "text_too_long",
        "text: found 21 characters; expected 20 at most. Shorten the text.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "code", "message"), WRONG, ids=[str(one[0][:30]) for one in WRONG])
def test_a_wrong_body_is_told_in_a_sentence(body: bytes, status: int, code: str, message: str) -> None:
    with pytest.raises(RequestRefused) as found:
        PredictionRequest.parse(body, LIMITS)
    refusal = found.value
    assert (refusal.status, refusal.code, refusal.message) == (status, code, message)
    assert json.loads(refusal.body()) == {"error": {"code": code, "message": message}}


def test_all_fields_are_read() -> None:
    body = {"texts": ["a", "コ😀"], "model": "m", "probabilities": True, "coverage": 0.5, "explain": None}
    found = PredictionRequest.parse(json.dumps(body).encode(), LIMITS)
    assert found == PredictionRequest(["a", "コ😀"], "m", probabilities=True, coverage=0.5)
    assert PredictionRequest.parse(b'{"text": ""}', LIMITS) == PredictionRequest([""])
