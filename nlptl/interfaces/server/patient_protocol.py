"""PatientProtocol: uvicorn's HTTP, which waits for a slow client, but not for ever.

uvicorn limits neither the time nor the size of headers, nor the time in which a client must take its answer.
"""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nlptl.interfaces.server.gate import refuse
from nlptl.interfaces.server.refusal import RequestRefused

HEADER_SECONDS = 10.0  # from the first byte of a request, or from the connection, to the end of its headers
MAX_HEADERS = 65_536  # bytes
LINGER_SECONDS = 5.0  # in which the rest of a refused body is thrown away, so that the client can read the refusal
WRITE_SECONDS = 30.0  # in which a client must take some of its answer
TOO_SLOW = (b"408 Request Timeout", b"too_slow", b"The headers did not arrive within 10 s. Send them faster.")
TOO_LARGE = (
    b"431 Request Header Fields Too Large",
    b"headers_too_large",
    b"The headers are larger than 64 KB. Shorten them.",
)
NO_HTTP = (b"400 Bad Request", b"not_http", b"This is no HTTP request. Send one of HTTP/1.1.")


class PatientProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timer: asyncio.TimerHandle | None = None  # of headers, or of what is left of a refused body
        self._write_timer: asyncio.TimerHandle | None = None
        self._in_headers, self._in_message, self._header_bytes = False, False, 0
        self._most_connections, self.limit_concurrency = (
            self.limit_concurrency,
            None,
        )  # uvicorn would refuse in plain text

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._arm(HEADER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """End all timers."""
        self._disarm()
        self._disarm_write()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what has come. Headers that are too large end the connection."""
        if self._timer is None and not self._in_message:
            self._arm(HEADER_SECONDS)
        super().data_received(data)
        self._header_bytes = self._header_bytes + len(data) if self._in_headers else 0
        if self._header_bytes > MAX_HEADERS:
            self._end(TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._end(NO_HTTP)

    def on_message_begin(self) -> None:
        """Note that a request has begun."""
        super().on_message_begin()
        self._in_headers = self._in_message = True
        if self._timer is None:  # a second request that begins in the same data as the end of the first
            self._arm(HEADER_SECONDS)

    def on_headers_complete(self) -> None:
        """Note that its headers are there."""
        self._in_headers = False
        self._disarm()
        most = self._most_connections
        is_full = most is not None and max(len(self.connections), len(self.tasks)) >= most
        self.app = refuse_as_full if is_full else self.config.loaded_app
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that its body is there."""
        self._in_message = False
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Give a client that is refused a moment to end its body."""
        super().on_response_complete()
        if self._in_message and not self._in_headers:
            self._arm(LINGER_SECONDS)

    def pause_writing(self) -> None:
        """Begin to look whether the client takes its answer."""
        super().pause_writing()
        self._wait_for_reader(None)

    def resume_writing(self) -> None:
        """Note that it has taken most of it."""
        self._disarm_write()
        super().resume_writing()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _disarm_write(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _wait_for_reader(self, before: int | None) -> None:
        """Go on waiting for a client that has taken some of its answer, of which `before` bytes were left; let others go."""
        self._disarm_write()
        left = self.transport.get_write_buffer_size() + _in_kernel(self.transport.get_extra_info("socket"))
        if before is not None and left >= before:
            self.transport.abort()
        else:
            self._write_timer = self.loop.call_later(WRITE_SECONDS, self._wait_for_reader, left)

    def _late(self) -> None:
        """End a connection whose headers are late, or that goes on with a refused body."""
        if self._in_message and not self._in_headers:
            self.transport.abort()
        else:
            self._end(TOO_SLOW)

    def _end(self, answer: tuple[bytes, bytes, bytes]) -> None:
        """Answer and close, unless an answer is under way."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            status, code, message = answer
            body = b'{"error": {"code": "%s", "message": "%s"}}' % (code, message)
            head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(head % (status, len(body)) + body)
        self.transport.close()


async def refuse_as_full(scope: Any, receive: Any, send: Any) -> None:
    """Refuse a request beyond the connections that the system allows."""
    refusal = RequestRefused(
        503, "too_many_connections", "The server has as many connections as it can hold. Try again in a second.",
        headers={"retry-after": "1", "connection": "close"},
    )  # fmt: skip
    await refuse(refusal, send)


def _in_kernel(connection: Any) -> int:
    """Return how many bytes the system has still to send or to hear of, where it tells."""
    try:
        return int.from_bytes(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0
