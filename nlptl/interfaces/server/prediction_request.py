"""PredictionRequest: the body of /predict, parsed and checked by hand: a model of each text costs more than its label."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from nlptl.faults import did_you_mean
from nlptl.interfaces.server.refusal import RequestRefused
from nlptl.interfaces.server.server_settings import ServerSettings

FIELDS = ("texts", "text", "model", "probabilities", "coverage", "explain")
COMMAND_NAMES = {
    "abstain": "coverage",
    "proba": "probabilities",
}  # options of `nlptl predict`, and the fields they are here
MAX_TOLD = 5  # unknown fields that are told at once
MAX_QUOTED = 40  # characters of a wrong value that a message repeats


@dataclass(frozen=True)
class PredictionRequest:
    """Texts to be labelled, and what is wanted of them."""

    texts: list[str]
    model: str | None = None
    probabilities: bool = False
    coverage: float | None = None
    explain: bool = False

    @classmethod
    def parse(cls, body: bytes, settings: ServerSettings) -> PredictionRequest:
        """Read a body. Raises RequestRefused: 400 for what is no JSON object, 422 for wrong fields, 413 beyond a limit."""
        given = json_object(body)
        if unknown := [name for name in given if name not in FIELDS]:
            raise wrong_field(" ".join(map(_told_as_unknown, unknown[:MAX_TOLD])))
        texts = _texts(given)
        check_texts(texts, settings, where="texts" if "texts" in given else "text")
        return cls(
            texts, string_field(given, "model"), _flag(given, "probabilities"), _share(given, "coverage"), _flag(given, "explain")
        )  # fmt: skip


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body. Raises RequestRefused where it holds none."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestRefused(
            400, "not_utf8", f"The body is not UTF-8: byte {error.start} cannot be read. Send JSON in UTF-8."
        ) from None
    if not text.strip():
        raise RequestRefused(400, "not_json", 'The body is empty. Send a JSON object such as {"text": "…"}.')
    try:
        found = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise RequestRefused(
            400,
            "not_json",
            f"The body is no JSON: {error.msg} at line {error.lineno}, column {error.colno}. Correct it.",
        ) from None
    except RecursionError:
        raise RequestRefused(400, "not_json", "The body is nested too deeply. Send a flat JSON object.") from None
    except ValueError:  # a number of thousands of digits
        raise RequestRefused(400, "not_json", "The body holds a number that is too long. Correct it.") from None
    if not isinstance(found, dict):
        raise RequestRefused(
            400, "not_json", f'The body is {kind_of(found)}; expected a JSON object such as {{"text": "…"}}.'
        )
    return found


def check_texts(texts: list[str], settings: ServerSettings, *, where: str) -> None:
    """Raise RequestRefused for too many texts, too long ones, and characters that are no Unicode."""
    if len(texts) > settings.max_texts:
        raise RequestRefused(
            413, "too_many_texts",
            f"{where}: found {len(texts):,} texts; expected {settings.max_texts:,} at most. Send them in several requests.",
        )  # fmt: skip
    for number, text in enumerate(texts):
        if len(text) > settings.max_text_length:
            raise RequestRefused(
                413, "text_too_long",
                f"{place(where, number)}: found {len(text):,} characters; expected {settings.max_text_length:,} at most. "
                "Shorten the text.",
            )  # fmt: skip
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise wrong_field(
                    f"{place(where, number)}: found half a character (a lone surrogate) at place {error.start}. Remove it."
                ) from None


def string_field(given: Mapping[str, Any], name: str) -> str | None:
    """Return a text of a JSON object; None where it is left out. Raises RequestRefused for another kind."""
    value = given.get(name)
    if value is None or isinstance(value, str):
        return value
    raise wrong_field(f"{name}: found {kind_of(value)}; expected a text. Correct it.")


def wrong_field(message: str) -> RequestRefused:
    """Return the refusal of a field."""
    return RequestRefused(422, "wrong_field", message)


def kind_of(value: object) -> str:
    """Return what a JSON value is, in words."""
    if value is None:
        return "null"
    kinds = {bool: "true or false", str: "a text", list: "an array", dict: "an object"}
    return kinds.get(type(value), "a number")


def place(where: str, number: int) -> str:
    """Return the name of one text of a request."""
    return f"texts[{number}]" if where == "texts" else where


def quoted(name: str) -> str:
    """Return a client's word in quotation marks, cut where it is long."""
    cut = name if len(name) <= MAX_QUOTED else name[:MAX_QUOTED] + "…"
    return json.dumps(cut)


def _told_as_unknown(name: str) -> str:
    meant = did_you_mean(name, (*FIELDS, *COMMAND_NAMES)) or f" The fields are {', '.join(FIELDS)}."
    for option, field in COMMAND_NAMES.items():
        meant = meant.replace(repr(option), repr(field))
    return f"{quoted(name)}: is no field of this request.{meant}"


def _texts(given: Mapping[str, Any]) -> list[str]:
    if ("texts" in given) == ("text" in given):
        found = "both texts and text" if "texts" in given else "neither texts nor text"
        raise wrong_field(f"The request holds {found}; expected one of them. Send texts, an array, or text, one text.")
    if "text" in given:
        if not isinstance(given["text"], str):
            raise wrong_field(f"text: found {kind_of(given['text'])}; expected a text. Correct it.")
        return [given["text"]]
    texts = given["texts"]
    if not isinstance(texts, list):
        raise wrong_field(f"texts: found {kind_of(texts)}; expected an array of texts. Correct it.")
    for number, text in enumerate(texts):
        if type(text) is not str:
            raise wrong_field(f"texts[{number}]: found {kind_of(text)}; expected a text. Correct it.")
    return texts


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise wrong_field(f"{name}: found {kind_of(value)}; expected true or false. Correct it.")


def _share(given: Mapping[str, Any], name: str) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_field(f"{name}: found {kind_of(value)}; expected a number above 0 and below 1. Correct it.")
    if not 0 < value < 1 or math.isnan(value):
        raise wrong_field(f"{name}: expected a number above 0 and below 1. Give one such as 0.9.")
    return float(value)


def _no_number(name: str) -> NoReturn:
    raise RequestRefused(400, "not_json", f"The body is no JSON: {name} is no number of JSON. Correct it.")
