"""Gate: what every request passes first. Who asks, size of the body, time to send it, headers of security, metrics.

It is plain ASGI and calls `direct` handlers itself: the layers of the framework cost a short request more than its label does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any

from nlptl.interfaces.server.admission import check_host, check_key, check_site
from nlptl.interfaces.server.prediction_request import quoted
from nlptl.interfaces.server.refusal import ClientGone, Header, RequestRefused, internal
from nlptl.interfaces.server.server_metrics import ServerMetrics
from nlptl.interfaces.server.server_settings import ServerSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Direct = Callable[[Receive], Awaitable[bytes]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

SECURITY_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
SLOWEST = 4_096  # bytes a second of a table, slower than which nobody may hold a place among the tables in hand
BODIES_AT_ONCE = 16  # of the greatest size, that all requests together may hold in memory
PLAIN = (b"", b"identity")  # values of Content-Encoding that change nothing
CLIENT_GONE = 499  # status under which a request is counted whose client did not wait


class Gate:
    """Application in front of another one."""

    def __init__(
        self, app: Application, settings: ServerSettings, metrics: ServerMetrics, *, direct: Mapping[str, Direct],
        paths: Collection[str], open_paths: Collection[str], file_paths: Collection[str], tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._app, self._settings, self._metrics, self._tell, self._direct = app, settings, metrics, tell, direct
        self._paths, self._open_paths = frozenset(paths), frozenset(open_paths)
        self._file_paths = frozenset(file_paths)  # whose bodies go to the disk, under a limit of their own
        self._key = None if settings.api_key is None else settings.api_key.encode()
        self._held = 0  # bytes of bodies that requests hold now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        body = BodyReader(self, receive, to_disk=scope["path"] in self._file_paths)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _secured(message.get("headers", ()))
            await send(message)

        try:
            self._check(scope)
            direct = self._direct.get(scope["path"]) if scope["method"] == "POST" else None
            if direct is None:
                await self._app(scope, body, answer)
            else:
                await _send_json(await direct(body), answer)
        except ClientGone:
            status = status or CLIENT_GONE
        except RequestRefused as refusal:
            await refuse(refusal, answer)
        except Exception as error:
            self._tell(f"Internal error at {scope['path']}: {_place_of(error)}.")
            if not status:
                await refuse(internal(), answer)
            elif status < 500:  # an answer is under way; raised again, the error ends its connection
                raise
        finally:
            self._held -= body.held
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.request_done(path, status or CLIENT_GONE, time.perf_counter() - began)

    def _check(self, scope: Scope) -> None:
        """Raise RequestRefused for who may not ask, and for a body that says that it is too large or packed."""
        headers = scope["headers"]
        if self._settings.hosts is not None:
            check_host(self._settings.hosts, headers)
        if self._key is None:
            check_site(scope["method"], headers)
        elif scope["path"] not in self._open_paths:
            check_key(self._key, headers)
        to_disk = scope["path"] in self._file_paths
        for name, value in headers:
            if name == b"content-length" and not to_disk and value.isdigit():
                if int(value[:20]) > self._settings.max_body:
                    raise self.too_large()
            elif name == b"content-encoding" and value.strip().lower() not in PLAIN:
                raise RequestRefused(
                    415, "packed",
                    f"Content-Encoding: found {quoted(value.decode('latin-1'))}; the server unpacks no body. Send it unpacked.",
                )  # fmt: skip

    def too_large(self) -> RequestRefused:
        """Return the refusal of a body that is too large."""
        most = self._settings.max_body
        return RequestRefused(
            413, "body_too_large", f"The body is larger than {most:,} bytes. Send the texts in several requests."
        )

    def hold(self, count: int) -> None:
        """Count bytes that are held in memory. Raises RequestRefused where all requests together hold too many."""
        self._held += count
        if self._held > BODIES_AT_ONCE * self._settings.max_body:
            raise RequestRefused(
                503, "busy", "The server holds too many large requests at once. Try again in a second.",
                headers={"retry-after": "1"},
            )  # fmt: skip

    @property
    def settings(self) -> ServerSettings:
        """Limits of the server."""
        return self._settings


class BodyReader:
    """`receive` of one request, which counts the bytes of the body and ends a body that takes too long.

    A body that goes `to_disk` is not held in memory; it has more time, by its bytes.
    """

    def __init__(self, gate: Gate, receive: Receive, *, to_disk: bool = False) -> None:
        self._gate, self._receive, self._to_disk = gate, receive, to_disk
        self._complete, self._ends = False, 0.0  # monotonic time at which the body is too slow
        self.held = 0

    async def __call__(self) -> Message:
        """Return the next message. Raises RequestRefused for a body that is too large (413) or too slow (408)."""
        if self._complete:
            return await self._receive()
        loop = asyncio.get_running_loop()
        if not self._ends:
            self._ends = loop.time() + self._gate.settings.timeout
        try:
            async with asyncio.timeout_at(self._ends):
                message = await self._receive()
        except TimeoutError:
            raise RequestRefused(
                408, "too_slow", f"The body did not arrive within {self._gate.settings.timeout:g} s. Send it faster.",
                headers={"connection": "close"},
            ) from None  # fmt: skip
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            if self._to_disk:
                self._ends, size = self._ends + size / SLOWEST, 0
            if self.held + size > self._gate.settings.max_body:
                raise self._gate.too_large()
            self.held += size
            self._gate.hold(size)
            self._complete = not message.get("more_body", False)
        return message


async def whole_body(receive: Receive) -> bytes:
    """Return the body of a request, whose size and time the gate bounds. Raises ClientGone."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def refuse(refusal: RequestRefused, send: Send) -> None:
    """Send a refusal as an answer."""
    await send({"type": "http.response.start", "status": refusal.status, "headers": refusal.raw_headers()})
    await send({"type": "http.response.body", "body": refusal.body()})


async def _send_json(content: bytes, send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _secured(headers: Collection[Header]) -> list[Header]:
    """Return headers with those of security that they do not set themselves."""
    given = {name.lower() for name, _ in headers}
    return [*headers, *(header for header in SECURITY_HEADERS if header[0] not in given)]


def _place_of(error: BaseException) -> str:
    """Return kind and place of an error. Its message may quote a text, and is left out."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" in {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}"
    return f"{type(error).__name__}{where}"
