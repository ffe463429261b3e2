"""The web page: its files as they are sent, and the policy under which a browser runs nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

FOLDER = "page"
INDEX = "index.html"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_KINDS = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}  # fmt: skip


@dataclass(frozen=True)
class PageFile:
    """File of the page, with its headers."""

    content: bytes
    headers: dict[str, str]

    @property
    def tag(self) -> str:
        """Name of this content, by which a browser asks whether it has changed."""
        return self.headers["ETag"]


@lru_cache(maxsize=1)
def page_files() -> dict[str, PageFile]:
    """Return all files of the page by their names; no path of a request is ever looked up on the disk."""
    found = {}
    for entry in (files("nlptl.interfaces.server") / FOLDER).iterdir():
        kind = next((kind for ending, kind in _KINDS.items() if entry.name.endswith(ending)), None)
        if kind is not None:
            found[entry.name] = _page_file(entry.read_bytes(), kind)
    return found


def _page_file(content: bytes, kind: str) -> PageFile:
    headers = {
        "Content-Type": kind, "Content-Security-Policy": POLICY, "Cache-Control": "no-cache",
        "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
    }  # fmt: skip
    return PageFile(content, headers)
