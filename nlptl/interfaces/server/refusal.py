"""RequestRefused: why a request gets no answer, with its HTTP status and one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping

Header = tuple[bytes, bytes]


class RequestRefused(Exception):
    """Fault of a request, or of the server at this moment, as the client is told of it."""

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})

    def body(self) -> bytes:
        """Return the answer's body: {"error": {"code", "message"}}."""
        error = {"code": self.code, "message": self.message}
        return json.dumps({"error": error}, ensure_ascii=False).encode("utf-8", "replace")

    def raw_headers(self) -> list[Header]:
        """Return the answer's headers."""
        own = {"content-type": "application/json", "content-length": str(len(self.body())), **self.headers}
        return [(name.encode(), value.encode()) for name, value in own.items()]


def internal() -> RequestRefused:
    """Return the refusal of a request at which the server itself has failed."""
    return RequestRefused(500, "internal", "The server failed at this request. Its log tells more.")


class ClientGone(Exception):
    """Client that has closed its connection before its answer was there."""
