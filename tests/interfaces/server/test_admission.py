"""Who may ask: names that are pointed at the server, pages of other sites, and what a server without a key lets through."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from nlptl.errors import ConfigError
from nlptl.interfaces.server.app import create_app
from nlptl.interfaces.server.loaded_model import LoadedModel
from nlptl.interfaces.server.server_settings import ServerSettings
from nlptl.interfaces.serving import allowed_hosts
from tests.interfaces.server.serving import ByRule, asked

KEY = "0123456789abcdef"


def app_with(**settings: Any) -> FastAPI:
    return create_app({"m": LoadedModel(ByRule(("x", "y")), "1")}, ServerSettings(**settings))


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:8000", "localhost.:8000", "m.localhost", "127.0.0.1:8000", "[::1]:8000", "10.0.0.7",
        "a.example:1",
    ],
)  # fmt: skip
def test_known_hosts_are_answered(host: str) -> None:
    app = app_with(hosts=frozenset({"a.example"}))
    assert asked(app, "POST", "/predict", json={"text": "x"}, headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8000", "127.0.0.1.evil.example", "[::1", "", "a@localhost"]
)
@pytest.mark.parametrize("path", ["/predict", "/models", "/"])
def test_another_name_that_points_here_is_refused(host: str, path: str) -> None:
    method = "POST" if path == "/predict" else "GET"
    answer = asked(app_with(hosts=frozenset()), method, path, headers={"host": host})
    assert (answer.status_code, answer.json()["error"]) == (
        421,
        {
            "code": "wrong_host",
            "message": f'Host: found "{host}"; expected localhost, an address, or a name that --allow-host gives. Correct the '
            "address, or start the server with --allow-host NAME.",
        },
    )


def test_names_matter_where_no_key_is_asked_for() -> None:
    assert allowed_hosts([], host="127.0.0.1", key=None) == frozenset()
    assert allowed_hosts([], host="localhost", key=None) == frozenset()
    assert allowed_hosts([], host="::1", key=None) == frozenset()
    assert allowed_hosts([], host="127.0.0.1", key=KEY) is None
    assert allowed_hosts([], host="0.0.0.0", key=None) is None, "names of containers and machines are many"
    assert allowed_hosts(["Models.Example.org"], host="0.0.0.0", key=KEY) == {"models.example.org"}
    with pytest.raises(ConfigError) as found:
        allowed_hosts(["http://a.example"], host="127.0.0.1", key=None)
    assert str(found.value) == (
        "--allow-host: found 'http://a.example'; expected the name of a host alone. Give one such as models.example.org."
    )


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_cannot_post_where_no_key_is_asked_for(site: str) -> None:
    headers = {"content-type": "text/plain", "sec-fetch-site": site}
    for path in ("/predict", "/predict-file", "/corrections"):
        answer = asked(app_with(), "POST", path, content='{"text": "x"}', headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (
            403,
            {"code": "cross_site", "message": "A page of another site sends this request. Send it from the server's own page, or "
             "by a program."},
        )  # fmt: skip
    assert asked(app_with(), "GET", "/", headers=headers).status_code == 200, "a link leads here"


def test_the_own_page_and_holders_of_the_key_may_post() -> None:
    body = '{"text": "x"}'
    assert asked(app_with(), "POST", "/predict", content=body, headers={"sec-fetch-site": "same-origin"}).is_success
    headers = {"sec-fetch-site": "cross-site", "x-api-key": KEY}
    assert asked(app_with(api_key=KEY), "POST", "/predict", content=body, headers=headers).is_success


def test_a_packed_body_is_refused() -> None:
    answer = asked(app_with(), "POST", "/predict", content=b"\x1f\x8b", headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]) == (
        415, {"code": "packed", "message": 'Content-Encoding: found "gzip"; the server unpacks no body. Send it unpacked.'}
    )  # fmt: skip
    plain = asked(app_with(), "POST", "/predict", content=b'{"text": "x"}', headers={"content-encoding": "identity"})
    assert plain.status_code == 200
