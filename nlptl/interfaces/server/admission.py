"""Who may ask: the key that a request carries, the host that it names, the site whose page sends it.

A page of another site can point a name of its own at 127.0.0.1 (DNS rebinding, Jackson et al. 2007), and would read what a
server without a key answers. An address cannot be pointed elsewhere.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Collection
from functools import lru_cache

from nlptl.interfaces.server.prediction_request import quoted
from nlptl.interfaces.server.refusal import Header, RequestRefused

LOCAL_NAME = "localhost"
OTHER_SITES = (b"cross-site", b"same-site")  # as a browser tells them in Sec-Fetch-Site
READING = ("GET", "HEAD")

_PORT = re.compile(r":\d*$")


def check_key(key: bytes, headers: Collection[Header]) -> None:
    """Raise RequestRefused for a missing or wrong key."""
    given = next((value for name, value in headers if name == b"x-api-key"), None)
    if given is None:
        bearer = next((value for name, value in headers if name == b"authorization"), b"")
        given = bearer[7:] if bearer[:7].lower() == b"bearer " else None
    ask = {"www-authenticate": "Bearer"}
    if given is None:
        raise RequestRefused(
            401, "no_key", "The request carries no key. Send the header Authorization: Bearer KEY, or X-API-Key: KEY.",
            headers=ask,
        )  # fmt: skip
    if not hmac.compare_digest(given.strip(), key):
        raise RequestRefused(401, "wrong_key", "The key is not that of this server. Check it.", headers=ask)


def check_host(names: frozenset[str], headers: Collection[Header]) -> None:
    """Raise RequestRefused for a host that is neither localhost, nor an address, nor one of `names`."""
    for name, value in headers:
        if name == b"host" and not _is_known(value, names):
            raise RequestRefused(
                421, "wrong_host",
                f"Host: found {quoted(value.decode('latin-1'))}; expected localhost, an address, or a name that --allow-host "
                "gives. Correct the address, or start the server with --allow-host NAME.",
            )  # fmt: skip


def check_site(method: str, headers: Collection[Header]) -> None:
    """Raise RequestRefused for a request by a page of another site, which may lead here, but not send."""
    if method not in READING and any(name == b"sec-fetch-site" and value in OTHER_SITES for name, value in headers):
        raise RequestRefused(
            403, "cross_site", "A page of another site sends this request. Send it from the server's own page, or by a program."
        )  # fmt: skip


@lru_cache(maxsize=64)
def _is_known(host: bytes, names: frozenset[str]) -> bool:
    name = _PORT.sub("", host.decode("latin-1").lower())
    plain = name.removesuffix(".")
    if plain == LOCAL_NAME or plain.endswith(f".{LOCAL_NAME}") or plain in names:
        return True
    try:
        ipaddress.ip_address(name[1:-1] if name[:1] == "[" and name[-1:] == "]" else name)
    except ValueError:
        return False
    return True
